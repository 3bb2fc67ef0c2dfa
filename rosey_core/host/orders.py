"""What a plugin's process is told before it can be told anything over NATS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

from rosey_core.bus.link import Login
from rosey_core.config import Limits, PluginConfig, Secret
from rosey_core.errors import ConfigError
from rosey_core.settings.layers import sources


class Orders(msgspec.Struct):
    """The orders of one worker; they hold secrets, so they come in a file that only it can open.

    Attributes:
        plugin: its name.
        value: its entry point, `module:Class`, or the file that it is in or that describes it.
        login: where NATS is, and who the worker is there.
        directory: the plugin's own.
        parent: the daemon's process; the worker ends with it. 0 for none.
        secrets: what the plugin's settings name, read by the daemon: the `Secret` as JSON to its value.
        level: of the log.
        limits: what the process may use.
    """

    plugin: str
    value: str
    login: Login
    directory: str
    parent: int = 0
    secrets: dict[str, str] = {}
    level: str = "info"
    limits: Limits = Limits()

    def __repr__(self) -> str:
        return f"Orders({self.plugin!r})"


def secrets_of(config: PluginConfig, read: Callable[[Secret], str]) -> dict[str, str]:
    """What a plugin's settings name, as far as it can be read; the plugin is told when it asks for the rest."""
    found: dict[str, str] = {}
    for table in sources((config.settings, *(own.settings for own in config.channels.values()))):
        secret = Secret(**table)
        with contextlib.suppress(ConfigError, TypeError):
            found[msgspec.json.encode(secret).decode()] = read(secret)
    return found
