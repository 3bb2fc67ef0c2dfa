"""What can be asked of a running daemon through its control socket, verb by verb."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rosey_core import __version__
from rosey_core.control import Verb
from rosey_core.errors import RoseyError, Unavailable
from rosey_core.host.house import House
from rosey_core.reload import Running


class Verbs:
    """The verbs.

    Args:
        running: the configuration that counts, and what changes it.
        house: the plugins.
        more: verbs that others answer to.
        tell: what the daemon says of the rest; its `ready_after` is 0 while it starts.
        look: brings up to date what is told and only known elsewhere.
    """

    def __init__(
        self,
        running: Running,
        house: House,
        more: Mapping[str, Verb],
        tell: Callable[[], dict[str, Any]],
        look: Callable[[], Awaitable[None]],
    ) -> None:
        self._running = running
        self._house = house
        self._more = more
        self._tell = tell
        self._look = look

    @property
    def table(self) -> Mapping[str, Verb]:
        """Each by its name."""
        own = {"status": self._status, "reload": self._reload, "restart": self._restart, "park": self._park}
        return {**own, **self._more}

    async def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        await self._look()
        told, loaded = self._tell(), self._running.loaded
        head = {"version": __version__, "pid": os.getpid(), "ready": bool(told["ready_after"])}
        if not head["ready"]:
            return head
        rest = {
            "python": sys.version.split()[0],
            "config": str(loaded.path),
            "state_directory": str(loaded.state),
            "plugins": self._plugins(),
        }
        return head | rest | told

    def _plugins(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for known in self._running.known.values():
            row = {"name": known.name, "version": known.version, "state": known.state, "reason": known.reason}
            if reason := self._house.failures.get(known.name):
                row |= {"state": "broken", "reason": reason}
            places = self._house.places_of(known.name)
            rows += [row | place.status() for place in places] or [row]
        return rows

    async def _reload(self, _: dict[str, Any]) -> dict[str, Any]:
        self._must_be_ready()
        return {"plugins": await self._running.reload()}

    async def _restart(self, request: dict[str, Any]) -> None:
        self._must_be_ready()
        await self._running.restart(str(request.get("name", "")))

    async def _park(self, request: dict[str, Any]) -> None:
        self._must_be_ready()
        self._running.park(str(request.get("name", "")))

    async def chat(self, words: tuple[str, ...]) -> str:
        """Do what somebody says behind `!plugin`: `list`, or `restart`, `park` or `release` and a name."""
        match words:
            case ("list",):
                rows = {row["name"]: row["state"] for row in self._plugins()}
                return ", ".join(f"{name}: {state}" for name, state in rows.items()) or "no plugin is enabled"
            case ("restart" | "park" | "release" as what, name):
                try:
                    await (self._park if what == "park" else self._restart)({"name": name})
                except RoseyError as error:
                    return " ".join(str(error).split())[:300]
                return f"{name}: done"
            case _:
                return "say list, or restart, park or release and a plugin's name"

    def _must_be_ready(self) -> None:
        if not self._tell()["ready_after"]:
            raise Unavailable("rosey is starting; ask again in a moment")
