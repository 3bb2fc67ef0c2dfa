"""What is different between two configurations, and what of it can change while rosey runs. Pure.

Plugins come, go and change; so do the users of NATS, and what the judges' order is. Channels, the bus itself and the
log are what everything stands on: those change with a restart, and a reload that would need one changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rosey_core.config import Config

FIXED = ("channels", "nats", "eventlog", "log", "state_directory")
"""What only a restart can change; of `nats` all but its users. One that is to read the stream needs one, too."""


def fixed(old: Config, new: Config) -> list[str]:
    """The dotted keys that differ and can't change now."""
    found: list[str] = []
    for key in FIXED:
        before, after = (_plain(getattr(config, key)) for config in (old, new))
        if key == "nats":
            old_users, new_users = before.pop("users"), after.pop("users")
            # nats-server lets what is new in an account of its own reach others only at its start.
            found += [
                f"nats.users.{name}.stream"
                for name, user in new_users.items()
                if user["stream"] and not old_users.get(name, {}).get("stream")
            ]
        found += _keys(key, before, after)
    return found


def changed(old: Config, new: Config, known: Mapping[str, object], now: Mapping[str, object]) -> set[str]:
    """The plugins that have to end, begin, or begin anew.

    Args:
        old: the configuration as it was.
        new: as it is.
        known: what was known of each plugin that was enabled, by name.
        now: what is known of each that is.
    """
    names = old.plugins.keys() | new.plugins.keys() | known.keys() | now.keys()
    return {
        name
        for name in names
        if (old.plugins.get(name), known.get(name)) != (new.plugins.get(name), now.get(name))
        and (name in known or name in now)
    }


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _keys(key: str, old: Any, new: Any) -> list[str]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [key]
    return [found for name in {**old, **new} for found in _keys(f"{key}.{name}", old.get(name), new.get(name))]
