"""Queue entries: an id in, one call out."""

from messaging import delivery, results


def deliver(message_id: int) -> None:
    delivery.deliver(message_id)


def poll_results() -> None:
    results.poll_results()


def sweep() -> None:
    delivery.recover()
