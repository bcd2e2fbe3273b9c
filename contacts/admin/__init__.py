"""The web admin of the mirror."""

from contacts.admin import contacts, follows, people, runs, users, ways

__all__ = ["contacts", "follows", "people", "runs", "users", "ways"]
