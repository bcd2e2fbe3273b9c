"""What our commands share: one JSON document on stdout, sentences on stderr, exit codes that scripts rely on."""

import argparse
import json
import os
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from crm.models import Corp

BAD_INPUT = 2


class Refusal(CommandError):
    """Bad input, with a stable code for `--json`."""

    def __init__(self, sentence: str, *, code: str = "bad_input") -> None:
        super().__init__(sentence, returncode=BAD_INPUT)
        self.code = code


class Command(BaseCommand):
    """A command whose bad input is exit 2, said in one sentence, with `--json` also in one document (contract A3)."""

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
            if options.get("json"):
                self.print_json({"code": refusal.code, "detail": str(refusal)})
            raise

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
