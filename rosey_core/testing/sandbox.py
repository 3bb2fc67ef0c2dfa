"""The sandbox: a simulated channel, a broker and the real bot in a process of its own, without a network.

It owns what is set up for that and in which order. How a person sees it and types in it is `rosey sandbox`'s.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Self

from rosey_core.control import LONGEST, SOCKET, ask
from rosey_core.errors import RoseyError, Unavailable
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer

ROOM = "movienight"
BOT = "Rosey"
STATE = "rosey-state"
CAST = {"viewer": "Vera", "moderator": "Mo", "owner": "Olive"}
"""Whom one can type as."""

OWN = frozenset(("pm", "cooldown", "errorMsg", "queueFail", "noflood", "kick"))
"""Events that CyTube sends to one person."""

RANKS = {BOT: 3.0, "Vera": 1.0, "Mo": 2.0, "Olive": 5.0}

MADE = "# `rosey sandbox` made this, and writes it anew each time."
"""The first line of its rosey.toml, by which it knows a directory of its own."""

FILES = ("rosey.toml", "password", "nats-password", "rosey.log", "rosey-state", "notify.sock")
"""What it writes in its directory."""

CONFIG = """\
{made}
# What a rosey.toml of your own may look like.
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


def prepare(directory: Path) -> Path:
    """Make the directory if it is not there, and return its real path.

    Raises:
        RoseyError: no sandbox can be there: it can't be written, its path is too long for a socket, or it holds files
            that a sandbox would write and none has made. Nothing was written then.
    """
    try:
        directory = directory.resolve()
        if len(os.fsencode(directory / STATE / SOCKET)) > LONGEST:
            room = LONGEST - len(f"/{STATE}/{SOCKET}")
            raise RoseyError(f"the path {directory} is too long for the bot's socket; take one within {room} bytes")
        found = [name for name in FILES if os.path.lexists(directory / name)]
        config = directory / "rosey.toml"
        if found and not (config.is_file() and config.read_bytes().startswith(MADE.encode())):
            raise RoseyError(
                f"{directory} holds {', '.join(found)}, which no sandbox made and this one would overwrite; "
                f"take another directory"
            )
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except (OSError, RuntimeError) as error:  # the latter for links in a circle, up to Python 3.12
        why = error.strerror if isinstance(error, OSError) else error
        raise RoseyError(f"the directory {directory} can't be used: {why}; take another directory") from None
    return directory


class Sandbox:
    """Everything that is needed, from `async with` until its end.

    Args:
        directory: where the bot's files go, as `prepare` returned it.
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
        """Start everything. Raises RoseyError where the bot does not start, or another runs in the directory."""
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
        with suppress(Unavailable):
            await ask(self.directory / STATE / SOCKET, "status")
            raise RoseyError(f"another sandbox runs in {self.directory}; end it, or take another directory")
        await self._stack.enter_async_context(self.cytube)
        for name, secret in (("password", self._password), ("nats-password", token_urlsafe(12))):
            path = self.directory / name
            path.touch(mode=0o600)
            path.write_text(secret)
        config = CONFIG.format(made=MADE, url=self.cytube.url, room=ROOM, bot=BOT)
        self.bot = RoseyProcess(self.directory, config)
        await self._stack.enter_async_context(self.bot)
        for role in CAST:
            await self.enter(role)
        try:
            await self.cytube.wait_for(lambda: self.cytube.room.find(BOT), 30)
        except TimeoutError:
            raise RoseyError(f"the bot did not join the room; the end of its log:\n{self.bot.tail()}") from None
