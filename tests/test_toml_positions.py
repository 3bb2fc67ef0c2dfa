"""Where keys and values stand in a TOML text."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.settings.toml_positions import Lines, Path, places


def quoted(text: str) -> str:
    """A basic string."""
    return json.dumps(text, ensure_ascii=False)


SCALARS = st.one_of(
    st.integers(-(2**40), 2**40).map(str),
    st.sampled_from(["0x1F", "1_000", "-1.5e3", "inf", "true", "false", "1979-05-27 07:32:00Z", "07:32:00"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(quoted),
    st.text(st.sampled_from('ab #[]{}=,"\\'), max_size=8).map(lambda t: f"'{t}'"),
    st.text(st.sampled_from("ab\n#]}=' "), max_size=8).map(lambda t: f'"""{t}"x"\\""""'),
    st.text(st.sampled_from('ab\n#]}="\\ '), max_size=8).map(lambda t: f"'''{t}''x'''"),
    st.just('"""a"""""'),
    st.just("'''a'''''"),
)
GAPS = st.sampled_from(["", " ", "\t"])
WIDE_GAPS = st.sampled_from(["", " ", "\n", " # a comment ] } \" '''\n", "\n\t\n"])


@st.composite
def keys(draw: st.DrawFn, counter: list[int]) -> str:
    """One key that no other key of the document equals, in one of TOML's spellings."""
    counter[0] += 1
    name = draw(st.sampled_from(["k", "a-b", "7", "_"])) + str(counter[0])
    odd = draw(st.sampled_from([" ", ".", "#", "é", "]", "=", ""]))
    spelt: str = draw(st.sampled_from([name, f"'{name}{odd}'", quoted(name + odd), f'"\\t{name}"']))
    return spelt


@st.composite
def values(draw: st.DrawFn, counter: list[int], depth: int = 3) -> str:
    """Any value; arrays have comments and line ends inside."""
    kind = draw(st.sampled_from(["scalar", "scalar", "array", "table"])) if depth else "scalar"
    if kind == "scalar":
        scalar: str = draw(SCALARS)
        return scalar
    items = []
    for _ in range(draw(st.integers(0, 3))):
        value = draw(values(counter, depth - 1))
        if kind == "array":
            items.append(draw(WIDE_GAPS) + value + draw(WIDE_GAPS))
        else:
            gap = draw(GAPS)
            items.append(f"{gap}{draw(dotted(counter))}{gap}={gap}{value}{gap}")
    if kind == "table":
        return "{" + ",".join(items) + "}"
    last = draw(st.sampled_from(["", ","])) if items else ""
    return "[" + ",".join(items) + last + draw(WIDE_GAPS) + "]"


@st.composite
def dotted(draw: st.DrawFn, counter: list[int]) -> str:
    """One to three keys with dots between."""
    return f"{draw(GAPS)}.{draw(GAPS)}".join(draw(keys(counter)) for _ in range(draw(st.integers(1, 3))))


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A whole document; headers of arrays of tables come again."""
    counter = [0]
    arrays: list[str] = []
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["pair", "pair", "table", "tables", "again", "below", "comment"]))
        gap = draw(GAPS)
        if kind == "pair":
            lines.append(f"{gap}{draw(dotted(counter))}{gap}={gap}{draw(values(counter))}{gap}# end")
        elif kind == "table":
            lines.append(f"{gap}[{gap}{draw(dotted(counter))}{gap}]")
        elif kind == "tables":
            arrays.append(draw(keys(counter)))
            lines.append(f"[[{gap}{arrays[-1]}{gap}]]{gap}")
        elif kind == "again" and arrays:
            lines.append(f"[[{draw(st.sampled_from(arrays))}]]")
        elif kind == "below" and arrays:
            brackets = draw(st.sampled_from([("[", "]"), ("[[", "]]")]))
            name = f"{draw(st.sampled_from(arrays))}.{draw(keys(counter))}"
            lines.append(name.join(brackets))
        else:
            lines.append(f"{gap}# [a] = 'comment'")
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def everything(data: Any, path: Path = ()) -> dict[Path, Any]:
    """Each key and element of parsed TOML with its value."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found = {path: data} if path else {}
    for key, value in items:
        found |= everything(value, (*path, key))
    return found


@given(documents())
def test_agrees_with_tomllib(text: str) -> None:
    """Each key that tomllib finds has a place, no other has, and what stands there is that key and that value."""
    expected = everything(tomllib.loads(text))
    found = places(text)
    assert found.keys() == expected.keys()
    seen = text.replace("\r\n", "\n")
    for path, (key, value) in found.items():
        if isinstance(path[-1], str):
            assert list(tomllib.loads(f"{seen[slice(*key)]} = 0")) == [path[-1]]
        if key != value or (isinstance(path[-1], int) and not isinstance(expected[path], dict)):
            assert tomllib.loads(f"v = {seen[slice(*value)]}")["v"] == expected[path]


def at(text: str, path: Path) -> tuple[int, int, str, str]:
    """Line and column of a key, the key and the value as they are written."""
    place = places(text)[path]
    return (*Lines(text).locate(place.key.start), text[slice(*place.key)], text[slice(*place.value)])


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    (
        ("a = 1", ("a",), (1, 1, "a", "1")),
        ("\n  a.b . 'c d' = 0x1F # x", ("a", "b", "c d"), (2, 9, "'c d'", "0x1F")),
        ("[t]\nx = [1, [2,\n 3]]", ("t", "x", 1, 1), (3, 2, "3", "3")),
        ("t = { a = { b = '}' }, c = 2 }", ("t", "a", "b"), (1, 13, "b", "'}'")),
        ("t = { a.b = 1 }", ("t", "a"), (1, 7, "a", "a")),
        ("[[t]]\nx = 1\n[[t]]\nx = 2", ("t", 1, "x"), (4, 1, "x", "2")),
        ("[[t]]\n[t.u]\nx = 1\n[[t]]\n[t.u]", ("t", 0, "u", "x"), (3, 1, "x", "1")),
        ("[a.b]\nx = 1\n[a]\ny = 2", ("a",), (3, 2, "a", "a")),
        ("d = 1979-05-27 07:32:00 # noon\n", ("d",), (1, 1, "d", "1979-05-27 07:32:00")),
        ('s = """\n]\n"""\nx = 1', ("x",), (4, 1, "x", "1")),
    ),
)
def test_known_places(text: str, path: Path, expected: tuple[int, int, str, str]) -> None:
    """Hand-written documents: headers, dotted keys, nested values, several lines."""
    assert at(text, path) == expected


def test_the_order_is_that_of_the_text() -> None:
    """Places come in the order in which a reader meets them."""
    assert list(places("b = [1]\na = { c = 1 }")) == [("b",), ("b", 0), ("a",), ("a", "c")]


def test_lines() -> None:
    """A line is told without its end, whichever end it has; a text with no last end has its last line."""
    lines = Lines("one\r\ntwo\n\nfour")
    assert [lines.text(n) for n in (1, 2, 3, 4)] == ["one", "two", "", "four"]
    assert lines.locate(len("one\ntw")) == (2, 3)
    assert lines.locate(len("one\n")) == (2, 1)
