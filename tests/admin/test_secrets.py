"""Corps and agents: connecting one, and secrets that go in and never come out."""

import pytest

from crm.models import AccessToken, Agent, ApiKey, Corp
from crm.simulator.server import Simulator
from tests import factories
from tests.admin.conftest import Browser, Cast

AES = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def agent_form(**fields: str) -> dict[str, str]:
    return {"name": "", "secret": "", "callback_token": "", "callback_aes_key": "", **fields}


def connect_form(**fields: str) -> dict[str, str]:
    return {
        "corpid": "ww-new",
        "name": "New mill",
        "dialect": "official",
        "base_url": "https://qyapi.weixin.qq.com/",
        "is_active": "on",
        "agents-TOTAL_FORMS": "1",
        "agents-INITIAL_FORMS": "0",
        "agents-0-agentid": "1000009",
        "agents-0-secret": "fresh-secret",
        **fields,
    }


def test_connect_form_makes_corp_and_agent(sun: Browser) -> None:
    assert sun.post("crm/corp/add/", connect_form()).status_code == 302
    corp = Corp.objects.get(corpid="ww-new")
    assert (corp.provider, corp.dialect, corp.base_url) == (
        "wecom",
        "official",
        "https://qyapi.weixin.qq.com",
    )
    assert corp.agents.get().secret == "fresh-secret"


@pytest.mark.parametrize(
    "url",
    [
        "https://qyapi.weixin.qq.com/cgi-bin",
        "ftp://x",
        "javascript:alert(1)",
        "https://user:pw@x.example",
        "https://:pw@x.example",
        "https://x.example:99999",
    ],
)
def test_connect_form_refuses_an_address_that_is_more_than_a_host(sun: Browser, url: str) -> None:
    answer = sun.post("crm/corp/add/", connect_form(base_url=url))
    assert answer.status_code == 200
    assert not Corp.objects.filter(corpid="ww-new").exists()


@pytest.mark.parametrize(
    "path", ["crm/agent/{}/change/", "crm/agent/", "crm/corp/{}/change/", "crm/event/", ""]
)
@pytest.mark.parametrize("name", ["sun", "shen"])
def test_stored_secrets_are_never_rendered(cast: Cast, name: str, path: str) -> None:
    agent = cast.agent
    Agent.objects.filter(pk=agent.pk).update(callback_token="canary-token", callback_aes_key=AES)
    pk = agent.corp_id if "corp" in path else agent.pk
    page = cast.browser(name).get(path.format(pk)).content.decode()
    for secret in ("canary-secret", "canary-token", AES):
        assert secret not in page


def test_secret_refused_with_another_field_is_not_rendered_back(cast: Cast, sun: Browser) -> None:
    form = agent_form(secret="typed-secret", callback_aes_key="too short")
    page = sun.post(f"crm/agent/{cast.agent.pk}/change/", form).content.decode()
    assert "43" in page
    assert "typed-secret" not in page
    assert "too short" not in page


def test_blank_secret_keeps_the_stored_one_and_the_token(cast: Cast, sun: Browser) -> None:
    AccessToken.objects.create(agent=cast.agent, value="token")
    assert sun.post(f"crm/agent/{cast.agent.pk}/change/", agent_form(name="Sales app")).status_code == 302
    assert (cast.agent.secret, cast.agent.name) == ("canary-secret", "Sales app")
    assert AccessToken.objects.exists()


def test_new_secret_drops_the_stored_token(cast: Cast, sun: Browser) -> None:
    AccessToken.objects.create(agent=cast.agent, value="token")
    sun.post(f"crm/agent/{cast.agent.pk}/change/", agent_form(secret="another"))
    assert cast.agent.secret == "another"
    assert AccessToken.objects.get().value == ""


def test_changed_address_drops_the_stored_token(cast: Cast, sun: Browser) -> None:
    AccessToken.objects.create(agent=cast.agent, value="token")
    sun.post(
        f"crm/corp/{cast.corp.pk}/change/",
        {"name": "South", "base_url": "https://other.example", "is_active": "on"},
    )
    assert Corp.objects.get().base_url == "https://other.example"
    assert AccessToken.objects.get().value == ""


def test_auditor_sees_agents_and_changes_nothing(cast: Cast) -> None:
    shen = cast.browser("shen")
    assert shen.get(f"crm/agent/{cast.agent.pk}/change/").status_code == 200
    assert shen.post(f"crm/agent/{cast.agent.pk}/change/", agent_form(secret="x")).status_code == 403
    assert shen.post(f"crm/agent/{cast.agent.pk}/test/").status_code == 403


def test_connection_test_says_how_many_employees_are_visible(
    cast: Cast, sun: Browser, sim: Simulator
) -> None:
    corp = factories.corp_of(sim.corp("official"))
    assert sun.get(f"crm/agent/{corp.agents.get().pk}/test/").status_code == 405
    answer = sun.post(f"crm/agent/{corp.agents.get().pk}/test/", follow=True)
    assert "It works" in answer.content.decode()


def test_connection_test_says_the_providers_words_and_the_fix(
    cast: Cast, sun: Browser, sim: Simulator
) -> None:
    corp = factories.corp_of(sim.corp("direct"))
    agent = corp.agents.get()
    Agent.objects.filter(pk=agent.pk).update(secret="wrong")
    page = sun.post(f"crm/agent/{agent.pk}/test/", follow=True).content.decode()
    assert "40001" in page
    assert "The secret is wrong" in page


def test_api_key_is_revoked_by_an_administrator_on_a_post(cast: Cast, sun: Browser) -> None:
    key, plain = factories.api_key(cast.users["lin"])
    path = f"crm/apikey/{key.pk}/revoke/"
    assert sun.get(path).status_code == 200
    assert cast.browser("shen").post(path).status_code == 403
    assert ApiKey.objects.get().revoked_at is None
    assert sun.post(path).status_code == 302
    assert ApiKey.objects.get().revoked_at is not None
    assert plain not in sun.get("crm/apikey/").content.decode()


def test_app_of_dingtalk_needs_its_key_and_one_of_wecom_has_none(
    dingtalk_corp: Corp, direct_corp: Corp, sun: Browser
) -> None:
    ding, wecom = dingtalk_corp.agents.get(), direct_corp.agents.get()
    assert "needs its AppKey" in sun.post(f"crm/agent/{ding.pk}/change/", agent_form()).content.decode()
    told = agent_form(app_key="k")
    assert "Only apps of DingTalk" in sun.post(f"crm/agent/{wecom.pk}/change/", told).content.decode()
    sun.post(f"crm/agent/{ding.pk}/change/", agent_form(app_key="dingother"))
    ding.refresh_from_db()
    assert ding.app_key == "dingother"


def test_wrong_secret_of_dingtalk_is_told_as_that(dingtalk_corp: Corp, sun: Browser) -> None:
    agent = dingtalk_corp.agents.get()
    dingtalk_corp.agents.update(secret="wrong")
    page = sun.post(f"crm/agent/{agent.pk}/test/", follow=True).content.decode()
    assert "Compare AppKey and AppSecret" in page
    assert "does not know this contact" not in page
