"""What rosey keeps about a user: told whole, or deleted everywhere. It owns the order, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rosey_core.control import Verb
from rosey_core.errors import PluginError, RoseyError
from rosey_core.eventlog.log import EventLog
from rosey_core.host.home import Person
from rosey_core.host.house import House


class Privacy:
    """The verbs.

    Args:
        house: the plugins.
        eventlog: what happened.
    """

    def __init__(self, house: House, eventlog: EventLog) -> None:
        self._house = house
        self._eventlog = eventlog

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
            "silent": silent,
        }

    async def _forget(self, request: dict[str, Any]) -> dict[str, Any]:
        """Plugins first: what the event log still has for one of them must not reach it afterwards."""
        user = _user(request)
        gone, changed = await self._eventlog.forget(user)
        plugins, silent = await self._ask("forget", user)
        return {
            "user": user,
            "events": {"deleted": gone, "changed": changed},
            "plugins": sorted(plugins),
            "silent": silent,
        }

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
