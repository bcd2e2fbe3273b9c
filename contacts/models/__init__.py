"""The mirror's tables: who is in the corp and whom they follow, and what each sync run did."""

from contacts.models.contacts import Contact, FollowUser, Tag
from contacts.models.people import Employee, Team, TeamMembership
from contacts.models.runs import MirrorClock, Quarantine, SyncPart, SyncRun

__all__ = [
    "Contact",
    "Employee",
    "FollowUser",
    "MirrorClock",
    "Quarantine",
    "SyncPart",
    "SyncRun",
    "Tag",
    "Team",
    "TeamMembership",
]
