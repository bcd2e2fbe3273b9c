"""`makemessages`, which also knows `_now`: our name for gettext where `_` is its lazy twin."""

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=_now"]  # noqa: RUF012  Django's own name
