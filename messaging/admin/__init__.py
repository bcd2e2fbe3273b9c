"""The web admin of the traffic, and what it adds to the pages of contacts and employees."""

from messaging.admin import deliveries, messages, offers, templates

__all__ = ["deliveries", "messages", "offers", "templates"]
