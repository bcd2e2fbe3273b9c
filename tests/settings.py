"""Settings of the test run: the product's own, with the simulator allowed on loopback."""

import os

os.environ.setdefault("CRM_ALLOW_PRIVATE_UPSTREAM", "1")
os.environ.setdefault("CRM_API_RATE", "0")
os.environ.setdefault("CRM_LOG_LEVEL", "WARNING")

from crm.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
