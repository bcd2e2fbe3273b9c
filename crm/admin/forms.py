"""The connect form: which corp, which app of it, and where in the provider's console each value stands."""

import base64
import binascii
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from crm.addresses import provider_address
from crm.admin_forms import SecretInput
from crm.errors import Invalid
from crm.models import Agent, Corp
from crm.providers import DIALECTS

_PARTS_OF_THE_WORLD = frozenset(
    "Africa America Antarctica Arctic Asia Atlantic Australia Europe Indian Pacific".split()
)
SECRETS = ("secret", "callback_token", "callback_aes_key")

_CORPID_HELP = _(
    "WeCom admin console: My company (我的企业) → at the very bottom, 企业ID. It begins with ww."
)
_AGENTID_HELP = _("WeCom admin console: App management (应用管理) → your app → AgentId.")
_SECRET_HELP = _(
    "On the same page: Secret → View; WeCom shows it on the administrator's phone. Add the app under"
    " 客户联系 → 可调用接口的应用, or contacts cannot be read (48002)."
)
_CALLBACK_HELP = _("Your app → 接收消息 → 设置API接收: the Token you typed there.")
_AES_HELP = _("The EncodingAESKey of the same page: 43 letters and digits.")
_URL_HELP = _(
    "Scheme, host and port only, such as https://qyapi.weixin.qq.com; another one for a private deployment."
)
_DIALECT_HELP = _(
    "official: the public WeCom service. direct: a service that lists contacts with externalcontact/list and a cursor"
    " and lets contacts be created."
)


class ZoneInput(UnfoldAdminTextInputWidget):
    """A time zone, found by typing a part of its name; empty shows the one that holds then."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        told = {"list": f"{name}-choices", "placeholder": settings.TIME_ZONE, "spellcheck": "false"}
        box = super().render(name, value, {**(attrs or {}), **told}, renderer)
        options = format_html_join("", '<option value="{}"></option>', ((zone,) for zone in places()))
        return format_html('{}<datalist id="{}-choices">{}</datalist>', box, name, options)


@cache
def places() -> list[str]:
    """The zones that are named after a place: `Asia/Shanghai`, not `PRC` or `Etc/GMT-8`."""
    return sorted(zone for zone in available_timezones() if zone.partition("/")[0] in _PARTS_OF_THE_WORLD)


class CorpForm(forms.ModelForm):
    class Meta:
        model = Corp
        fields = ("corpid", "name", "dialect", "base_url", "time_zone", "is_active", "is_sending_paused")
        help_texts = {"corpid": _CORPID_HELP, "dialect": _DIALECT_HELP, "base_url": _URL_HELP}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "time_zone" in self.fields:
            self.fields["time_zone"].widget = ZoneInput()
        if "dialect" in self.fields:
            known = [choice for choice in Corp.Dialect.choices if choice[0] in DIALECTS]
            self.fields["dialect"].choices = known  # type: ignore[attr-defined]

    def clean_corpid(self) -> str:
        return self.cleaned_data["corpid"].strip()

    def clean_base_url(self) -> str:
        try:
            return provider_address(self.cleaned_data["base_url"])
        except Invalid as error:
            raise forms.ValidationError(str(error)) from None

    def save(self, commit: bool = True) -> Corp:
        corp = super().save(commit=False)
        if not corp.provider:
            dingtalk = corp.dialect == Corp.Dialect.DINGTALK
            corp.provider = Corp.Provider.DINGTALK if dingtalk else Corp.Provider.WECOM
        if commit:
            corp.save()
        return corp


class AgentForm(forms.ModelForm):
    """Stored secrets never come back to the browser: the inputs are empty, and an empty one keeps what is stored."""

    class Meta:
        model = Agent
        fields = ("name", "agentid", "app_key", "secret", "callback_token", "callback_aes_key")
        widgets = dict.fromkeys(SECRETS, SecretInput)
        help_texts = {
            "agentid": _AGENTID_HELP,
            "secret": _SECRET_HELP,
            "callback_token": _CALLBACK_HELP,
            "callback_aes_key": _AES_HELP,
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept = {name: getattr(self.instance, name) for name in SECRETS}
        for name in SECRETS:
            self.initial[name] = ""
            if name not in self.fields:
                continue
            field = self.fields[name]
            field.widget = SecretInput()
            if self.kept[name]:
                field.required = False
                field.widget.attrs["placeholder"] = _("stored: leave empty to keep it")

    def clean_app_key(self) -> str:
        """DingTalk knows an app by its key, WeCom by its corp. The first app's corp is in the form beside this one."""
        app_key = str(self.cleaned_data["app_key"]).strip()
        corp = self.cleaned_data.get("corp") or (self.instance.corp if self.instance.corp_id else None)
        if corp is None:
            return app_key
        if corp.provider == Corp.Provider.DINGTALK and not app_key:
            raise forms.ValidationError(_("An app of DingTalk needs its AppKey (Client ID)."))
        if corp.provider == Corp.Provider.WECOM and app_key:
            raise forms.ValidationError(_("Only apps of DingTalk have an AppKey."))
        return app_key

    def _kept_or_new(self, name: str) -> str:
        return str(self.cleaned_data[name]).strip() or self.kept[name]

    def clean_secret(self) -> str:
        return self._kept_or_new("secret")

    def clean_callback_token(self) -> str:
        return self._kept_or_new("callback_token")

    def clean_callback_aes_key(self) -> str:
        key = self._kept_or_new("callback_aes_key")
        try:
            valid = not key or (len(key) == 43 and len(base64.b64decode(key + "=", validate=True)) == 32)
        except binascii.Error:
            valid = False
        if not valid:
            raise forms.ValidationError(_("An EncodingAESKey has exactly 43 letters and digits."))
        return key

    @property
    def secret_changed(self) -> bool:
        return self.cleaned_data.get("secret", "") != self.kept["secret"]
