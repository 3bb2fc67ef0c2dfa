"""What can be said about plugins and their settings before any of them runs: for `rosey check` and every start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rosey_core.config import Config, Loaded, PluginConfig
from rosey_core.host.commands import Clash, Command, table
from rosey_core.host.registry import Known, enabled_in
from rosey_core.settings.problems import Problem, is_inherited, report


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
    """What must be mended before rosey can run, as one text with places, or nothing.

    It is settings that plugins can't use, commands that clash, and new names for commands that are not there.

    A plugin that is missing, broken or held is none of it: everything else runs without it.
    """
    known = tuple(known)
    found: list[Problem] = []
    for plugin in known:
        # What is switched off may lack what it needs.
        faults = plugin.finding.faults if plugin.state != "disabled" else ()
        found += [fault for fault in faults if not is_inherited(fault, loaded.layers)]
        found += _renames(loaded.config, plugin)
    clashes: dict[Clash, list[str]] = {}
    for channel in loaded.config.channels:
        for clash in commands_of(loaded.config, known, channel)[1]:
            clashes.setdefault(clash, []).append(channel)
    for clash, channels in clashes.items():
        message = f"in the channel {' and in '.join(channels)}, {clash}"
        found.append(Problem(("plugins", clash.second), message, on_key=True))
    return [report(found, loaded.layers)] if found else []


def _renames(config: Config, plugin: Known) -> Iterator[Problem]:
    """New names for commands that a plugin does not have."""
    if plugin.state == "ready" and plugin.description:
        commands = tuple(spec.name for spec in plugin.description.commands)
        for name in config.plugins[plugin.name].commands:
            if name not in commands:
                has = f"its commands are {', '.join(commands)}" if commands else "it has none"
                message = f'{plugin.name} has no command "{name}"; {has}'
                path = ("plugins", plugin.name, "commands", name)
                yield Problem(path, message, name, commands, on_key=True)
