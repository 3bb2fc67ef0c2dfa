"""What can be said about plugins and their settings before any of them runs: for `rosey check` and every start."""

from __future__ import annotations

from collections.abc import Iterable

from rosey_core.config import Config, Loaded, PluginConfig
from rosey_core.host.commands import Clash, Command, table
from rosey_core.host.registry import Known, enabled_in
from rosey_core.settings.problems import explain


def commands_of(config: Config, known: Iterable[Known], channel: str) -> tuple[dict[str, Command], list[Clash]]:
    """A channel's table of commands, and the names that two plugins claim."""
    offers = [
        (plugin.name, spec)
        for plugin in known
        if plugin.state == "ready" and plugin.description and enabled_in(config.plugins[plugin.name], channel)
        for spec in plugin.description.commands
    ]
    return table(offers, lambda plugin, name: config.plugins.get(plugin, PluginConfig()).commands.get(name))


def problems(loaded: Loaded, known: Iterable[Known]) -> list[str]:
    """What must be mended before rosey can run: settings that plugins can't use, and commands that clash.

    A plugin that is missing, broken or held is none of it: everything else runs without it.
    """
    known = tuple(known)
    found = []
    for plugin in known:
        # What is switched off may lack what it needs.
        for fault in plugin.finding.faults if plugin.state != "disabled" else ():
            path = f"{fault.key}.{fault.path}".rstrip(".")
            found.append(explain(loaded, path, fault.message, fault.known))
    for channel in loaded.config.channels:
        found += [f"in the channel {channel}, {clash}" for clash in commands_of(loaded.config, known, channel)[1]]
    return found
