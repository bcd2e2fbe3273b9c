"""The WeCom dialects `direct` and `official`, field for field as the protocol reference has them."""
