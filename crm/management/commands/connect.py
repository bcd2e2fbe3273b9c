"""manage.py connect: create or update a corp and one of its agents. Makes no network call."""

import argparse
import re
from typing import Any

from django.db import transaction

from crm.addresses import provider_address
from crm.command import Command as OurCommand
from crm.command import bad_input, must_fit, secret_of
from crm.connections import save_agent
from crm.errors import Invalid
from crm.models import Agent, Corp

DEFAULT_ADDRESS = {"wecom": "https://qyapi.weixin.qq.com"}


class Command(OurCommand):
    help = "Connect a corp of WeCom through one of its apps, or change the connection."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("provider", choices=sorted(DEFAULT_ADDRESS))
        parser.add_argument("--corpid", required=True)
        parser.add_argument(
            "--dialect", choices=["direct", "official"], help="default: official, or as connected"
        )
        parser.add_argument("--agentid", required=True)
        parser.add_argument("--name", default=None, help="what people call the corp")
        parser.add_argument("--base-url", help="scheme, host and port of the provider")
        parser.add_argument("--callback-mode", choices=["encrypted", "signature"])
        self.add_secret(parser, "secret", "the app's secret", required=True)
        self.add_secret(parser, "callback-token", "the callback token")
        self.add_secret(parser, "aes-key", "the callback's EncodingAESKey")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        must_fit("--agentid", options["agentid"], Agent, "agentid")
        must_fit("--name", options["name"], Corp, "name")
        must_fit("--base-url", options["base_url"], Corp, "base_url")
        secrets = {
            "secret": secret_of(options, "secret"),
            "callback_token": secret_of(options, "callback_token"),
            "callback_aes_key": _aes_key(secret_of(options, "aes_key")),
        }
        with transaction.atomic():
            corp, made_corp = self._corp(options)
            changes = {name: value for name, value in secrets.items() if value is not None}
            if options["callback_mode"]:
                changes["callback_mode"] = options["callback_mode"]
            agent, made_agent = save_agent(corp, options["agentid"], changes)
        self._report(corp, agent, created=made_corp or made_agent, as_json=options["json"])

    def _corp(self, options: dict[str, Any]) -> tuple[Corp, bool]:
        if not re.fullmatch(r"[A-Za-z0-9_\-]{1,64}", options["corpid"]):
            bad_input("--corpid: letters, digits, - and _ only, at most 64.")
        corp = Corp.objects.filter(corpid=options["corpid"]).first()
        made = corp is None
        if corp is None:
            corp = Corp(corpid=options["corpid"], provider=options["provider"], dialect="official")
            corp.base_url = DEFAULT_ADDRESS[options["provider"]]
        corp.dialect = options["dialect"] or corp.dialect
        corp.base_url = _base_url(options["base_url"]) or corp.base_url
        corp.name = options["name"] if options["name"] is not None else corp.name
        corp.save()
        return corp, made

    def _report(self, corp: Corp, agent: Agent, *, created: bool, as_json: bool) -> None:
        if as_json:
            self.print_json(
                {
                    "corp": corp.corpid,
                    "provider": corp.provider,
                    "dialect": corp.dialect,
                    "agentid": agent.agentid,
                    "callback_url": agent.callback_url,
                    "created": created,
                }
            )
            return
        self.stdout.write(
            f"{'Connected' if created else 'Updated'} {corp.corpid} ({corp.dialect}), agent {agent.agentid}."
        )
        self.stdout.write(f"Callback address: {agent.callback_url}")
        self.stdout.write(f"Next: python manage.py sync_contacts --corp {corp.corpid}")


def _base_url(address: str | None) -> str | None:
    if address is None:
        return None
    try:
        return provider_address(address)
    except Invalid as error:
        hint = "http is for CRM_ALLOW_PRIVATE_UPSTREAM=1: tests, demo, private deployments."
        bad_input(f"--base-url: {error}" + (f" {hint}" if address.startswith("http:") else ""))


def _aes_key(key: str | None) -> str | None:
    """43 characters that decode to 32 bytes: a wrong one is refused now, not at the first callback."""
    if key is not None and not re.fullmatch(r"[A-Za-z0-9]{43}", key):
        bad_input("The EncodingAESKey must be 43 letters and digits.")
    return key
