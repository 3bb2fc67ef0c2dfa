"""One source of settings (a file, a variable, a flag) as a layer, and several layers as one table.

It opens no file: `load` does. What is wrong in a layer is said by `problems`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rosey_core.errors import ConfigError
from rosey_core.settings.toml_positions import Lines, Path, Place

PREFIX = "ROSEY_"
NOT_SETTINGS = frozenset({"ROSEY_CONFIG", "ROSEY_NATS_SERVER"})
"""Variables with the prefix that are no keys of the configuration: others read them."""

SOURCES = frozenset({"credential", "env", "file"})
"""The keys of a table that says where a secret is."""

_MISSING = object()
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(r"""\.?(?:([A-Za-z0-9_$-]+)|("(?:[^"\\]|\\.)*"|'[^']*')|\[(\d+)\])""")


@dataclass(frozen=True, repr=False)
class Layer:
    """One source: its name as people know it, its data, and for a file its text and where things stand in it."""

    name: str
    data: dict[str, Any]
    text: str = ""
    places: dict[Path, Place] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Layer({self.name!r})"  # the text may hold what nobody should see

    @cached_property
    def lines(self) -> Lines:
        """The lines of its text."""
        return Lines(self.text)

    def get(self, path: Path) -> Any:
        """The value at `path`, or a mark that nothing equals."""
        return get(self.data, path)

    def __contains__(self, path: Path) -> bool:
        return self.get(path) is not _MISSING


def get(data: Any, path: Path, default: Any = _MISSING) -> Any:
    """The value at `path` in nested tables and lists, or `default`."""
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return default
    return data


def dotted(path: Path) -> str:
    """A path as people write it: `plugins.echo.grant[0]`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + quoted(key)
    return text


def quoted(key: str) -> str:
    """A key as it may stand in a TOML file."""
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")


def parse_dotted(text: str) -> Path:
    """The path that `dotted` would write so; a leading `$` is skipped. Raises `ValueError`."""
    path: list[str | int] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if not match or (at > 0) != (match[0][0] in ".["):
            raise ValueError(f"not a dotted key: {text!r}")
        bare, string, index = match.groups()
        path.append(bare or (int(index) if index else next(iter(tomllib.loads(f"{string} = 0")))))
        at = match.end()
    return tuple(path[1:] if path[:1] == ["$"] else path)


def is_source(value: Any) -> bool:
    """Whether a value looks like `{ env = "NAME" }` or its like."""
    return isinstance(value, dict) and len(value) == 1 and value.keys() <= SOURCES


def sources(value: Any) -> Iterator[dict[str, str]]:
    """Every table in a value that tells where a secret is."""
    if is_source(value):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from sources(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from sources(item)


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the keys of both: where both have one, tables are merged, and else the upper one counts.

    Where a secret is found is replaced as a whole, so that `{ env = ... }` can take the place of `{ file = ... }`.
    """
    both = dict(lower)
    for key, value in upper.items():
        old = both.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and not (is_source(old) and is_source(value)):
            value = merge(old, value)  # noqa: PLW2901  the value as it counts
        both[key] = value
    return both


def merged(layers: Iterable[Layer]) -> dict[str, Any]:
    """All layers as one table; later ones count."""
    data: dict[str, Any] = {}
    for layer in layers:
        data = merge(data, layer.data)
    return data


def leaves(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no table, and every empty table, with its path. Lists are values."""
    if isinstance(data, dict) and (data or not path):
        for key, value in data.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, data


def variables_named_in(data: Any) -> set[str]:
    """The variables that hold secrets: `NAME` of every `{ env = "NAME" }`."""
    if is_source(data) and isinstance(data.get("env"), str):
        return {data["env"]}
    items = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return {name for item in items for name in variables_named_in(item)}


def from_variables(environ: Mapping[str, str], secrets: Iterable[str]) -> list[Layer]:
    """The layers of the environment: `ROSEY_CHANNELS__CYTUBE__ROOM=lobby`.

    `secrets` names variables that hold secrets: they are no settings, whatever their prefix.
    """
    apart = NOT_SETTINGS.union(secrets)
    found = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in apart:
            keys = name[len(PREFIX) :].lower().split("__")
            if not all(keys):
                raise ConfigError(
                    f"${name}: names no key; two underscores stand between the keys, as in ROSEY_LOG__LEVEL"
                )
            found.append(Layer(f"${name}", _nest(tuple(keys), parse_value(environ[name]))))
    return found


def from_flags(overrides: Iterable[str]) -> list[Layer]:
    """The layers of the command line: `--set channels.cytube.room=lobby`."""
    found = []
    for flag in overrides:
        key, equals, value = flag.partition("=")
        try:
            path = parse_dotted(key.strip())
        except ValueError:
            path = ()
        if not equals or not path or any(isinstance(step, int) for step in path):
            raise ConfigError("--set: should be KEY=VALUE, such as --set channels.cytube.room=lobby")
        found.append(Layer(f"--set {dotted(path)}", _nest(path, parse_value(value.strip()))))
    return found


def parse_value(text: str) -> Any:
    """What stands in a variable or behind a flag: a TOML value if it is one, else the text itself."""
    try:
        data = tomllib.loads(f"v = {text}")
    except (ValueError, RecursionError):
        return text
    value = data["v"]
    bare_number = isinstance(value, float) and not any(c.isdigit() for c in text)  # `inf` and `nan` are words
    return text if len(data) > 1 or bare_number else value


def _nest(path: Path, value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)
