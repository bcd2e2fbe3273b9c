"""The web admin of the traffic, and what it adds to the pages of contacts and employees."""

from messaging.admin import callbacks, deliveries, library, messages, offers, received, templates

__all__ = ["callbacks", "deliveries", "library", "messages", "offers", "received", "templates"]
