"""Where each key and each value of a TOML text stands, which `tomllib` does not keep.

It scans texts that `tomllib` has accepted, so it checks nothing itself. What the values are is `tomllib`'s
business; what is said about them is `problems`'.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Keys from the top of the document; an `int` counts the elements of an array from 0."""

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'  # up to two quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


class Mark(NamedTuple):
    """A stretch of the text: offsets of its first character and of the one behind its last."""

    start: int
    end: int


class Place(NamedTuple):
    """Where a key stands and where its value does. A table from a header has its name's mark for both."""

    key: Mark
    value: Mark


def normalise(text: str) -> str:
    r"""The text as `tomllib` sees it: `\r\n` is `\n`. Every offset here counts in this one."""
    return text.replace("\r\n", "\n")


def places(text: str) -> dict[Path, Place]:
    """Where each key, table and array element of a valid TOML text stands.

    A table that several lines add to has the place of its own header, or of the first line that names it.
    """
    scan = _Scan(normalise(text))
    scan.document()
    return scan.found


class Lines:
    """Offsets of a text as lines and columns, both counted from 1."""

    def __init__(self, text: str) -> None:
        self._text = normalise(text)
        self._starts = [0, *(m.end() for m in re.finditer("\n", self._text))]

    def locate(self, offset: int) -> tuple[int, int]:
        """The line and the column of an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def extent(self, line: int) -> Mark:
        """The stretch of one line, without its line end."""
        start = self._starts[line - 1]
        end = self._text.find("\n", start)
        return Mark(start, len(self._text) if end < 0 else end)

    def text(self, line: int) -> str:
        """One line, without its line end."""
        return self._text[slice(*self.extent(line))]


class _Scan:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, Place] = {}
        self._arrays: dict[Path, int] = {}  # arrays of tables, and how many tables they have so far

    def document(self) -> None:
        """All statements."""
        table: Path = ()
        while self._skip() < len(self.text):
            if self.text.startswith("[", self.at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        double = self.text.startswith("[[", self.at)
        self.at += 2 if double else 1
        keys = self._keys()
        self.at += 2 if double else 1
        path = self._within((), keys[:-1])
        name, mark = keys[-1]
        path = (*path, name)
        if double:
            count = self._arrays.get(path, 0)
            self._arrays[path] = count + 1
            self.found.setdefault(path, Place(mark, mark))
            path = (*path, count)
        self.found[path] = Place(mark, mark)
        return path

    def _within(self, path: Path, keys: list[tuple[str, Mark]]) -> Path:
        """The table that dotted keys lead to; of an array of tables, its last."""
        for name, mark in keys:
            path = (*path, name)
            self.found.setdefault(path, Place(mark, mark))
            if path in self._arrays:
                path = (*path, self._arrays[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        keys = self._keys()
        self.at += 1  # the equals sign
        self._skip()
        name, mark = keys[-1]
        path = (*self._within(table, keys[:-1]), name)
        self.found[path] = Place(mark, mark)  # before what is inside it, to keep the order of the text
        self.found[path] = Place(mark, self._value(path))

    def _keys(self) -> list[tuple[str, Mark]]:
        keys = []
        while True:
            start = self._skip()
            if match := _BARE_KEY.match(self.text, start):
                name = match[0]
            else:
                match = _STRING.match(self.text, start)
                assert match, "tomllib accepted it"  # noqa: S101  a text that it refused is the caller's mistake
                name = next(iter(tomllib.loads(f"{match[0]} = 0")))
            self.at = match.end()
            keys.append((name, Mark(start, self.at)))
            self._skip()
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _value(self, path: Path) -> Mark:
        start = self.at
        first = self.text[start]
        if first == "[":
            self._list(path)
        elif first == "{":
            self._inline(path)
        elif match := _STRING.match(self.text, start):
            self.at = match.end()
        else:
            match = _SCALAR.match(self.text, start)
            assert match, "tomllib accepted it"  # noqa: S101  as above
            self.at = start + len(match[0].rstrip())
        return Mark(start, self.at)

    def _list(self, path: Path) -> None:
        count = 0
        while not self._closes("]"):
            element = (*path, count)
            start = Mark(self.at, self.at)
            self.found[element] = Place(start, start)
            mark = self._value(element)
            self.found[element] = Place(mark, mark)
            count += 1

    def _inline(self, path: Path) -> None:
        while not self._closes("}"):
            self._pair(path)

    def _closes(self, bracket: str) -> bool:
        """Step over the opening bracket or a comma; whether the closing bracket comes next, which it steps over."""
        if self.text[self._skip()] in "[{,":
            self.at += 1
        closed = self.text[self._skip()] == bracket
        self.at += closed
        return closed

    def _skip(self) -> int:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at
