"""create_api_key: a key of the REST API for a user, printed once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from crm.command import Command as OurCommand
from crm.command import bad_input
from crm.keys import MAX_DAYS, SCOPES, UnknownScope, make_key


class Command(OurCommand):
    help = "Make a key of the REST API. It is printed once and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--user", required=True, help="login name; the key never reaches further than its user"
        )
        parser.add_argument("--scopes", required=True, help=f"comma-separated, of: {', '.join(SCOPES)}")
        parser.add_argument(
            "--expires",
            type=int,
            default=MAX_DAYS,
            metavar="DAYS",
            help=f"1 to {MAX_DAYS} (default {MAX_DAYS})",
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["expires"] <= MAX_DAYS:
            bad_input(f"--expires must be 1 to {MAX_DAYS} days.", code="invalid_expiry")
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            bad_input(
                f"There is no active user {options['user']!r}: run create_user first.", code="unknown_user"
            )
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        expires_at = timezone.localtime() + timedelta(days=options["expires"])
        try:
            row, key = make_key(user, scopes=scopes, expires_at=expires_at)
        except UnknownScope as error:
            bad_input(f"Unknown scope {str(error)!r}; there are {', '.join(SCOPES)}.", code="unknown_scope")
        if not options["json"]:
            self.stdout.write(key)
            self.say(f"The key of {user.get_username()}, until {expires_at:%Y-%m-%d}. It is not shown again.")
            return
        self.print_json(
            {
                "id": row.pk,
                "key": key,
                "prefix": row.prefix,
                "user": user.get_username(),
                "scopes": row.scopes,
                "expires_at": expires_at.isoformat(),
            }
        )
