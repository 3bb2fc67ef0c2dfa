"""What rosey keeps about a user: told whole, or deleted everywhere. It owns the order, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rosey_core.control import Verb
from rosey_core.errors import PluginError, RoseyError
from rosey_core.eventlog.log import EventLog
from rosey_core.eventlog.privacy import mentions
from rosey_core.host.home import Person
from rosey_core.host.house import House
from rosey_core.storage.items import Operation, Place
from rosey_core.storage.storage import Storage

LANE_SECONDS = 5.0
"""How long what a plugin works on just then is waited for."""


class Privacy:
    """The verbs.

    Args:
        house: the plugins.
        eventlog: what happened.
        storage: what plugins keep with us.
    """

    def __init__(self, house: House, eventlog: EventLog, storage: Storage) -> None:
        self._house = house
        self._eventlog = eventlog
        self._storage = storage

    @property
    def table(self) -> Mapping[str, Verb]:
        """Each by its name."""
        return {"export": self._export, "forget": self._forget}

    async def _export(self, request: dict[str, Any]) -> dict[str, Any]:
        user = _user(request)
        plugins, silent = await self._ask("export", user)
        return {
            "user": user,
            "events": await self._eventlog.export(user),
            "plugins": plugins,
            "store": await self._stored(user),
            "silent": silent,
        }

    async def _forget(self, request: dict[str, Any]) -> dict[str, Any]:
        """The event log first: what it still has for a plugin must not reach that afterwards.

        The store last: what a plugin's own way to forget left there goes whole.
        """
        user = _user(request)
        gone, changed = await self._eventlog.forget(user)
        await self._house.forget(user, LANE_SECONDS)
        plugins, silent = await self._ask("forget", user)
        stored = await self._stored(user)
        places = [Place(one["plugin"], one["channel"], one["key"]) for one in stored]
        await self._storage.erase(places)
        await self._storage.checkpoint()
        return {
            "user": user,
            "events": {"deleted": gone, "changed": changed},
            "plugins": sorted(plugins),
            "store": [{**one, "value": None} for one in stored],
            "silent": silent,
        }

    async def _stored(self, user: str) -> list[dict[str, Any]]:
        """What is in the store under a key, or with a value, in which the name stands as a word."""
        found = []
        for place in await self._storage.find(user):
            got = msgspec.json.decode(
                await self._storage.do(place.plugin, Operation("get", place.channel, place.key))
            )
            value = got["value"] if got else None  # it expired, and is still in the file
            if not got or mentions(place.key, user) or mentions(msgspec.json.encode(value).decode(), user):
                found.append({**msgspec.structs.asdict(place), "value": value})
        return found

    async def _ask(self, what: Person, user: str) -> tuple[dict[str, list[Any]], dict[str, str]]:
        """What each plugin answered, and of the others why they did not."""
        answers: dict[str, list[Any]] = {}
        silent: dict[str, str] = {}
        for known, lives in self._house.lives():
            description = known.description
            if description is None or (what not in description.hooks and not description.keeps):
                continue
            if what not in description.hooks:
                silent[known.name] = f"keeps {description.keeps}, and has no way to {what} it"
                continue
            for life in lives:
                if life.home is None or life.state != "running":
                    silent[known.name] = f"is {life.state}"
                    continue
                try:
                    answers.setdefault(known.name, []).extend(await life.home.person(what, user))
                except PluginError as error:
                    silent[known.name] = str(error)
        return answers, silent


def _user(request: dict[str, Any]) -> str:
    user = str(request.get("user", "")).strip()
    if not user:
        raise RoseyError("name a user")
    return user
