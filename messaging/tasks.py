"""Queue entries: an id in, one call out."""

from crm.queue import is_idle, ring
from messaging import chores, delivery, errands, greeter, greetings, inbox, inquiries, results


def deliver(message_id: int) -> None:
    delivery.deliver(message_id)


def repeat(attempt_id: int) -> None:
    delivery.repeat(attempt_id)


def run_errands(message_id: int) -> None:
    errands.run(message_id)


def do_chores(corp_id: int) -> None:
    chores.do(corp_id)


def poll_due() -> None:
    """The periodic look for results: rings their own lane, so that a silent provider keeps no send waiting."""
    if is_idle(results.LANE):
        ring("messaging.tasks.poll_results", lane=results.LANE)


def poll_results() -> None:
    results.poll_results()
    inquiries.ask_about_lost()


def handle_callbacks(corp_id: int) -> None:
    inbox.handle(corp_id)


def greet() -> None:
    greeter.greet()


def keep_welcome_files() -> None:
    """Rings the lane of the polls: an upload keeps no send waiting."""
    ring("messaging.tasks.upload_welcome_files", lane=results.LANE)


def upload_welcome_files() -> int:
    return greeter.keep_files()


def forget_old_callbacks() -> int:
    return inbox.forget_old()


def sweep() -> None:
    delivery.recover()
    greetings.expire()
    greetings.tell()
    if is_idle(greetings.LANE) and greetings.is_any_due():
        ring("messaging.tasks.greet", lane=greetings.LANE)
    if is_idle(inbox.LANE):
        for corp_id in inbox.unattended():
            ring("messaging.tasks.handle_callbacks", corp_id, lane=inbox.LANE)
    if is_idle(errands.LANE):
        for message_id in errands.unattended():
            ring("messaging.tasks.run_errands", message_id, lane=errands.LANE)
    if is_idle(chores.LANE):
        for corp_id in chores.unattended():
            ring("messaging.tasks.do_chores", corp_id, lane=chores.LANE)
