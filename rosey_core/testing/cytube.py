"""The simulated CyTube: a site on loopback with one room, the real protocol, and no data base or network behind it.

    async with SimulatedCytube(accounts={"Rosey": "secret"}, ranks={"Rosey": 3}) as cytube:
        ...                                     # a client, at cytube.url in the room "movienight"
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        cytube.room.say_as("alice", "!help")

python-socketio speaks the wire here, on uvicorn, so that rosey's own client is tested against somebody else's idea of
it. This module is the handle for tests and the sandbox; the port is `network`'s, the rules are `site`'s and `room`'s.

Not simulated: Engine.IO 3 and long polling, login by cookie, other namespaces, several servers of one site
(`partitionChange`), global and Tor bans, the throttle of all events, real lookups of media (`lookup` makes
them up), the limit on how much of a room is saved, the administration panel. What python-socketio can't say (junk,
half a frame, silence) comes from `player`.

Needs the extra `rosey-bot[sandbox]`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self, TypeVar

from rosey_core.testing.line import Line
from rosey_core.testing.network import Network
from rosey_core.testing.payloads import MISSING
from rosey_core.testing.site import Site
from rosey_core.testing.timers import LoopTimers
from rosey_core.testing.users import Event

T = TypeVar("T")

_NOBODY: Mapping[str, Any] = {}


class Heard(NamedTuple):
    """An event that a client sent: under which name (empty for the anonymous), what, and with which payload.

    `payload` is `None` where there is none. A login's holds the password.
    """

    user: str
    event: str
    payload: Any


class SimulatedCytube:
    """A site with one room, from `async with` or `start` until its end.

    Args:
        room: the room's name.
        accounts: names and passwords of registered accounts.
        ranks: ranks in the room, by name.
        password: the room's password; empty for none.
        port: where to listen; 0 takes a free port, which then stays the same.
        ping: seconds between two pings, and until one without an answer ends a connection; whole seconds.
        rules: more for `Site`, such as `connect_limit=True` or `speed=60`.

    Attributes:
        site: accounts, announcements, other rooms.
        room: the room; it may be looked at and worked from outside.
        heard: what clients sent, oldest first.
    """

    def __init__(
        self,
        room: str = "movienight",
        *,
        accounts: Mapping[str, str] = _NOBODY,
        ranks: Mapping[str, float] = _NOBODY,
        password: str = "",
        port: int = 0,
        ping: tuple[int, int] = (25, 120),
        **rules: Any,
    ) -> None:
        self._errors: list[Exception] = []
        self._timers = LoopTimers(self._errors.append)
        self.site = Site(self._timers, **rules)
        for name, secret in accounts.items():
            self.site.add_account(name, secret)
        self.room = self.site.room(room)
        for name, rank in ranks.items():
            self.room.set_rank(name, rank)
        self.room.settings.values["password"] = password or False
        self.heard: list[Heard] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._was_up = False
        self._network = Network(
            self.site, hear=self._hear, changed=self._changed, report=self._errors.append, port=port, ping=ping
        )

    @property
    def url(self) -> str:
        """The site's address, such as `http://127.0.0.1:8080`. It is complete after the first `start`."""
        return self._network.url

    @property
    def connections(self) -> int:
        """How many connections are open and taken."""
        return self.site.connections

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.stop()
        if self._errors and kind is None:
            raise AssertionError(f"the simulated CyTube failed: {self._errors[0]!r}") from self._errors[0]

    # --- up and down ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen; after a `stop`, at the same port. Rooms go on as after a restart: with new uids.

        Raises:
            OSError: the port is taken.
        """
        if self._network.is_up:
            return
        await self._network.start()
        if self._was_up:
            for room in self.site.rooms.values():
                room.load()
        self._was_up = True

    async def stop(self) -> None:
        """Be down: connections break without a goodbye, new ones are refused, time stands still in the rooms."""
        await self._network.stop()
        for room in self.site.rooms.values():
            room.stop()
        self._timers.stop()
        self._changed()

    # --- from outside ---------------------------------------------------------------------------------------

    async def kick(self, name: str, reason: str | None = "") -> None:
        """Kick somebody from the room; `None` kicks with no reason at all (`{}`). Raises `LookupError`."""
        self.room.kick(name, reason)

    async def drop(self, name: str | None = None) -> None:
        """Cut somebody's connection, or all, without a goodbye; returns when the site knows. Raises `LookupError`."""
        users = tuple(self.site.users) if name is None else (self.site.find(name),)
        for user in users:
            assert isinstance(user.link, Line)
            self._network.cut(user.link)
        if name is None:
            self._network.cut(None)
        await self.wait_for(lambda: all(user.gone for user in users))

    async def inject(self, event: str, payload: Any = MISSING, to: str | None = None) -> None:
        """Send any event to everybody, or to one name; without a payload it has none. Raises `LookupError`."""
        users = tuple(self.site.users) if to is None else (self.site.find(to),)
        packed = Event(event, () if payload is MISSING else (payload,))
        for user in users:
            user.hear(packed)

    async def wait_for(self, predicate: Callable[[], T], timeout: float = 10.0) -> T:  # noqa: ASYNC109  the usual word
        """Wait until a question has a true answer, and return it. It is asked after everything that happens here.

        Raises:
            TimeoutError: it had none within `timeout` seconds; the text says what was heard last.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                while not (answer := predicate()):
                    waiter = loop.create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            last = ", ".join(f"{each.event} from {each.user or 'somebody anonymous'}" for each in self.heard[-5:])
            here = ", ".join(user.name or "somebody anonymous" for user in self.room.users)
            raise TimeoutError(
                f"it did not come true within {timeout:g} s; in the room: {here or 'nobody'}; "
                f"last heard: {last or 'nothing'}"
            ) from None
        return answer

    # --- from the network -----------------------------------------------------------------------------------

    def _hear(self, line: Line, name: str, args: tuple[Any, ...]) -> Any:
        user = line.user
        assert user is not None
        self.heard.append(Heard(user.name, name, args[0] if args else None))
        return self.site.receive(user, name, args, acked=line.acked)

    def _changed(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
