"""The web admin of the traffic, and what it adds to the pages of contacts and employees."""

from messaging.admin import (
    callbacks,
    deliveries,
    greetings,
    library,
    messages,
    offers,
    received,
    templates,
    welcomes,
)

__all__ = [
    "callbacks",
    "deliveries",
    "greetings",
    "library",
    "messages",
    "offers",
    "received",
    "templates",
    "welcomes",
]
