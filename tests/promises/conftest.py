"""The whole product for each promise: a simulated CyTube, and the real daemon with a real nats-server."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from rosey_core.bus.client import Client
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer

PASSWORD = "canary-of-the-account"
READER = "canary-of-the-reader"

GRANTS = {
    "echo": ("chat.read", "chat.send"),
    "logging": ("chat.read", "media.read"),
    "parrot": ("chat.read", "chat.send", "chat.pm", "chat.pm.send"),
    "witness": ("chat.read", "chat.send", "media.read", "channel.state"),
    "keeper": ("chat.read", "chat.send"),
    "raiser": ("chat.read", "chat.send"),
    "hanger": ("chat.read", "chat.send"),
    "quitter": ("chat.read",),
    "censor": ("chat.read", "judge"),
    "stubborn": ("chat.read", "chat.send", "judge"),
    "blocker": ("chat.read",),
    "hog": ("chat.read", "chat.send"),
    "counter": ("chat.read", "chat.send", "store"),
    "sneak": ("chat.read", "chat.send"),
    "broken-import": ("chat.read",),
    "badstart": ("chat.read",),
    "crasher": ("chat.read",),
    "threads": ("chat.read",),
    "slowimport": ("chat.read",),
    "recorder": ("chat.read", "chat.pm", "user.read", "media.read", "poll.read", "channel.read", "channel.state"),
    "notary": ("chat.read", "chat.send", "user.read"),
    "database": ("chat.read", "user.read", "media.read", "channel.read"),
    "careless": ("chat.read", "store"),
    "lister": ("chat.read", "chat.send"),
    "asker": ("chat.read", "chat.send", "query:asker"),
}

Boot = Callable[..., RoseyProcess]


def config(url: str, plugins: tuple[str, ...], channel: str, rest: str, run: str) -> str:
    """The text of a rosey.toml."""
    tables = [
        f'[plugins.{name}]\nenabled = true\nrun = "{run}"\ngrant = {json.dumps(GRANTS[name])}' for name in plugins
    ]
    lines = "\n".join(tables)
    return f"""\
version = 1
[channels.cytube]
server = "{url}"
room = "movienight"
username = "Rosey"
password = {{ env = "TEST_PASSWORD" }}
{channel}
[nats.users.reader]
password = {{ env = "TEST_READER" }}
grant = ["chat.send", "media.queue", "query:asker", "query:database"]
{lines}
{rest}
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory with a short path: sockets have to fit."""
    with tempfile.TemporaryDirectory(prefix="rosey-") as directory:
        yield Path(directory)


@pytest.fixture
async def cytube() -> AsyncIterator[SimulatedCytube]:
    """A site with a room in which the bot may do a moderator's things."""
    accounts = {"Rosey": PASSWORD, "Olive": "pw"}
    async with SimulatedCytube(accounts=accounts, ranks={"Rosey": 3, "Olive": 5}) as site:
        yield site


@pytest.fixture
def run() -> str:
    """Where plugins run; a module that tries both gives this parameters."""
    return "inside"


@pytest.fixture
def make(home: Path, zoo: Path, run: str) -> Boot:
    """Make a daemon that is not started yet: `make(url, "echo", channel="...", rest="...")`."""

    def made(
        url: str, *plugins: str, channel: str = "", rest: str = "", environ: dict[str, str] | None = None
    ) -> RoseyProcess:
        variables = {"TEST_PASSWORD": PASSWORD, "TEST_READER": READER} | (environ or {})
        return RoseyProcess(home, config(url, plugins or ("echo",), channel, rest, run), environ=variables)

    return made


@pytest.fixture
async def rosey(make: Boot, cytube: SimulatedCytube) -> AsyncIterator[RoseyProcess]:
    """A daemon with echo, in the room."""
    async with make(cytube.url) as process:
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        yield process


@pytest.fixture
async def alice(cytube: SimulatedCytube) -> AsyncIterator[Viewer]:
    """A guest in the room."""
    async with Viewer(cytube.url, "movienight", "alice") as viewer:
        yield viewer


async def _ignore(_: Exception) -> None:
    pass


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., object]]:
    """Connect a NATS client to a daemon's broker; it is closed at the end."""
    async with AsyncExitStack() as stack:

        async def connected(process: RoseyProcess, user: str = "reader", password: str = READER) -> Client:
            url = (await process.until("NATS is there", lambda told: told["nats"]["connected"]))["nats"]["url"]
            client = Client()
            await client.connect(
                url,
                user=user,
                password=password,
                inbox_prefix=f"_INBOX_{user}",
                allow_reconnect=False,
                error_cb=_ignore,  # it would log the daemon's end
            )
            stack.push_async_callback(client.close)
            return client

        yield connected
