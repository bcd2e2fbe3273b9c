"""The mirror's tables: who is in the corp and whom they follow, and what each sync run did; the ways in."""

from contacts.models.contacts import Contact, FollowUser, Tag
from contacts.models.people import Employee, Team, TeamMembership
from contacts.models.runs import MirrorClock, Quarantine, SyncPart, SyncRun
from contacts.models.ways import Arrival, ContactWay

__all__ = [
    "Arrival",
    "Contact",
    "ContactWay",
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
