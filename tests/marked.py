"""The strings that code and templates mark for translation, found without gettext's tools."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from django.utils.translation.template import templatize


class Marked(NamedTuple):
    """`key` is what a catalogue is asked for: (context, text). A text that is no literal is None."""

    key: tuple[str | None, str | None]
    where: str


# Which argument is the context, and which the text.
_PLACES = {"gettext": (None, 0), "ngettext": (None, 0), "pgettext": (0, 1), "npgettext": (0, 1)}
_LITERAL = r"""u?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
_CALL = re.compile(rf"\b(_|n?p?gettext)\(\s*({_LITERAL})(?:\s*,\s*({_LITERAL}))?", re.DOTALL)


def marked_in(folder: Path) -> Iterator[Marked]:
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".py" and not {"migrations", "simulator"} & set(file.parts):
            yield from _in_python(file)
        elif file.suffix in {".html", ".txt"}:
            yield from _in_template(file)


def _in_python(file: Path) -> Iterator[Marked]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {
        alias.asname or alias.name: alias.name.removesuffix("_lazy").removesuffix("_noop")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = _PLACES.get(names.get(node.func.id, ""))
            if place:
                context, text = (None if at is None else _literal(node.args[at]) for at in place)
                yield Marked((context, text), f"{file}:{node.lineno}")


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _in_template(file: Path) -> Iterator[Marked]:
    """`templatize` leaves nothing of a template but the calls that gettext would make of it."""
    for found in _CALL.finditer(templatize(file.read_text(encoding="utf-8"), origin=str(file))):
        first, second = (ast.literal_eval(text) if text else None for text in found.group(2, 3))
        yield Marked((first, second) if "pgettext" in found[1] else (None, first), str(file))
