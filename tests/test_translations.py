"""The product in Simplified Chinese: catalogues without a gap, and pages without an English word."""

import re
from datetime import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import django
import polib
import pytest
import unfold
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client

from contacts.models import SyncPart, SyncRun, Tag, Team
from crm.models import Corp
from messaging.models import CardClick, Delivery, Greeting, Message, ReceivedFile, ReceivedMessage
from tests import factories
from tests.marked import marked_in

ROOT = Path(__file__).resolve().parent.parent
CATALOGUES = [
    ROOT / "crm" / folder / "zh_Hans" / "LC_MESSAGES" / "django.po" for folder in ("locale", "locale_unfold")
]
OWN, UNFOLD = CATALOGUES
REMEDY = (
    "run: python manage.py makemessages -l zh_Hans -i .venv -i tests -i var --add-location file; "
    "translate; then: python manage.py compilemessages -l zh_Hans -i .venv"
)

Key = tuple[str | None, str]


def catalogue(path: Path) -> dict[Key, polib.POEntry]:
    entries = polib.pofile(str(path)) if path.suffix == ".po" else polib.mofile(str(path))
    return {(entry.msgctxt, entry.msgid): entry for entry in entries if not entry.obsolete}


def texts(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)[.\d]*[a-z]|%[.\d]*[dsf]|\{\w*\}", text))


def known_to_django() -> set[Key]:
    """What the catalogues of Django and of the installed apps translate already."""
    folders = [Path(django.__file__).parent / "conf", *(Path(app.path) for app in apps.get_app_configs())]
    paths = [folder / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.mo" for folder in folders]
    return {key for path in paths if path.exists() for key in catalogue(path)}


# --- The catalogues -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CATALOGUES, ids=["own", "unfold"])
def test_catalogue_when_read_then_every_entry_is_translated(path: Path) -> None:
    assert [key for key, entry in catalogue(path).items() if not all(texts(entry)) or entry.fuzzy] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=["own", "unfold"])
def test_translation_when_compared_with_its_text_then_placeholders_are_the_same(path: Path) -> None:
    wrong = [
        key
        for key, entry in catalogue(path).items()
        for text in texts(entry)
        if placeholders(text) != placeholders(entry.msgid_plural or entry.msgid)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", CATALOGUES, ids=["own", "unfold"])
def test_compiled_catalogue_when_compared_then_it_equals_its_source(path: Path) -> None:
    source, compiled = catalogue(path), catalogue(path.with_suffix(".mo"))
    assert {k: texts(e) for k, e in source.items()} == {k: texts(e) for k, e in compiled.items()}, REMEDY


def test_two_catalogues_when_they_share_a_text_then_they_agree() -> None:
    own, theirs = catalogue(OWN), catalogue(UNFOLD)
    assert [key for key in own.keys() & theirs.keys() if texts(own[key]) != texts(theirs[key])] == []


def test_marked_string_when_in_our_code_then_it_is_in_the_catalogue() -> None:
    known = catalogue(OWN)
    folders = [ROOT / name for name in ("crm", "contacts", "messaging", "templates")]
    missing = [marked for folder in folders for marked in marked_in(folder) if marked.key not in known]
    assert missing == [], REMEDY


def test_marked_string_when_in_the_installed_unfold_then_it_is_translated() -> None:
    known = known_to_django() | catalogue(OWN).keys() | catalogue(UNFOLD).keys()
    marked = marked_in(Path(unfold.__file__).parent)
    assert [each for each in marked if each.key[1] is not None and each.key not in known] == []


# --- The pages ----------------------------------------------------------------------------------------------------

# Latin words that a Chinese page shows: names, and words of WeCom's console and protocol.
NAMES = set(
    """English en zh hans API ID IP URL Secret Token AgentId EncodingAESKey appid access_token userid esc
https qyapi weixin qq com externalcontact list wx ww pages order view id python manage py supervise
Asia Shanghai JPG PNG AMR MP MB KB AppKey Client""".split()
)
VOID = set("area base br col embed hr img input link meta source track wbr".split())
SPOKEN = {"title", "placeholder", "aria-label", "alt"}


class Visible(HTMLParser):
    """Collects what a person reads or hears of a page: texts, and the attributes that are shown or spoken."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: list[bool] = [False]
        self.read: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.read += [value for name, value in told.items() if name in SPOKEN]
        if tag == "input" and told.get("type") in {"submit", "button"}:
            self.read.append(told.get("value", ""))
        if tag not in VOID:
            unread = tag in {"script", "style", "code", "template"} or "material-symbols" in told.get(
                "class", ""
            )
            self.hidden.append(self.hidden[-1] or unread)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and len(self.hidden) > 1:
            self.hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self.hidden[-1]:
            self.read.append(data)


def english_words(html: str) -> set[str]:
    page = Visible()
    page.feed(html)
    return {word for text in page.read for word in re.findall(r"[A-Za-z_]{2,}", text)} - NAMES


@pytest.fixture
def chinese(client: Client, db: None, settings: Any) -> Client:
    settings.CRM_QUIET_HOURS = time(0), time(23, 59, 59, 999999)  # so that what waits says so
    user = factories.user(username="管理员")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-CN"
    return client


@pytest.fixture
def rows(chinese: Client) -> dict[str, Any]:
    """One row of each kind, in every state that has a sentence of its own, with Chinese names throughout."""
    corp = Corp.objects.create(corpid="1", name="晨星文具", provider="wecom", dialect="direct")
    agent = factories.agent(corp, agentid="1000002")
    employee = factories.employee(corp, "1", name="李丽", position="客户经理")
    Team.objects.create(corp=corp, department_id=1, name="销售部")
    Tag.objects.create(corp=corp, tag_id="1", name="重要客户", group_name="级别")
    contact = factories.contact(corp, "1", name="王芳", corp_name="和美食品")
    factories.follow(contact, employee, createtime=1_700_000_000, remark="王总", add_way=1)
    run = SyncRun.objects.create(
        corp=corp, agent=agent, state="complete", trigger="schedule", actor="schedule"
    )
    SyncPart.objects.create(run=run, userids=["1"], state="complete")
    message = Message.objects.create(
        corp=corp,
        agent=agent,
        to_kind="contact",
        msgtype="text",
        content={"msgtype": "text", "text": {"content": "您好"}},
        urgent_requested=True,
    )
    for number, state in enumerate(Delivery.State.values):
        Delivery.objects.create(message=message, to_kind="contact", to=str(number), state=state)
    for kind in ReceivedMessage.Kind.values:
        factories.received(
            corp, "1", kind, Content="您好", Label="西湖", Location_X=1, Location_Y=2, Title="价格", Url="1"
        )
    for errcode, state in ((None, "queued"), (40007, "failed"), (60020, "failed")):
        received = factories.received(corp, "1", "voice")
        ReceivedFile.objects.filter(callback=received).update(state=state, errcode=errcode)
    words = "您好，{contact.name}"
    said = factories.template(corp, words, "欢迎语")
    welcome = factories.welcome(corp, name="欢迎新客户", template=said, instead_of_name="朋友")
    for state in Greeting.State.values:
        content = {"msgtype": "text", "text": {"content": "您好"}}
        factories.greeting(employee, contact, state=state, content=content)
    return {
        "welcome": welcome,
        "way": factories.contact_way(corp, employee, campaign="秋季展会"),
        "file": factories.media_file(corp, name="春季新品"),
        "card": _pressed_card(message),
        "template": factories.template(corp, "您好，{日期}见", "问候"),
        "corp": corp,
        "agent": agent,
        "employee": employee,
        "contact": contact,
        "run": run,
        "message": message,
    }


def _pressed_card(message: Message) -> Message:
    """A card whose button somebody pressed, once for each thing that can become of it."""
    button = {"text": "我来跟进", "key": "1"}
    card = {"main_title": {"title": "线索"}, "button_list": [button], "replace_text": "已跟进"}
    sent = Message.objects.create(
        corp=message.corp,
        agent=message.agent,
        to_kind="employee",
        msgtype="template_card",
        content={"msgtype": "template_card", "template_card": card},
        task_id="1",
    )
    for state in CardClick.State.values:
        sent.clicks.create(
            userid="1", key="1", state=state, errcode=60140, errmsg="1" if state == "failed" else ""
        )
    return sent


PAGES = """
/admin/ /admin/contacts/contact/ /admin/contacts/contact/{contact}/change/ /admin/contacts/contact/add/
/admin/contacts/followuser/ /admin/contacts/employee/ /admin/contacts/employee/{employee}/change/
/admin/contacts/team/ /admin/contacts/tag/ /admin/contacts/syncrun/ /admin/contacts/syncrun/{run}/change/
/admin/contacts/syncrun/{run}/found/
/admin/messaging/message/ /admin/messaging/message/{message}/change/ /admin/messaging/delivery/
/admin/messaging/message/{message}/approve/ /admin/messaging/message/{card}/change/ /admin/messaging/receivedmessage/
/admin/messaging/message/send/start/text/?contact={contact}
/admin/messaging/message/send/start/miniprogram_notice/?contact={contact}
/admin/messaging/template/ /admin/messaging/template/add/ /admin/messaging/template/add/?msgtype=miniprogram_notice
/admin/messaging/template/{template}/change/
/admin/messaging/mediafile/ /admin/messaging/mediafile/add/ /admin/messaging/mediafile/{file}/change/
/admin/messaging/message/send/start/image/?employee={employee}
/admin/contacts/contactway/ /admin/contacts/contactway/add/ /admin/contacts/contactway/{way}/change/
/admin/messaging/welcome/ /admin/messaging/welcome/{welcome}/change/ /admin/messaging/greeting/
/admin/crm/corp/ /admin/crm/corp/add/ /admin/crm/corp/{corp}/change/ /admin/crm/agent/ /admin/crm/agent/{agent}/change/
/admin/crm/apikey/ /admin/auth/user/ /admin/auth/user/add/ /admin/password_change/ /admin/contacts/contact/?q=0
""".split()


@pytest.mark.parametrize("path", PAGES)
def test_page_when_read_in_chinese_then_no_english_word_is_left(
    chinese: Client, rows: dict[str, Any], path: str
) -> None:
    answer = chinese.get(path.format(**{name: row.pk for name, row in rows.items()}), follow=True)
    assert answer.status_code == 200
    assert "login" not in answer.request["PATH_INFO"]
    assert english_words(answer.content.decode()) == set()


def test_login_when_read_in_chinese_then_no_english_word_is_left(client: Client, db: None) -> None:
    answer = client.get("/admin/login/", headers={"Accept-Language": "zh-CN"})
    assert english_words(answer.content.decode()) == set()


def test_confirmation_when_read_in_chinese_then_no_english_word_is_left(
    chinese: Client, rows: dict[str, Any]
) -> None:
    start = chinese.get(f"/admin/messaging/message/send/start/text/?contact={rows['contact'].pk}")
    answer = chinese.post(start["Location"], {"content": "您好"}, follow=True)
    assert "发送给 1 人" in answer.content.decode()
    assert english_words(answer.content.decode()) == set()


@pytest.mark.parametrize("state", SyncRun.State.values)
def test_run_when_read_in_chinese_then_no_state_has_an_english_word(
    chinese: Client, rows: dict[str, Any], state: str
) -> None:
    SyncRun.objects.filter(pk=rows["run"].pk).update(state=state, absent=3)
    answer = chinese.get(f"/admin/contacts/syncrun/{rows['run'].pk}/change/")
    assert english_words(answer.content.decode()) == set()
