"""The format of scenarios: lines of text that say what people in a room do, and what they expect of the bot.

    # who speaks joins, if not yet there
    alice says !echo hello
    expect Rosey says hello
    at 5 bob queues https://youtu.be/dQw4w9WgXcQ
    owner says /kick bob
    expect bob leaves within 5

Lines are played in their order, each when the one before is done; `at` waits for a time, in seconds from the
beginning. What `expect` waits for may have come already, but not before what the last `expect` found. It takes
`/an expression/`, searched for in the line, or the whole line. `owner`, `moderator` and `viewer` are people with that
rank. Somebody who is in the room already, such as the bot, can be made to say things too.

This module owns the format; `scenario` plays it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from rosey_core.errors import RoseyError
from rosey_core.media import parse as parse_link

WITHIN = 10.0
"""Seconds that `expect` waits where the line does not say."""

ALLOWED = """\
what a line may be:
  NAME joins              NAME says TEXT          NAME tells NAME TEXT
  NAME leaves             NAME queues LINK        NAME votes NUMBER
  wait SECONDS            cytube drops NAME       cytube stops|starts
  expect NAME says TEXT   expect NAME tells NAME TEXT
  expect NAME joins       expect NAME leaves
`at SECONDS` may stand before each, `within SECONDS` behind what is expected;
/an expression/ may be an expected TEXT. A line may be empty or begin with #."""

_NAME = r"([A-Za-z0-9_-]{1,20})"
_TEXT = r"(\S.*)"
_SECONDS = r"(\d+(?:\.\d+)?)"
_AT = re.compile(rf"at\s+{_SECONDS}\s+(.*)")
_WITHIN = re.compile(rf"(.*\S)\s+within\s+{_SECONDS}")
_SHAPES = {
    verb: re.compile(shape)
    for verb, shape in {
        "wait": rf"wait\s+{_SECONDS}",
        "drop": rf"cytube\s+drops\s+{_NAME}",
        "stop": r"cytube\s+stops",
        "start": r"cytube\s+starts",
        "expect says": rf"expect\s+{_NAME}\s+says\s+{_TEXT}",
        "expect tells": rf"expect\s+{_NAME}\s+tells\s+{_NAME}\s+{_TEXT}",
        "expect joins": rf"expect\s+{_NAME}\s+joins",
        "expect leaves": rf"expect\s+{_NAME}\s+leaves",
        "joins": rf"{_NAME}\s+joins",
        "leaves": rf"{_NAME}\s+leaves",
        "says": rf"{_NAME}\s+says\s+{_TEXT}",
        "tells": rf"{_NAME}\s+tells\s+{_NAME}\s+{_TEXT}",
        "queues": rf"{_NAME}\s+queues\s+(\S+)",
        "votes": rf"{_NAME}\s+votes\s+(\d+)",
    }.items()
}


class ScenarioError(RoseyError):
    """A scenario can't be read, or did not go as written. The text begins with its name and the line."""


class Step(NamedTuple):
    """One line: when (or `None`), what, with which words, and for `expect` how long it may take."""

    place: str
    at: float | None
    verb: str
    words: tuple[str, ...]
    within: float = WITHIN


def parse(text: str, name: str = "scenario") -> list[Step]:
    """The steps of a scenario.

    Raises:
        ScenarioError: some lines can't be read; the text names them all, and says what a line may be.
    """
    steps: list[Step] = []
    wrong: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line and not line.startswith("#"):
            try:
                steps.append(_step(line, f"{name}:{number}"))
            except ValueError as error:
                wrong.append(f"{name}:{number}: {error}: {line}")
    if wrong:
        raise ScenarioError("\n".join([f"{name} can't be played:", *wrong, ALLOWED]))
    return steps


def _step(line: str, place: str) -> Step:
    at, within = None, WITHIN
    if match := _AT.fullmatch(line):
        at, line = float(match[1]), match[2]
    if line.startswith("expect ") and (match := _WITHIN.fullmatch(line)):
        line, within = match[1], float(match[2])
    for verb, shape in _SHAPES.items():
        if match := shape.fullmatch(line):
            _check(verb, match.groups())
            return Step(place, at, verb, match.groups(), within)
    raise ValueError("can't be read")


def _check(verb: str, words: tuple[str, ...]) -> None:
    """Refuse words that would fail only when they are played."""
    if not verb.startswith("expect") and words and words[0] in {"at", "cytube", "expect", "within"}:
        raise ValueError("can't be read")
    if verb == "queues" and parse_link(words[1]) is None:
        raise ValueError("this is no link that CyTube knows")
    if verb.startswith("expect") and len(words) > 1:
        try:
            matcher(words[-1])
        except re.error as error:
            raise ValueError(f"its expression can't be read, {error}") from None


def matcher(wanted: str) -> Callable[[str], bool]:
    """Whether a line is what `expect` wants."""
    if len(wanted) > 1 and wanted.startswith("/") and wanted.endswith("/"):
        pattern = re.compile(wanted[1:-1])
        return lambda text: pattern.search(text) is not None
    return lambda text: text.strip() == wanted.strip()
