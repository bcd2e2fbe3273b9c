"""A second reader of the structure of JSON, as simple as can be, to hold the first one against."""

import re

_BLANK = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.\w]+', re.DOTALL)


class NotJsonError(ValueError):
    pass


def item_spans(body: bytes, name: str) -> list[tuple[int, int]]:
    """Where the items of the list `name` of the object `body` are; [] when there is none."""
    try:
        whole = _Reader(body)
        start, _ = whole.value()
        whole.end()
        spans = _Reader(body, start).members().get(f'"{name}"'.encode())
        return _Reader(body, spans[0]).entries() if spans else []
    except NotJsonError:
        return []


class _Reader:
    def __init__(self, text: bytes, position: int = 0) -> None:
        self.text, self.position = text, position

    def value(self) -> tuple[int, int]:
        """The span of the value that begins here."""
        start = self.blank()
        if self.text[start : start + 1] == b"{":
            self.members()
        elif self.text[start : start + 1] == b"[":
            self.entries()
        else:
            self.scalar()
        return start, self.position

    def members(self) -> dict[bytes, tuple[int, int]]:
        """The members of the object that begins here: key as written -> span of its last value."""
        found: dict[bytes, tuple[int, int]] = {}
        self.sign(b"{")
        while not self.took(b"}"):
            if found:
                self.sign(b",")
            start = self.blank()
            if self.text[start : start + 1] != b'"':
                raise NotJsonError
            self.scalar()
            key = self.text[start : self.position]
            self.sign(b":")
            found[key] = self.value()
        return found

    def entries(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        self.sign(b"[")
        while not self.took(b"]"):
            if found:
                self.sign(b",")
            found.append(self.value())
        return found

    def scalar(self) -> None:
        told = _SCALAR.match(self.text, self.blank())
        if told is None:
            raise NotJsonError
        self.position = told.end()

    def blank(self) -> int:
        told = _BLANK.match(self.text, self.position)
        self.position = told.end() if told else self.position
        return self.position

    def took(self, sign: bytes) -> bool:
        start = self.blank()
        if self.text[start : start + 1] != sign:
            return False
        self.position += 1
        return True

    def sign(self, sign: bytes) -> None:
        if not self.took(sign):
            raise NotJsonError

    def end(self) -> None:
        if self.blank() != len(self.text):
            raise NotJsonError
