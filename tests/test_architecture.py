"""What must hold everywhere: import contracts, migrations, schedules, and documents that are true of the code."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands
from django.utils.module_loading import import_string

from crm import events, schedules
from crm.providers.wecom.errcodes import TABLE

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
APPS = ("crm", "contacts", "messaging")
LONGEST_FILE = 400


def listed(*patterns: str) -> list[Path]:
    """The files that are, or would be, in the repository."""
    asked = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns)
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in told.split("\0") if name and (ROOT / name).exists()]


def slug(heading: str) -> str:
    """The anchor a heading gets on the code hosts: lower case, words joined by dashes, marks left out."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)}


def test_import_contracts_are_kept() -> None:
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.django_db
def test_migrations_when_models_are_compared_then_none_is_missing() -> None:
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)


def test_schedules_and_sweeps_name_functions_that_exist() -> None:
    paths = [*(job.path for job in schedules.jobs()), *schedules.SWEEPS]
    assert [path for path in paths if not callable(import_string(path))] == []


def test_settings_that_are_read_and_documented_are_the_same() -> None:
    code = (ROOT / "crm/settings.py").read_text() + (ROOT / "deploy/gunicorn.conf.py").read_text()
    read = set(re.findall(r"(?:env_\w+|environ\.get)\(\s*\"(\w+)\"", code))
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    assert read == set(re.findall(r"^\| `(\w+)` \|", page, re.M))


def test_commands_that_exist_are_documented() -> None:
    page = anchors(REFERENCE / "commands.md")
    ours = {name for name, app in get_commands().items() if app in APPS}
    assert ours - page == set()


def test_events_that_may_be_written_are_documented() -> None:
    page = (REFERENCE / "events.md").read_text(encoding="utf-8")
    assert [word for word in sorted(events.VERBS | events.SUBJECTS) if f"`{word}`" not in page] == []


def test_errcodes_that_are_known_and_documented_are_the_same() -> None:
    page = (REFERENCE / "protocol-wecom.md").read_text(encoding="utf-8")
    section = page.partition("## 5. Error codes")[2].partition("\n## ")[0]
    documented: set[int] = set()
    for row in re.findall(r"^\| ([-\d][^|]*)\|", section, re.M):
        for first, last in re.findall(r"(-?\d+)(?:–(\d+))?", row):
            documented.update(range(int(first), int(last or first) + 1))
    assert documented == set(TABLE)


def test_dependencies_that_are_direct_have_their_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    direct = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    page = (ROOT / "docs/explanation/dependencies.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([\w-]+)` \|", page, re.M)
    assert sorted(documented) == sorted(re.split(r"[\[<>=~!; ]", line)[0] for line in direct)


def test_locks_record_no_download_address() -> None:
    locks = listed("*requirements*.txt")
    assert {lock.name for lock in locks} >= {"requirements.txt", "requirements-dev.txt"}
    address = re.compile(r"://|^\s*--(?:extra-)?(?:index|find|trusted)|^\s*-[if] | @ ", re.M)
    assert [lock.name for lock in locks if address.search(lock.read_text())] == []


def test_lock_files_that_would_record_addresses_do_not_exist() -> None:
    assert listed("*uv.lock", "*poetry.lock", "*Pipfile.lock", "*pylock*.toml") == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in listed("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target, _, anchor = link.partition("#")
            found = page if not target else (page.parent / target).resolve()
            if "://" in link:
                continue
            if not found.exists() or (anchor and anchor not in anchors(found)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []


def rows_of(page: str) -> set[str]:
    """The numbers of the rows of a page of promises."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return set(re.findall(r"^\| ([A-Z]\d+) \|", text, re.M))


def cited(page: str) -> set[str]:
    """The rows that Python files cite as `contract A12, F13` or `guarantees S4–S8`."""
    citation = re.compile(rf"\b{page} ([A-Z]\d+(?:(?:, |–| and )[A-Z]\d+)*)", re.I)
    found: set[str] = set()
    for path in listed("*.py"):
        for rows in citation.findall(path.read_text(encoding="utf-8")):
            for letter, first, last in re.findall(r"([A-Z])(\d+)(?:–[A-Z](\d+))?", rows):
                found.update(f"{letter}{n}" for n in range(int(first), int(last or first) + 1))
    return found


@pytest.mark.parametrize("page", ["contract", "guarantees"])
def test_promises_that_are_cited_have_their_row(page: str) -> None:
    assert cited(page) - rows_of(f"{page}.md") == set()


def test_guarantees_name_tests_that_exist() -> None:
    text = (REFERENCE / "guarantees.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+/test_\w+\.py)(?:::(\w+))?`", text)
    files = {file: ROOT / "tests" / file for file, _ in named}
    assert [file for file, path in files.items() if not path.exists()] == []
    assert [name for file, name in named if name and f"def {name}(" not in files[file].read_text()] == []


def test_pages_that_comments_name_exist() -> None:
    named = {page for path in listed("*.py") for page in re.findall(r"docs/[\w/-]+\.md", path.read_text())}
    assert [page for page in sorted(named) if not (ROOT / page).exists()] == []


def test_files_of_code_can_be_read_in_one_sitting() -> None:
    files = [
        path for path in listed("*.py") if not {"migrations", "tests"} & set(path.relative_to(ROOT).parts)
    ]
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files
    }
    assert {name: number for name, number in lines.items() if number > LONGEST_FILE} == {}
