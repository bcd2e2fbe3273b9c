"""One log shape, on stderr, with secrets cut out."""

import json
import logging
import re
from typing import Any

SECRET = re.compile(
    r"(?i)(corpsecret|access_token|suite_access_token|secret|password|authorization|token|key)(=|\":\s*\"|:\s*Bearer\s+)"
    r"[^\s&\"',}]+"
)
PHONE = re.compile(r"(?<!\d)(1\d{2})\d{4}(\d{4})(?!\d)")


def redact(text: str) -> str:
    """`text` without credentials and with Chinese mobile numbers masked."""
    return PHONE.sub(r"\1****\2", SECRET.sub(r"\1\2[removed]", text))


class RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            entry["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


def logging_config(*, style: str, level: str) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "text": {"()": RedactingFormatter, "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
            "json": {"()": JsonFormatter},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json" if style == "json" else "text"}
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            # Django would mail and print on its own otherwise.
            "django": {"handlers": [], "propagate": True, "level": level.upper()},
            "django.server": {"handlers": [], "propagate": True},
            # Full URLs stand in urllib3's debug lines, and a corp secret stands in a URL (guarantees F8).
            "urllib3": {"level": "INFO"},
            "django_q": {"level": "WARNING"},
        },
    }
