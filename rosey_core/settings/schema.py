"""The JSON Schema of rosey.toml, for editors, with the settings of plugins merged in.

It describes the file, so `order` stands in `[plugins]` beside the plugins. What a schema can't say (a channel that
is named must exist) is checked by `checks`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import msgspec

from rosey_core.actions import ACTION_FAMILIES
from rosey_core.config import Config
from rosey_core.grants import ALL_GRANTS
from rosey_core.settings.checks import BESIDE_PLUGINS, ROOM, USER_NAME
from rosey_core.settings.layers import SOURCES
from rosey_core.subjects import CHANNEL_NAME, PLUGIN_NAME

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DEFS = "#/$defs/"


def schema(plugins: Mapping[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """The schema of the whole file.

    Args:
        plugins: for each plugin the JSON Schema of its settings, as its `Description` has it. Other plugins'
            settings may be anything.
    """
    whole: dict[str, Any] = msgspec.json.schema(Config)
    defs: dict[str, Any] = whole["$defs"]
    _tidy(defs)
    top = defs["Config"]["properties"]
    entries = top["plugins"]
    entries["properties"] = {key: top.pop(key) for key in BESIDE_PLUGINS}
    entries["propertyNames"] = {"pattern": _whole(PLUGIN_NAME.pattern)}
    names = {"pattern": _whole(CHANNEL_NAME.pattern), "not": {"enum": sorted(ACTION_FAMILIES)}}
    top["channels"] |= {"propertyNames": names, "minProperties": 1}
    channel = defs["ChannelConfig"]["properties"]
    channel["room"]["pattern"] = f"^{_ascii(ROOM.pattern)}$"
    channel["username"]["pattern"] = f"^({_ascii(USER_NAME.pattern)})?$"
    defs["Secret"] |= {"minProperties": 1, "maxProperties": 1}
    for one in SOURCES:
        defs["Secret"]["properties"][one].pop("default", None)
    defs["Grant"] = {"anyOf": [{"enum": sorted(ALL_GRANTS)}, {"type": "string", "pattern": "^query:."}]}
    for owner in ("PluginConfig", "NatsUser"):
        defs[owner]["properties"]["grant"]["items"] = {"$ref": f"{_DEFS}Grant"}
    for name, settings in (plugins or {}).items():
        entries["properties"][name] = _plugin(name, settings, defs)
    return {"$schema": DRAFT, "title": "The configuration of rosey", **whole}


def _plugin(name: str, settings: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """The schema of one plugin's table. Its own definitions move into `defs`, under names of their own."""
    prefix = f"plugin.{name}."
    settings = _renamed(settings, prefix)
    for key, value in settings.pop("$defs", {}).items():
        defs[prefix + key] = value
        defs[f"{prefix}partial.{key}"] = _partial(value, prefix)
    table: dict[str, Any] = copy.deepcopy(defs["PluginConfig"])
    channel: dict[str, Any] = copy.deepcopy(defs["PluginChannel"])
    table["title"] = f"plugins.{name}"
    table["properties"]["settings"] = settings
    channel["properties"]["settings"] = _partial(settings, prefix)
    table["properties"]["channels"]["additionalProperties"] = channel
    return table


def _renamed(value: Any, prefix: str) -> Any:
    """A copy in which every reference to a definition has the prefix."""
    if isinstance(value, dict):
        return {
            key: _DEFS + prefix + item.removeprefix(_DEFS)
            if key == "$ref" and isinstance(item, str)
            else _renamed(item, prefix)
            for key, item in value.items()
        }
    return [_renamed(item, prefix) for item in value] if isinstance(value, list) else value


def _partial(value: Any, prefix: str) -> Any:
    """A copy that requires nothing: a channel says only what differs there."""
    if isinstance(value, dict):
        copied = {}
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                copied[key] = item.replace(_DEFS + prefix, f"{_DEFS}{prefix}partial.")
            elif key != "required" or not isinstance(item, list):
                copied[key] = _partial(item, prefix)
        return copied
    return [_partial(item, prefix) for item in value] if isinstance(value, list) else value


def _tidy(value: Any) -> None:
    """Write descriptions as one paragraph a line, and forget `null`: TOML has none."""
    if isinstance(value, list):
        for item in value:
            _tidy(item)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("description"), str):
        paragraphs = value["description"].split("\n\n")
        value["description"] = "\n\n".join(" ".join(p.split()) for p in paragraphs)
    if "default" in value and (value["default"] is None or isinstance(value["default"], dict)):
        del value["default"]  # a table's own defaults stand at its keys
    kinds = [kind for kind in value.get("anyOf", []) if kind != {"type": "null"}]
    if "anyOf" in value and len(kinds) == 1:
        del value["anyOf"]
        value |= kinds[0]
    for item in value.values():
        _tidy(item)


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"


def _ascii(pattern: str) -> str:
    return pattern.replace(r"\w", "A-Za-z0-9_")
