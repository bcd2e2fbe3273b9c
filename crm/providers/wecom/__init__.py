"""WeCom (企业微信) in its two dialects."""
