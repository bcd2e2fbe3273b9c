"""The reading vocabulary of the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django.utils import timezone

from contacts.access import visible_corps
from contacts.querysets import sees_everything
from crm import roles

if TYPE_CHECKING:
    from crm.models import Corp
    from messaging.models import (  # noqa: F401  (in string annotations)
        Delivery,
        Greeting,
        MediaFile,
        Message,
        ReceivedFile,
        ReceivedMessage,
        Template,
        Welcome,
    )

User = AbstractBaseUser | AnonymousUser


class MessageQuerySet(models.QuerySet["Message"]):
    def visible_to(self, user: User) -> Self:
        """One's own messages; a manager also sees those of people in the led teams; administrators all."""
        if sees_everything(user):
            return self
        if roles.role_of(user) == roles.MANAGER:
            return self.filter(Q(created_by=user.pk) | Q(created_by__employee__in=_reach(user)))
        return self.filter(created_by=user.pk)

    def unapproved(self) -> Self:
        """Those that ask to go out in quiet hours, and wait for somebody's word."""
        return self.filter(
            urgent_requested=True, urgent_approved_at__isnull=True, state=self.model.State.OPEN
        )


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, user: User) -> Self:
        """The deliveries of the messages that `user` may see."""
        if sees_everything(user):
            return self
        messages = apps.get_model("messaging", "Message").objects.visible_to(user)
        return self.filter(Exists(messages.filter(pk=OuterRef("message"))))

    def due(self) -> Self:
        now = timezone.now()
        return self.filter(
            Q(message__expires_at__isnull=True) | Q(message__expires_at__gt=now),
            Q(message__not_before__isnull=True) | Q(message__not_before__lte=now),
            Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now),
            state=self.model.State.QUEUED,
            message__paused_at__isnull=True,
            message__corp__is_active=True,
            message__corp__is_sending_paused=False,
        )

    def counts(self) -> dict[str, int]:
        """{state: number}, states without deliveries left out."""
        return dict(self.order_by().values_list("state").annotate(n=Count("pk")))


class TemplateQuerySet(models.QuerySet["Template"]):
    def visible_to(self, user: User) -> Self:
        """The templates of the corps a person works in."""
        return self.filter(corp__in=visible_corps(user))

    def active(self) -> Self:
        return self.filter(is_active=True)


class WelcomeQuerySet(models.QuerySet["Welcome"]):
    def visible_to(self, user: User) -> Self:
        """The welcome messages of the corps a person works in."""
        return self.filter(corp__in=visible_corps(user))

    def active(self) -> Self:
        return self.filter(is_active=True)

    def for_arrival(self, corp: Corp, *, userid: str, state: str) -> Welcome | None:
        """What to say to who has added the employee `userid` by the contact way whose token is `state`.

        That of the way, else that of the employee, else that for everybody.
        """
        scope = self.model.Scope
        of_employee = Q(scope=scope.EMPLOYEES, employees__userid__iexact=userid)
        of_way = Q(scope=scope.WAY, way__token=state)
        found = self.active().filter(Q(scope=scope.CORP) | of_employee | of_way, corp=corp)
        ranks = (scope.WAY, scope.EMPLOYEES, scope.CORP)
        return min(found.order_by("-pk"), key=lambda each: ranks.index(scope(each.scope)), default=None)


class GreetingQuerySet(models.QuerySet["Greeting"]):
    def visible_to(self, user: User) -> Self:
        """The greetings in the name of employees within reach."""
        return self if sees_everything(user) else self.filter(employee__in=_reach(user))

    def open(self) -> Self:
        return self.filter(state__in=self.model.OPEN)

    def awaited(self) -> Self:
        """Those for which a try may still be begun."""
        in_time = self.open().filter(deadline__gt=timezone.now())
        return in_time.filter(corp__is_active=True, corp__is_sending_paused=False)

    def due(self) -> Self:
        return self.awaited().filter(next_attempt_at__lte=timezone.now())


class MediaFileQuerySet(models.QuerySet["MediaFile"]):
    def visible_to(self, user: User) -> Self:
        """The library of the corps a person works in."""
        return self.filter(corp__in=visible_corps(user))

    def active(self) -> Self:
        return self.filter(is_active=True)


_MediaFileManager = models.Manager.from_queryset(MediaFileQuerySet)


class MediaFileManager(_MediaFileManager["MediaFile"]):
    """A list of a hundred files must not load two gigabytes."""

    def get_queryset(self) -> MediaFileQuerySet:
        return super().get_queryset().defer("data")  # type: ignore[return-value]


class ReceivedMessageQuerySet(models.QuerySet["ReceivedMessage"]):
    def visible_to(self, user: User) -> Self:
        """What the employees within reach wrote; one's own, at least."""
        if sees_everything(user):
            return self
        writers = apps.get_model("contacts", "Employee").objects.reached_by(user)
        return self.filter(Exists(writers.filter(corp=OuterRef("corp"), userid=OuterRef("userid"))))

    def with_files(self) -> Self:
        return self.select_related("file").defer("file__data")


_ReceivedMessageManager = models.Manager.from_queryset(ReceivedMessageQuerySet)


class ReceivedMessageManager(_ReceivedMessageManager["ReceivedMessage"]):
    """Of all callbacks, the messages."""

    def get_queryset(self) -> ReceivedMessageQuerySet:
        rows: ReceivedMessageQuerySet = super().get_queryset()  # type: ignore[assignment]
        return rows.filter(kind__in=self.model.Kind.values)


class ReceivedFileManager(models.Manager["ReceivedFile"]):
    """A picture is loaded to be shown, not to be counted."""

    def get_queryset(self) -> models.QuerySet[ReceivedFile]:
        return super().get_queryset().defer("data")


def _reach(user: User) -> Subquery:
    return Subquery(apps.get_model("contacts", "Employee").objects.reached_by(user).values("pk"))
