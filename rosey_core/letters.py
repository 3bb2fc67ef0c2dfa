"""Dead letters by hand: what durable plugins failed at, shown, tried again, or dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rosey_core.control import Verb
from rosey_core.errors import PluginError
from rosey_core.eventlog.engine import Dead
from rosey_core.eventlog.log import EventLog
from rosey_core.host.durable import DurableLane
from rosey_core.host.house import House


class Letters:
    """The verbs.

    Args:
        house: the plugins.
        eventlog: has the letters.
    """

    def __init__(self, house: House, eventlog: EventLog) -> None:
        self._house = house
        self._eventlog = eventlog

    @property
    def table(self) -> Mapping[str, Verb]:
        """Each by its name."""
        return {"dead": self._dead, "retry": self._retry, "drop": self._drop}

    async def _dead(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        letters = await self._eventlog.dead(self._plugin(request))
        return [
            {
                "id": one.id,
                "event_type": one.kind,
                "about": _about(one),
                "tries": one.tries,
                "error": one.error,
                "when": one.when,
            }
            for one in letters
        ]

    async def _retry(self, request: dict[str, Any]) -> int:
        plugin, letters = await self._chosen(request)
        lanes = {}
        for channel in {one.channel for one in letters}:
            place = self._house.places.get((plugin, channel))
            if place is None or place.running is None or not isinstance(place.lane, DurableLane):
                state = "not enabled" if place is None else place.life.state
                raise PluginError(f"{plugin} is {state} in {channel}, so it can't try again what it failed at there")
            lanes[channel] = place.lane
        for one in letters:
            lanes[one.channel].retry(one)
        return len(letters)

    async def _drop(self, request: dict[str, Any]) -> int:
        plugin, letters = await self._chosen(request)
        for one in letters:
            self._eventlog.raise_up(plugin, one.channel, one.seq)
        await self._eventlog.flushed()
        return len(letters)

    def _plugin(self, request: dict[str, Any]) -> str:
        """The durable plugin that a request names."""
        name = str(request.get("name", ""))
        for known, _ in self._house.lives():
            if known.name == name and known.description is not None:
                if not known.description.durable:
                    raise PluginError(f"{name} is not durable, so it has no dead letters")
                return name
        raise PluginError(f"{name} is not enabled here; rosey plugins list shows what is")

    async def _chosen(self, request: dict[str, Any]) -> tuple[str, list[Dead]]:
        """The letters that a request names, or all."""
        plugin = self._plugin(request)
        letters = {one.id: one for one in await self._eventlog.dead(plugin)}
        names = [str(name) for name in request.get("ids") or letters]
        for name in names:
            if name not in letters:
                raise PluginError(f"{plugin} has no dead letter {name}; rosey plugins dead {plugin} lists them")
        return plugin, [letters[name] for name in names]


def _about(dead: Dead) -> str:
    """Who did what, as far as the event says so."""
    data = msgspec.json.decode(dead.body)["data"]
    words = [str(data[field]) for field in ("username", "name", "text") if data.get(field)]
    return " ".join(": ".join(words).split())[:80]
