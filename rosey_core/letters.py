"""Dead letters by hand: what durable plugins failed at, shown, tried again, or dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        letters = await self._eventlog.dead(_plugin(request))
        return [
            {"id": _id(one), "event_type": one.kind, "tries": one.tries, "error": one.error, "when": one.when}
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

    async def _chosen(self, request: dict[str, Any]) -> tuple[str, list[Dead]]:
        """The letters that a request names, or all."""
        plugin = _plugin(request)
        letters = {_id(one): one for one in await self._eventlog.dead(plugin)}
        names = [str(name) for name in request.get("ids") or letters]
        for name in names:
            if name not in letters:
                raise PluginError(f"{plugin} has no dead letter {name}; rosey plugins dead {plugin} lists them")
        return plugin, [letters[name] for name in names]


def _plugin(request: dict[str, Any]) -> str:
    return str(request.get("name", ""))


def _id(dead: Dead) -> str:
    return f"{dead.channel}-{dead.seq}"
