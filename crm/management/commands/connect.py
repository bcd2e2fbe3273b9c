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

DEFAULT_ADDRESS = {"dingtalk": "https://oapi.dingtalk.com", "wecom": "https://qyapi.weixin.qq.com"}
DIALECTS = {"dingtalk": ["dingtalk"], "wecom": ["official", "direct"]}  # of each provider, the default first


class Command(OurCommand):
    help = "Connect a corp of WeCom or DingTalk through one of its apps, or change the connection."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("provider", choices=sorted(DEFAULT_ADDRESS))
        parser.add_argument("--corpid", required=True)
        parser.add_argument(
            "--dialect",
            choices=["dingtalk", "direct", "official"],
            help="default: official or dingtalk, or as connected",
        )
        parser.add_argument("--app-key", help="the AppKey of a DingTalk app (required for dingtalk)")
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
        must_fit("--app-key", options["app_key"], Agent, "app_key")
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
            changes |= self._app_key(corp, options)
            if options["callback_mode"]:
                changes["callback_mode"] = options["callback_mode"]
            agent, made_agent = save_agent(corp, options["agentid"], changes)
        self._report(corp, agent, created=made_corp or made_agent, as_json=options["json"])

    def _corp(self, options: dict[str, Any]) -> tuple[Corp, bool]:
        if not re.fullmatch(r"[A-Za-z0-9_\-]{1,64}", options["corpid"]):
            bad_input("--corpid: letters, digits, - and _ only, at most 64.")
        corp = Corp.objects.filter(corpid=options["corpid"]).first()
        made = corp is None
        provider = options["provider"]
        if corp is None:
            corp = Corp(corpid=options["corpid"], provider=provider, dialect=DIALECTS[provider][0])
            corp.base_url = DEFAULT_ADDRESS[provider]
        if corp.provider != provider:
            bad_input(f"{corp.corpid} is a corp of {corp.get_provider_display()}.")
        if options["dialect"] and options["dialect"] not in DIALECTS[provider]:
            bad_input(f"--dialect: {provider} speaks {' or '.join(DIALECTS[provider])}.")
        corp.dialect = options["dialect"] or corp.dialect
        corp.base_url = _base_url(options["base_url"]) or corp.base_url
        corp.name = options["name"] if options["name"] is not None else corp.name
        corp.save()
        return corp, made

    def _app_key(self, corp: Corp, options: dict[str, Any]) -> dict[str, str]:
        """DingTalk knows an app by its key; an agent that has one keeps it."""
        app_key = (options["app_key"] or "").strip()
        if corp.provider != Corp.Provider.DINGTALK:
            if app_key:
                bad_input("--app-key is for dingtalk.")
            return {}
        held = corp.agents.filter(agentid=options["agentid"]).exclude(app_key="").exists()
        if not app_key and not held:
            bad_input("--app-key is required for dingtalk.")
        return {"app_key": app_key} if app_key else {}

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
