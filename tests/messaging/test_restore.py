"""After a backup was restored nothing goes out by itself (guarantees M10)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import roles
from crm.errors import NotAllowed, NotFound
from messaging import control, tasks
from messaging.models import Delivery, Errand, Message
from tests import factories
from tests.messaging.house import House, claimed

API = "externalcontact/message/send"


def test_after_a_restore_nothing_is_sent_until_it_is_released(direct: House, manage: Any) -> None:
    message = direct.compose()
    claimed(message)  # somebody was about to speak when the backup was made
    message.tries.update(lease_until=timezone.now() - timedelta(seconds=1))
    manage("doctor", "--post-restore", "--json")
    tasks.sweep()
    Delivery.objects.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    message.refresh_from_db()
    assert (message.pause_reason, direct.posts(API)) == ("restore", [])
    with pytest.raises((NotAllowed, NotFound)):
        control.resume(message, user=factories.user(roles.SALES), actor="user:x")
    control.resume(message, user=direct.user, actor="user:test")
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_what_a_restore_held_is_not_released_by_the_salesperson_who_wrote_it(direct: House) -> None:
    lin = factories.user(roles.SALES)
    message = direct.compose()
    Message.objects.update(created_by=lin)
    control.hold_after_restore(actor="command")
    message.refresh_from_db()
    with pytest.raises(NotAllowed):
        control.resume(message, user=lin, actor="user:lin")


def test_a_message_that_was_paused_when_the_backup_was_made_is_held_too(direct: House) -> None:
    message = direct.compose()
    control.pause(message, user=direct.user, actor="user:test")
    assert control.hold_after_restore(actor="command") == 1
    assert control.hold_after_restore(actor="command") == 0
    message.refresh_from_db()
    assert message.pause_reason == "restore"


def test_a_reminder_that_waited_in_a_backup_is_not_made_after_the_restore(official: House) -> None:
    message = official.compose()
    errand = Errand.objects.create(message=message, kind="remind", msgid="m", actor="user:test")
    control.hold_after_restore(actor="command")
    tasks.run_errands(message.pk)
    errand.refresh_from_db()
    assert (errand.state, errand.code) == ("failed", "restored")
