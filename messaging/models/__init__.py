"""The traffic's tables: what leaves, what comes in, and what is kept to be sent."""

from messaging.models.callbacks import Callback, ReceivedMessage
from messaging.models.chores import CardClick, Chore, ReceivedFile
from messaging.models.stock import MediaFile, Template
from messaging.models.traffic import Attempt, DayUse, Delivery, Errand, Message
from messaging.models.welcome import Greeting, Welcome

__all__ = [
    "Attempt",
    "Callback",
    "CardClick",
    "Chore",
    "DayUse",
    "Delivery",
    "Errand",
    "Greeting",
    "MediaFile",
    "Message",
    "ReceivedFile",
    "ReceivedMessage",
    "Template",
    "Welcome",
]
