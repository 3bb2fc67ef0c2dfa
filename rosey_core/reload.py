"""What changes while rosey runs: a configuration that is read again, and plugins that somebody ends or starts.

All that can fail comes first: read, check, describe, compare. Then it is applied, and nothing in that fails halfway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from structlog.typing import FilteringBoundLogger

from rosey_core.config import Loaded
from rosey_core.difference import changed, fixed
from rosey_core.errors import ConfigError, PluginError
from rosey_core.host.check import commands_of, problems
from rosey_core.host.house import House
from rosey_core.host.registry import Known, is_enabled, survey
from rosey_core.logins import Logins
from rosey_core.preflight import preflight
from rosey_core.site import Site

Enabled = Callable[[Loaded, Mapping[str, Known]], Awaitable[None]]


class Running:
    """The configuration that counts now, and what is known of its plugins.

    Args:
        loaded: the configuration that rosey was started with.
        again: reads it again, from the same files, variables and flags; raises `ConfigError`.
        house: the plugins.
        logins: who logs in to NATS.
        sites: the channels.
        listen: is told what is known of the plugins now, to answer to their queries on the bus.
        log: tells what changed.

    Attributes:
        loaded: the configuration.
        known: what is known of each enabled plugin, by name.
    """

    def __init__(
        self,
        loaded: Loaded,
        again: Callable[[], Loaded],
        *,
        house: House,
        logins: Logins,
        sites: Mapping[str, Site],
        listen: Callable[[Mapping[str, Known]], Awaitable[None]],
        log: FilteringBoundLogger,
    ) -> None:
        self.loaded = loaded
        self.known: dict[str, Known] = {}
        self._again = again
        self._house = house
        self._logins = logins
        self._sites = sites
        self._listen = listen
        self._log = log
        self._one_at_a_time = asyncio.Lock()

    async def look(self, loaded: Loaded) -> dict[str, Known]:
        """What is known of the plugins that a configuration enables. Raises `ConfigError` for what can't run so."""
        config = loaded.config
        enabled = [name for name in config.plugins if is_enabled(config, name)]
        known = await survey(config, loaded.state / "manifests", only=enabled)
        if found := problems(loaded, known.values()):
            raise ConfigError("\n".join(found))
        return known

    async def reload(self) -> list[str]:
        """Read the configuration again and apply what is different; the plugins that ended, began, or began anew.

        Raises:
            ConfigError: something is wrong with it, or only a restart can apply it. Nothing changed then.
        """
        async with self._one_at_a_time:
            loaded = self._again()
            if keys := fixed(self.loaded.config, loaded.config):
                raise ConfigError(
                    f"{', '.join(keys)} changed, and only a restart of rosey can apply that. Nothing was changed."
                )
            if faults := preflight(loaded, start=True)[0]:
                raise ConfigError("\n".join(faults))
            known = await self.look(loaded)
            names = changed(self.loaded.config, loaded.config, self.known, known)
            await self._apply(loaded, known, names)
            return sorted(names)

    async def restart(self, name: str) -> None:
        """End a plugin and start it anew, with its code as it is now; also one that was parked.

        Raises:
            PluginError: there is no such plugin, or it can't run; it goes on as it was then.
        """
        async with self._one_at_a_time:
            if not is_enabled(self.loaded.config, name):
                raise PluginError(f"{name} is not enabled: rosey plugins enable {name}")
            known = self.known | await survey(self.loaded.config, self.loaded.state / "manifests", only=[name])
            if known[name].state != "ready":
                raise PluginError(f"{name} can't run ({known[name].state}): {known[name].reason}")
            if found := problems(self.loaded, known.values()):
                raise PluginError("\n".join(found))
            await self._apply(self.loaded, known, {name})

    def park(self, name: str) -> None:
        """Stop a plugin until it is released. Raises `PluginError` if it does not run."""
        if not self._house.park(name):
            raise PluginError(f"{name} does not run")

    async def _apply(self, loaded: Loaded, known: dict[str, Known], names: set[str]) -> None:
        config = loaded.config
        self._logins.change(loaded)
        self.loaded, self.known = loaded, known
        for name, site in self._sites.items():
            site.change(rows=commands_of(config, known.values(), name)[0], on_silence=config.on_silence)
        await self._listen(known)
        pipelines = {name: site.pipeline for name, site in self._sites.items()}
        await self._house.replace(config, known.values(), pipelines, names)
        self._log.info("reloaded", plugins=sorted(names))
