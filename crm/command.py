"""What our commands share: one JSON document on stdout, sentences on stderr, exit codes that scripts rely on."""

import argparse
import json
import os
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFailure
from django.db.models import CharField, Model

from crm.models import Corp

FAILED, BAD_INPUT = 1, 2


class Refusal(CommandError):
    """Bad input, with a stable code for `--json`."""

    def __init__(self, sentence: str, *, code: str = "bad_input") -> None:
        super().__init__(sentence, returncode=BAD_INPUT)
        self.code = code


class Command(BaseCommand):
    """A command whose bad input is exit 2, said in one sentence, with `--json` also in one document (contract A3).

    A database that is not there is exit 1, said in the same way; a fault of ours keeps its traceback on stderr.
    """

    requires_system_checks = ()  # they import every page of the web; `check` and `migrate` run them
    _has_printed = False

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except SystemExit as ending:
            if ending.code and "--json" in argv and not self._has_printed:
                self.print_json({"code": "usage", "detail": f"See: manage.py {argv[1]} --help"})
            raise

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except Refusal as refusal:
            self._tell(refusal.code, str(refusal), options)
            raise
        except DatabaseFailure as failure:
            detail = _database_sentence(failure)
            self._tell("database_unavailable", detail, options)
            raise CommandError(detail, returncode=FAILED) from failure
        except Exception as fault:
            self._tell("internal", type(fault).__name__, options)
            raise

    def _tell(self, code: str, detail: str, options: dict[str, Any]) -> None:
        if options.get("json") and not self._has_printed:
            self.print_json({"code": code, "detail": detail})

    def add_json(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    def add_secret(
        self, parser: argparse.ArgumentParser, name: str, what: str, *, required: bool = False
    ) -> None:
        group = parser.add_mutually_exclusive_group(required=required)
        group.add_argument(f"--{name}-env", metavar="VAR", help=f"environment variable that holds {what}")
        group.add_argument(f"--{name}-file", metavar="PATH", help=f"file that holds {what}")

    def say(self, text: str) -> None:
        self.stderr.write(text, self.style.NOTICE)

    def print_json(self, document: dict[str, Any]) -> None:
        self._has_printed = True
        self.stdout.write(json.dumps(document, ensure_ascii=False))


def bad_input(sentence: str, *, code: str = "bad_input") -> NoReturn:
    raise Refusal(sentence, code=code)


def _database_sentence(failure: DatabaseFailure) -> str:
    """Without the driver's own words, which name hosts and users."""
    return (
        f"The database does not answer or lacks tables ({type(failure).__name__}): check DATABASE_URL and that its "
        "server runs, then: python manage.py migrate. --traceback shows all of it."
    )


def must_fit(option: str, value: str | None, model: type[Model], field: str) -> None:
    """Bad input unless the column takes `value`: databases differ in what they do with one that is too long."""
    if value is None:
        return
    column = model._meta.get_field(field)
    assert isinstance(column, CharField)
    if len(value) > (column.max_length or 0):
        bad_input(f"{option}: at most {column.max_length} characters, not {len(value)}.")
    if not value and not column.blank:
        bad_input(f"{option} is empty.")


def secret_of(options: dict[str, Any], name: str) -> str | None:
    """The secret named by `--<name>-env` or `--<name>-file`; None when neither was given."""
    variable, path = options.get(f"{name}_env"), options.get(f"{name}_file")
    if variable is not None:
        value = os.environ.get(variable, "")
        return value or bad_input(f"The environment variable {variable} is empty or not set.")
    if path is not None:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            bad_input(f"{path}: {error.strerror}")
        return value or bad_input(f"{path} is empty.")
    return None


def corp_of(corpid: str) -> Corp:
    connected = ", ".join(Corp.objects.values_list("corpid", flat=True)) or "none"
    return Corp.objects.filter(corpid=corpid).first() or bad_input(
        f"No corp {corpid} is connected. Connected: {connected}."
    )
