"""The sandbox: a simulated channel, a broker and the real bot in a process of its own, without a network.

It owns what is set up for that and in which order. How a person sees it and types in it is `rosey sandbox`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Self

from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer

ROOM = "movienight"
BOT = "Rosey"
CAST = {"viewer": "Vera", "moderator": "Mo", "owner": "Olive"}
"""Whom one can type as."""

OWN = frozenset(("pm", "errorMsg", "queueFail", "noflood", "kick"))
"""Events that CyTube sends to one person."""

RANKS = {BOT: 3.0, "Vera": 1.0, "Mo": 2.0, "Olive": 5.0}

CONFIG = """\
# The configuration of this sandbox: what a rosey.toml of your own may look like.
version = 1

[channels.cytube]
server = "{url}"
room = "{room}"
username = "{bot}"
password = {{ file = "password" }}

[plugins.echo]
enabled = true
grant = ["chat.read", "chat.send"]

[plugins.logging]
enabled = true
grant = ["chat.read", "media.read"]

[nats.users.you]
password = {{ file = "nats-password" }}
grant = ["chat.send", "chat.pm.send", "media.queue", "poll.open", "poll.close"]
"""


class Sandbox:
    """Everything that is needed, from `async with` until its end.

    Args:
        directory: where the bot's files go.
        hear: is told of every event that a viewer in the room hears, and of what only one of the cast does: the name
            of who heard it, the event's name, its payload.

    Attributes:
        cytube: the site.
        bot: the daemon.
        cast: the people one can type as: `viewer`, `moderator`, `owner`.
    """

    def __init__(self, directory: Path, hear: Callable[[str, str, Any], None]) -> None:
        password = token_urlsafe(9)
        self.directory = directory
        self.cytube = SimulatedCytube(ROOM, accounts=dict.fromkeys(RANKS, password), ranks=RANKS, usercount_period=2)
        self._password = password
        self._hear = hear
        self._stack = AsyncExitStack()
        self.cast: dict[str, Viewer] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._set_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def enter(self, role: str) -> None:
        """Bring one of the cast into the room, also again after a kick.

        Raises:
            CytubeError: the room does not let them in, such as after a ban.
        """
        name = CAST[role]
        entered = False

        def hear(event: str, payload: Any) -> None:
            # What everybody hears the viewer tells; and what a room tells at the door was told before.
            if entered and (event in OWN or role == "viewer"):
                self._hear(name, event, payload)

        viewer = Viewer(self.cytube.url, ROOM, name, self._password, hear=hear)
        self.cast[role] = await self._stack.enter_async_context(viewer)
        entered = True

    async def _set_up(self) -> None:
        await self._stack.enter_async_context(self.cytube)
        for name, secret in (("password", self._password), ("nats-password", token_urlsafe(12))):
            path = self.directory / name
            path.touch(mode=0o600)
            path.write_text(secret)
        config = CONFIG.format(url=self.cytube.url, room=ROOM, bot=BOT)
        self.bot = RoseyProcess(self.directory, config)
        await self._stack.enter_async_context(self.bot)
        for role in CAST:
            await self.enter(role)
        await self.cytube.wait_for(lambda: self.cytube.room.find(BOT), 30)
