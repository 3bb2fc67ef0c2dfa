"""The JSON Schema of rosey.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rosey_core.manifest import Settings
from rosey_core.settings.schema import schema

EXAMPLE = Path(__file__).parent.parent / "rosey.toml.example"
SMALL: dict[str, Any] = {"version": 1, "channels": {"cytube": {"room": "lobby"}}}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def misfits(value: Any, rule: Any, root: dict[str, Any], path: str = "$") -> Iterator[str]:
    """Where a value breaks a schema: the keywords of JSON Schema that ours uses, and an error for any other."""
    if isinstance(rule, bool):
        if not rule:
            yield path
        return
    for keyword, want in rule.items():
        if keyword == "$ref":
            yield from misfits(value, root["$defs"][want.removeprefix("#/$defs/")], root, path)
        elif keyword == "type":
            right = isinstance(value, TYPES[want]) and (want == "boolean" or not isinstance(value, bool))
            if not right:
                yield path
                return
        elif keyword == "anyOf":
            yield from () if any(not list(misfits(value, one, root)) for one in want) else (path,)
        elif keyword == "not":
            yield from () if list(misfits(value, want, root)) else (path,)
        elif keyword == "enum":
            yield from () if value in want else (path,)
        elif keyword == "pattern":
            yield from () if not isinstance(value, str) or re.search(want, value) else (path,)
        elif keyword in ("minimum", "exclusiveMinimum", "maximum"):
            low = keyword.endswith("imum") and not keyword.startswith("max")
            right = value >= want if keyword == "minimum" else value > want if low else value <= want
            yield from () if right else (path,)
        elif keyword in ("minProperties", "maxProperties"):
            yield from () if (len(value) >= want if keyword.startswith("min") else len(value) <= want) else (path,)
        elif keyword == "required":
            yield from (f"{path}.{key}" for key in want if key not in value)
        elif keyword == "properties":
            for key, one in want.items():
                if key in value:
                    yield from misfits(value[key], one, root, f"{path}.{key}")
        elif keyword == "additionalProperties":
            for key in value.keys() - rule.get("properties", {}).keys():
                yield from misfits(value[key], want, root, f"{path}.{key}")
        elif keyword == "propertyNames":
            for key in value:
                yield from misfits(key, want, root, f"{path}.{key}")
        elif keyword == "items":
            for item in value:
                yield from misfits(item, want, root, f"{path}[]")
        else:
            assert keyword in ("title", "description", "default", "$schema", "$defs"), keyword


def wrong(data: dict[str, Any], plugins: dict[str, dict[str, Any]] | None = None) -> list[str]:
    """Where a configuration breaks the schema."""
    whole = schema(plugins)
    return list(misfits(data, whole, whole))


def test_the_shipped_example_fits() -> None:
    """`rosey.toml.example` fits the schema."""
    assert wrong(tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "path"),
    (
        ("order = []", "$.order"),
        ("channels.cytube.raet = 1", "$.channels.cytube.raet"),
        ("channels.b.server = 'https://x'", "$.channels.b.room"),
        ("channels.Bad.room = 'x'", "$.channels.Bad"),
        ("channels.chat.room = 'x'", "$.channels.chat"),
        ("channels.b.room = 'a b'", "$.channels.b.room"),
        ("channels.cytube.password = 'x'", "$.channels.cytube.password"),
        ("channels.cytube.password = {}", "$.channels.cytube.password"),
        ("channels.cytube.password = { env = 'X', file = 'y' }", "$.channels.cytube.password"),
        ("channels.cytube.max_frame_mib = 1000", "$.channels.cytube.max_frame_mib"),
        ("plugins.x.grant = ['chat.raed']", "$.plugins.x.grant[]"),
        ("plugins.order = 5", "$.plugins.order"),
        ("plugins.on_silence = 'x'", "$.plugins.on_silence"),
        ("nats.mode = 'x'", "$.nats.mode"),
    ),
)
def test_what_does_not_fit(text: str, path: str) -> None:
    """The schema refuses what the checks refuse, as far as a schema can say it."""
    data = tomllib.loads(f"version = 1\nchannels.cytube.room = 'lobby'\n{text}")
    assert path in wrong(data)


@pytest.mark.parametrize(
    "text",
    (
        "plugins.order = ['x']\nplugins.on_silence = 'stop'\nplugins.x.enabled = true",
        "plugins.x.grant = ['chat.read', 'query:database']\nplugins.x.settings = { anything = [1] }",
        "channels.cytube.password = { env = 'X' }\nchannels.cytube.proxy = { file = 'x' }",
        "channels.cytube.username = ''",
    ),
)
def test_what_fits(text: str) -> None:
    """`order` stands beside the plugins; plugins that nobody described may have any settings."""
    assert wrong(tomllib.loads(f"version = 1\nchannels.cytube.room = 'lobby'\n{text}")) == []


class Caps(msgspec.Struct, forbid_unknown_fields=True):
    """Settings inside settings."""

    rate: int


class ModSettings(Settings, frozen=True):
    """Settings with a key that must be there."""

    word: str
    caps: Caps | None = None


class EchoSettings(msgspec.Struct, frozen=True):
    """Another plugin's, with a Struct of the same name inside."""

    caps: dict[str, int] = {}


def test_plugins_settings_are_merged_in() -> None:
    """Each plugin's settings are checked by its own schema; in a channel nothing is required."""
    plugins = {"mod": msgspec.json.schema(ModSettings), "echo": msgspec.json.schema(EchoSettings)}
    before = msgspec.json.encode(plugins)
    good = {"mod": {"settings": {"word": "x", "caps": {"rate": 1}}}, "echo": {"settings": {"caps": {"a": 1}}}}
    assert wrong(SMALL | {"plugins": good}, plugins) == []
    channel: dict[str, Any] = {"channels": {"cytube": {"settings": {"caps": {}}}}}
    assert wrong(SMALL | {"plugins": {"mod": channel}}, plugins) == []
    bad = {"settings": {"caps": {"raet": 1}}, "channels": {"cytube": {"settings": {"wrod": 1}}}}
    assert sorted(wrong(SMALL | {"plugins": {"mod": bad}}, plugins)) == [
        "$.plugins.mod.channels.cytube.settings.wrod",
        "$.plugins.mod.settings.caps",
        "$.plugins.mod.settings.word",
    ]
    assert msgspec.json.encode(plugins) == before
