"""What CyTube thinks of the payloads that clients send: the checks of "typed" events, and JavaScript's numbers.

CyTube is JavaScript, so `undefined` (`MISSING`) is not `null`, 1.0 prints as 1, and a number may come out of text.
The texts are those of CyTube 3.86, seen on a running server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MISSING: Final = type("Missing", (), {"__repr__": lambda _: "MISSING"})()
"""A payload or key that is not there at all."""

NOT_ACKED: Final = type("NotAcked", (), {"__repr__": lambda _: "NOT_ACKED"})()
"""What an event answers that has no acknowledgement, whether the client asked for one or not."""

_LEADING_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)")


def type_name(value: Any) -> str:
    """What CyTube calls the type of a payload."""
    if value is MISSING:
        return "undefined"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "object"


def complaint(data: Any, shape: Mapping[str, str]) -> str:
    """What is wrong with a typed payload, or nothing. `shape` is CyTube's, such as `"string,optional"`."""
    if not isinstance(data, dict):
        return f"Expected type object, got {type_name(data)}"
    for key, kinds in shape.items():
        value = data.get(key, MISSING)
        allowed = kinds.split(",")
        if value is MISSING:
            if "optional" not in allowed:
                return f"Missing key: {kinds}:{key}"
        elif type_name(value) not in allowed:
            return f"Expected key {key} to be of type {kinds}, instead got {type_name(value)}"
    for key in data:
        if key not in shape:
            return f"Extra key: {key}"
    return ""


def tidy(value: float) -> float:
    """A number as JavaScript prints it: no `.0`."""
    return int(value) if value == int(value) else value


def parse_number(value: Any) -> float | None:
    """JavaScript's `parseFloat`, with `None` for its NaN."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return tidy(value)
    match = _LEADING_NUMBER.match(value) if isinstance(value, str) else None
    return tidy(float(match[1])) if match else None


def parse_whole(value: Any) -> int | None:
    """JavaScript's `parseInt`, with `None` for its NaN."""
    number = parse_number(value)
    return None if number is None else int(number)


def cut(text: str, units: int) -> str:
    """The first `units` UTF-16 units, as JavaScript counts; half a character that is left becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass")[: 2 * units].decode("utf-16-le", "replace")
