"""Single values, paths and merging of layers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.settings.layers import dotted, merge, parse_dotted, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    (
        ("5", 5),
        ("true", True),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ('"5"', "5"),
        ("[1, 2]", [1, 2]),
        ('{ env = "X" }', {"env": "X"}),
        ("nan", "nan"),
        ("inf", "inf"),
        ("lobby", "lobby"),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
        ("1.5", 1.5),
    ),
)
def test_values_of_variables(text: str, value: object) -> None:
    """What is a TOML value is one; everything else is text."""
    assert parse_value(text) == value


@given(st.lists(st.text(min_size=1, max_size=5) | st.integers(0, 99), min_size=1, max_size=5))
def test_dotted_paths_come_back(steps: list[str | int]) -> None:
    """A path written as text and read again is the same path."""
    path = ("top", *steps)
    try:
        "".join(map(str, path)).encode()
    except UnicodeEncodeError:
        return  # TOML has no surrogates
    assert parse_dotted(dotted(path)) == path


TABLES = st.recursive(
    st.integers(),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
).filter(lambda value: isinstance(value, dict))


@given(TABLES, TABLES, TABLES)
def test_merging(one: dict[str, object], two: dict[str, object], three: dict[str, object]) -> None:
    """Merging keeps what only one has, prefers the upper, and leaves its arguments as they were."""
    before = msgspec.json.encode([one, two])
    both = merge(one, two)
    assert msgspec.json.encode([one, two]) == before
    assert both.keys() == one.keys() | two.keys()
    assert merge(both, two) == both
    assert merge({}, three) == three == merge(three, {})
