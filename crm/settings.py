"""Every setting, read from the environment, explained where it stands. Reference: docs/reference/settings.md."""

from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from crm.env import (
    env_bool,
    env_int,
    env_list,
    env_secret,
    env_str,
    kept_secret,
    parse_field_keys,
    parse_mass_cap,
    parse_quiet_hours,
    parse_removal_guard,
    parse_timeouts,
)
from crm.logs import logging_config

BASE_DIR = Path(__file__).resolve().parent.parent
# What the installation keeps: the SQLite file, the secrets it made itself, the demo's simulator.
VAR_DIR = Path(env_str("CRM_VAR_DIR") or BASE_DIR / "var").resolve()

# --- Who we are ---
DEBUG = env_bool("CRM_DEBUG")
SECRET_KEY = env_secret("CRM_SECRET_KEY") or kept_secret(VAR_DIR, "secret_key", size=48)
SECRET_KEY_IS_KEPT = not env_secret("CRM_SECRET_KEY")
# Keys of the encrypted columns. Never derived from SECRET_KEY: they rotate for different reasons.
FIELD_KEYS_ARE_KEPT = not env_secret("CRM_FIELD_KEYS")
CRM_FIELD_KEYS = parse_field_keys(env_secret("CRM_FIELD_KEYS") or f"kept:{kept_secret(VAR_DIR, 'field_key')}")
CRM_PUBLIC_URL = env_str("CRM_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
_public = urlsplit(CRM_PUBLIC_URL)
ALLOWED_HOSTS = env_list("CRM_ALLOWED_HOSTS") or [
    "127.0.0.1",
    "localhost",
    "[::1]",
    _public.hostname or "localhost",
]

# --- The web ---
# HTTPS follows the scheme people use to reach us, so that CRM_DEBUG=0 also works on loopback (contract B1).
_https = _public.scheme == "https"
SECURE_SSL_REDIRECT = _https
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # a prober on the host speaks plain HTTP
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _https
SECURE_HSTS_PRELOAD = _https
SESSION_COOKIE_SECURE = _https
CSRF_COOKIE_SECURE = _https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "crm",
    "contacts",
    "messaging",
]

MIDDLEWARE = [
    "crm.api.request_id.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "crm.urls"
WSGI_APPLICATION = "crm.wsgi.application"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "static/"
# Served from the packages themselves: nothing to collect before the first start.
WHITENOISE_USE_FINDERS = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- The database ---
_env = environ.Env()
DATABASES = {
    "default": _env.db_url_config(env_secret("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'renmai.sqlite3'}")
}
_database = DATABASES["default"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if _database["ENGINE"].endswith("sqlite3"):
    Path(_database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    # WAL and IMMEDIATE together are what ends "database is locked" (measured: 1,033 of 1,200 writers failed without).
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
    }
    # A file, not memory: the tests start workers and syncs as processes of their own.
    _database["TEST"] = {"NAME": env_str("CRM_TEST_DB") or VAR_DIR / "test.sqlite3"}
else:
    _database["CONN_HEALTH_CHECKS"] = True
_database["CONN_MAX_AGE"] = 60

# Empty: memory of each process. redis://… shares throttles between hosts. Never the queue: that is the database's.
CACHES = {"default": _env.cache_url_config(env_secret("CRM_CACHE_URL") or "locmemcache://")}

# --- The queue (a bell, never the truth) ---
Q_CLUSTER = {
    "name": "renmai",
    "orm": "default",
    "timeout": 3600,
    "retry": 3900,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": -1,
    "bulk": 1,
    "poll": 0.5,
}
CRM_WORKERS = env_int("CRM_WORKERS", 2, minimum=1)

# --- Providers ---
CRM_ALLOW_PRIVATE_UPSTREAM = env_bool("CRM_ALLOW_PRIVATE_UPSTREAM")
CRM_HTTP_TIMEOUTS = parse_timeouts(env_str("CRM_HTTP_TIMEOUTS", "3,10,30"))
CRM_REMOTE_RATE = env_int("CRM_REMOTE_RATE", 5000, minimum=1)
# The same for DingTalk, which allows 20 in any second: at 600 a minute no second sees more.
CRM_DINGTALK_RATE = env_int("CRM_DINGTALK_RATE", 600, minimum=1)
# WeCom drops what one member gets beyond 30 a minute or 1,000 an hour, without a word.
CRM_RECIPIENT_RATE = env_int("CRM_RECIPIENT_RATE", 30, minimum=1)
CRM_RECIPIENT_HOURLY_RATE = env_int("CRM_RECIPIENT_HOURLY_RATE", 1000, minimum=1)
# Mass sends to one contact; WeCom changed the rule twice, this is the newest (wecom.md 3.7).
CRM_MASS_CAP = parse_mass_cap(env_str("CRM_MASS_CAP", "days/month"))
# Person-times of an app's messages to employees; 0: 200 for each employee.
CRM_APP_DAILY_QUOTA = env_int("CRM_APP_DAILY_QUOTA", 0)

# --- The mirror ---
CRM_SYNC_EVERY_MINUTES = env_int("CRM_SYNC_EVERY_MINUTES", 30)
CRM_SYNC_LEASE_SECONDS = env_int("CRM_SYNC_LEASE_SECONDS", 60, minimum=1)
CRM_SYNC_MAX_PAGES = env_int("CRM_SYNC_MAX_PAGES", 10_000, minimum=1)
# Listings read at the same time where the provider answers slowly; WeCom advises few (wecom.md 6).
CRM_SYNC_LISTINGS = env_int("CRM_SYNC_LISTINGS", 5, minimum=1)
CRM_SYNC_REMOVAL_GUARD = parse_removal_guard(env_str("CRM_SYNC_REMOVAL_GUARD", "20,10%"))

# --- Sending ---
CRM_SEND_CALLS = env_int("CRM_SEND_CALLS", 5, minimum=1)
CRM_SEND_LEASE_SECONDS = env_int("CRM_SEND_LEASE_SECONDS", 90, minimum=1)
# In the zone of the corp; nothing goes out then.
CRM_QUIET_HOURS = parse_quiet_hours(env_str("CRM_QUIET_HOURS", ""))
# A preview tells of colleagues who wrote to the same contact within so many days; 0: it does not.
CRM_COLLEAGUE_DAYS = env_int("CRM_COLLEAGUE_DAYS", 3)
if CRM_HTTP_TIMEOUTS[2] >= CRM_SEND_LEASE_SECONDS:
    raise ImproperlyConfigured("CRM_SEND_LEASE_SECONDS must exceed the total of CRM_HTTP_TIMEOUTS.")

# --- REST ---
CRM_API_RATE = env_int("CRM_API_RATE", 600)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "crm.api.authentication.KeyAuthentication",
        "crm.api.authentication.Session",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["crm.api.permissions.ScopedPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["crm.api.parsers.CappedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "crm.api.pagination.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["crm.api.filters.StrictFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["crm.api.throttling.KeyThrottle"],
    "DEFAULT_SCHEMA_CLASS": "crm.api.schema.ProblemSchema",
    "EXCEPTION_HANDLER": "crm.api.exceptions.problem_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Renmai",
    "DESCRIPTION": "External contacts of WeCom and DingTalk: the mirror, messages and their deliveries, sync runs.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ContactState": "contacts.models.Contact.State",
        "SyncRunState": "contacts.models.SyncRun.State",
        "MessageState": "messaging.models.Message.State",
        "DeliveryState": "messaging.models.Delivery.State",
        "EmployeeStatus": "contacts.models.Employee.Status",
        "TagType": "contacts.models.Tag.Type",
        "ContactType": "contacts.models.Contact.Type",
        "Gender": "contacts.models.Contact.Gender",
        "Stage": "contacts.models.FollowUser.Stage",
        "SyncRunTrigger": "contacts.models.SyncRun.Trigger",
        "ToKind": "messaging.models.Message.ToKind",
        "MessageType": "messaging.models.Message.Type",
        # Of contents (messaging/api/content_schema.py): (value, label), which are the same.
        "Switch": [(0, 0), (1, 1)],
        "Safe": [(0, 0), (1, 1), (2, 2)],
        "ErrandKind": "messaging.models.Errand.Kind",
        "QuotaKind": ["app", "mass"],
        "QuotaPeriod": ["day", "month"],
        "MediaKind": "messaging.models.MediaFile.Kind",
    },
}

# --- Uploads: to disk beyond 2.5 MB, and never more than the largest file we keep ---
FILE_UPLOAD_HANDLERS = [
    "crm.uploads.Truncating",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
DATA_UPLOAD_MAX_NUMBER_FILES = 10

# --- Languages and time ---
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
# unfold ships no translations (measured: 138 of 190 strings stay English), so its Chinese is ours, kept apart.
LOCALE_PATHS = [BASE_DIR / "crm" / "locale", BASE_DIR / "crm" / "locale_unfold"]
TIME_ZONE = env_str("CRM_TIME_ZONE", "Asia/Shanghai")
USE_TZ = True
USE_I18N = True

# --- Logs: stderr only (contract B8) ---
LOGGING = logging_config(style=env_str("CRM_LOG_FORMAT", "text"), level=env_str("CRM_LOG_LEVEL", "INFO"))

# --- The admin's look ---------------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": _("Renmai"),
    "SITE_HEADER": _("Renmai"),
    "SITE_SUBHEADER": _("External contacts"),
    "SITE_SYMBOL": "diversity_3",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "crm.site.favicon"}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "GLOBAL_CALLBACK": "crm.site.context",
    "DASHBOARD_CALLBACK": "crm.site.dashboard",
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "crm.site.navigation"},
    "STYLES": ["crm.site.stylesheet"],
    "SCRIPTS": ["crm.site.script"],
    "BORDER_RADIUS": "8px",
    # A quiet jade. White on 600 has a contrast of 5.5.
    "COLORS": {
        "primary": {
            "50": "oklch(98.4% .014 180.72)",
            "100": "oklch(95.3% .051 180.801)",
            "200": "oklch(91% .096 180.426)",
            "300": "oklch(85.5% .138 181.071)",
            "400": "oklch(77.7% .152 181.912)",
            "500": "oklch(60% .118 184.704)",
            "600": "oklch(51.1% .096 186.391)",
            "700": "oklch(43.7% .078 188.216)",
            "800": "oklch(38.6% .063 188.416)",
            "900": "oklch(33% .055 190)",
            "950": "oklch(27.7% .046 192.524)",
        },
    },
}
