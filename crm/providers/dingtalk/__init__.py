"""The client of DingTalk: one dialect, the old generation of its API (the only one with external contacts)."""
