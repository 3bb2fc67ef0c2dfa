"""The sandbox on a terminal: what is heard becomes lines, and what is typed becomes somebody's line or an order."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

from rosey_core.cli.status import page
from rosey_core.cli.terminal import Terminal
from rosey_core.cytube.text import read
from rosey_core.errors import RoseyError, SocketIOError
from rosey_core.host.loopguard import ANSWERS, SILENCE, WINDOW
from rosey_core.media import parse
from rosey_core.testing.sandbox import BOT, CAST, Sandbox
from rosey_core.testing.scenario import lively, play
from rosey_core.testing.script import Step
from rosey_core.testing.viewer import Viewer

HELP = """\
What you type is said in the channel. A line for the bot begins with !
(!help, !echo hello); a line that begins with / is an order:
/as ROLE        be the viewer, the moderator or the owner
/pm NAME TEXT   a private message
/queue LINK     put something on the playlist
/who            who is here
/status         what the bot says of itself
/files          where the bot's files are
/quit           the end, as is Ctrl-D
or one of CyTube's own: /me TEXT, /poll TITLE,OPTION,OPTION,
and for a moderator /kick NAME, /mute NAME, /unmute NAME, /clear ..."""

GUARDED = (
    "{bot} does not answer {user} for {left:.0f} s: they answered each other "
    f"{ANSWERS} times within {WINDOW:g} s (a guard against two bots)"
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):  # noqa: N818  no error: somebody wished it
    """A signal ended the sandbox.

    Attributes:
        number: which.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


async def perform(directory: Path, steps: Sequence[Step] | None, seconds: float | None) -> None:
    """Run the sandbox until its end.

    Args:
        directory: where the bot's files go, as `prepare` returned it.
        steps: a scenario to play instead of the usual show.
        seconds: how long, if not until somebody ends it.

    Raises:
        RoseyError: the scenario did not go as written, or the bot ended.
        Stopped: a signal came.
        OSError: what is shown can't be written.
    """
    ends = asyncio.Queue[Exception]()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
            loop.add_signal_handler(number, ends.put_nowait, Stopped(number))
    terminal = Terminal(ends.put_nowait)
    terminal.show("starting a simulated CyTube, nats-server and rosey ...", dim=True)
    sandbox = Sandbox(directory, lambda who, name, payload: _show(terminal, who, name, payload))
    async with AsyncExitStack() as stack:
        await _first([_ended(ends), stack.enter_async_context(sandbox)])
        terminal.show(f"{BOT} is in the room. Try !help, !echo hello, or /help for more.", dim=True)
        parts = [_ended(ends), _watch(sandbox), _explain(terminal, sandbox)]
        if steps is not None:
            parts.append(play(steps, sandbox.cytube, seconds=seconds))
            await _first(parts)
        else:
            await _first([*parts, lively(sandbox.cytube), Typing(terminal, sandbox).run()], seconds)
    terminal.show("the end", dim=True)


async def _first(parts: Sequence[Awaitable[object]], seconds: float | None = None) -> None:
    """Run all parts until the first ends, or time is up; what it raised is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ended(ends: asyncio.Queue[Exception]) -> None:
    raise await ends.get()


async def _explain(terminal: Terminal, sandbox: Sandbox) -> None:
    """Tell whom the bot's guard against other bots silences: in a real room its log alone tells."""
    until: dict[str, float] = {}
    with sandbox.bot.read_log() as log:
        while True:
            for line in log:
                if '"loop.stopped"' in line:
                    name = json.loads(line)["user"]
                    now = time.monotonic()
                    if until.get(name, now) <= now:
                        until[name] = now + SILENCE
                    user = sandbox.cytube.room.find(name)
                    terminal.show(
                        GUARDED.format(bot=BOT, user=user.name if user else name, left=until[name] - now), dim=True
                    )
            await asyncio.sleep(0.2)


async def _watch(sandbox: Sandbox) -> None:
    code = await sandbox.bot.ended()
    raise RoseyError(f"the bot ended with code {code}; the end of its log:\n{sandbox.bot.tail()}")


class Typing:
    """Somebody at the keyboard."""

    def __init__(self, terminal: Terminal, sandbox: Sandbox) -> None:
        self._terminal = terminal
        self._sandbox = sandbox
        self._orders: dict[str, Callable[[str], Awaitable[None]]] = {
            "/as": self._as,
            "/pm": self._pm,
            "/queue": self._queue,
            "/who": self._who,
            "/status": self._status,
            "/files": self._files,
            "/help": self._help,
        }
        self._role = "viewer"

    async def run(self) -> None:
        """Take lines until the end."""
        self._terminal.prompt = f"{CAST[self._role]}> "
        async with aclosing(self._terminal.lines()) as lines:
            async for typed in lines:
                line = typed.strip()
                order, _, rest = line.partition(" ")
                if order in {"/quit", "/exit"}:
                    return
                try:
                    if order in self._orders:
                        await self._orders[order](rest.strip())
                    elif order.startswith("/") and not self._sandbox.cytube.room.chat.is_command(line):
                        self._terminal.show(f"there is no {order}; /help lists what there is", dim=True)
                    elif line:
                        await self._me.say(line)
                except (RoseyError, TimeoutError) as error:
                    self._terminal.show(f"that did not work: {error}", dim=True)
        if not (sys.stdin and sys.stdin.isatty()):
            await asyncio.Event().wait()  # a pipe that ended is no wish to stop

    @property
    def _me(self) -> Viewer:
        """Who one is. Raises `CytubeError` while they are not in the room."""
        viewer = self._sandbox.cast[self._role]
        if viewer.closed:
            raise SocketIOError(f"{CAST[self._role]} is not in the room any more; /as {self._role} brings them back")
        return viewer

    async def _as(self, role: str) -> None:
        role = next((known for known, name in CAST.items() if role.lower() in {known, name.lower()}), "")
        if not role:
            self._terminal.show(f"you can be: {', '.join(CAST)}", dim=True)
            return
        if self._sandbox.cast[role].closed:
            await self._sandbox.enter(role)
        self._role = role
        self._terminal.prompt = f"{CAST[role]}> "
        self._terminal.show(f"you are {CAST[role]}, the {role}", dim=True)

    async def _pm(self, rest: str) -> None:
        to, _, text = rest.partition(" ")
        if text:
            await self._me.pm(to, text)
        else:
            self._terminal.show("/pm NAME TEXT", dim=True)

    async def _queue(self, link: str) -> None:
        media = parse(link)
        if media is None:
            self._terminal.show("that is no link CyTube knows; try /queue https://youtu.be/dQw4w9WgXcQ", dim=True)
            return
        await self._me.emit("queue", {"id": media.id, "type": media.type, "pos": "end"})

    async def _who(self, _: str) -> None:
        users = self._sandbox.cytube.room.users
        self._terminal.show(", ".join(f"{user.name} ({user.rank:g})" for user in users if user.name), dim=True)

    async def _status(self, _: str) -> None:
        for part in page(await self._sandbox.bot.ask()):
            for line in part.splitlines():
                self._terminal.show(line)

    async def _files(self, _: str) -> None:
        self._terminal.show(f"{self._sandbox.directory}: rosey.toml, rosey.log, rosey-state", dim=True)

    async def _help(self, _: str) -> None:
        for line in HELP.splitlines():
            self._terminal.show(line, dim=True)


Words = Callable[[Any], str]

REMARKS: dict[str, Words] = {
    "addUser": lambda user: f"{user['name']} joins",
    "userLeave": lambda user: f"{user['name']} leaves",
    "queue": lambda told: f"{told['item']['queueby']} queues {told['item']['media']['title']}",
    "changeMedia": lambda media: f"now plays {media['title']}",
    "newPoll": lambda poll: f"a poll: {read(poll['title'])[0]}",
    "closePoll": lambda _: "the poll is closed",
    "setMotd": lambda motd: f"the room says: {read(motd)[0]}" if motd else "",
    "clearchat": lambda _: "the chat is cleared",
    "pm": lambda line: f"{line['username']} to {line['to']}, privately: {read(line['msg'])[0]}",
    "errorMsg": lambda error: f"CyTube: {error['msg']}",
    "queueFail": lambda error: f"CyTube: {error['msg']}",
    "cooldown": lambda _: "CyTube: too fast, a line was not said",
    "noflood": lambda error: f"CyTube: {error['msg']}",
}
"""What is shown of an event beside chat; of others, nothing."""


def _show(terminal: Terminal, who: str, name: str, payload: Any) -> None:
    if name == "kick":
        terminal.show(f"{who} is kicked: {payload.get('reason') or 'no reason given'}", dim=True)
    elif name == "chatMsg":
        text = read(payload["msg"])[0]
        if payload["meta"].get("addClass") == "action":
            terminal.show(f"* {payload['username']} {text}")
        else:
            terminal.show(text, who=payload["username"])
    elif (words := REMARKS.get(name)) is not None and (text := words(payload)):
        terminal.show(text, dim=True)
