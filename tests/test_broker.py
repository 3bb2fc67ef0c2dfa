"""The embedded nats-server: its files, its end and its restarts, and whom it lets do what. All on a real one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rosey_core import log
from rosey_core.bus import broker as module
from rosey_core.bus.access import BrokerUser, core_user, inbox, owner_user, worker_user
from rosey_core.bus.broker import Broker
from rosey_core.bus.client import Client, Msg, errors
from rosey_core.config import NatsConfig, NatsUser, Secret
from rosey_core.errors import BrokerError

CORE = core_user("core-canary")
ODD = "odd \\ \" $HOME ' # é\n{canary"
DESK = owner_user("desk", NatsUser(Secret(env="X"), ("chat.send",)), ODD, ("cytube",))
DEAF = owner_user("deaf", NatsUser(Secret(env="X"), read=False), "deaf-canary", ("cytube",))
EVENT = "rosey.platform.cytube.user.joined"


def made(directory: Path, config: NatsConfig | None = None, users: tuple[BrokerUser, ...] = (CORE,)) -> Broker:
    """A broker that was not started yet."""
    return Broker(config or NatsConfig(), directory / "nats", users, log.get("test"))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A running broker with the daemon's user and two of an owner's."""
    broker = made(tmp_path, users=(CORE, DESK, DEAF))
    broker.spawn()
    await broker.ready()
    yield broker
    await broker.stop()


async def until(true: Callable[[], bool]) -> None:
    """Look until it is true."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  it looks at another process
            await asyncio.sleep(0.01)


class Someone(Client):
    """A client that remembers what it was not allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.heard: list[tuple[str, bytes]] = []

    async def remember(self, error: Exception) -> None:
        """Take an error of the connection."""
        self.refused.append(str(error))

    async def hear(self, message: Msg) -> None:
        """Take a message."""
        self.heard.append((message.subject, message.data))

    async def settled(self) -> None:
        """Wait until the server took everything sent so far."""
        await asyncio.sleep(0)  # nats-py's PING would overtake it
        await self.flush(3)


@asynccontextmanager
async def connected(url: str, user: BrokerUser | None, **others: Any) -> AsyncIterator[Someone]:
    """A client of this user, or of nobody."""
    client = Someone()
    who: dict[str, Any] = {"user": user.name, "password": user.password} if user else {}
    options = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0, "connect_timeout": 2}
    try:
        await client.connect(
            url,
            error_cb=client.remember,
            **(options | who | {"inbox_prefix": inbox(user.name if user else "x")} | others),
        )
        yield client
    finally:
        await client.close()


# --- its files and its life ---


async def test_files(broker: Broker, tmp_path: Path) -> None:
    """Its files are its owner's only, passwords stand in the configuration alone, and not on a command line."""
    directory = tmp_path / "nats"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "nats.conf").stat().st_mode) == 0o600
    assert "core-canary" in (directory / "nats.conf").read_text(encoding="utf-8")
    said = (directory / "nats-server.log").read_text(encoding="utf-8")
    assert "Server is ready" in said
    ps = await asyncio.create_subprocess_exec(
        "ps", "-ww", "-o", "args=", "-p", str(broker.pid), stdout=subprocess.PIPE
    )
    shown = (await ps.communicate())[0].decode()
    assert "nats-server" in shown
    assert "canary" not in said + shown


async def test_files_made_safe_again(tmp_path: Path) -> None:
    """A directory and a configuration that others could read are closed to them."""
    directory = tmp_path / "nats"
    directory.mkdir(mode=0o755)
    (directory / "nats.conf").write_text("old")
    (directory / "nats.conf").chmod(0o644)
    broker = made(tmp_path)
    broker.spawn()
    await broker.stop()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "nats.conf").stat().st_mode) == 0o600


async def test_spawn_does_not_wait(tmp_path: Path) -> None:
    """The process is there when `spawn` returns, its URL when it listens; `stop` ends it and leaves no port file."""
    broker = made(tmp_path)
    broker.spawn()
    pid = broker.pid
    assert pid
    assert broker.url == ""
    assert await broker.ready() == broker.url
    await broker.stop()
    assert broker.pid == 0
    assert {path.name for path in (tmp_path / "nats").iterdir()} == {"nats-server.log", "nats.conf"}


async def test_stop_frozen(broker: Broker) -> None:
    """A frozen one is ended too, in about a second."""
    os.kill(broker.pid, signal.SIGSTOP)
    async with asyncio.timeout(4):
        await broker.stop()
    assert broker.pid == 0


async def test_killed_and_back(broker: Broker, tmp_path: Path) -> None:
    """Killed, it starts again by itself, on the same port, and takes the same users."""
    url, pid = broker.url, broker.pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: broker.starts == 2)
    assert await broker.ready() == url
    assert broker.pid != pid
    async with connected(url, CORE) as client:
        assert client.is_connected
    assert len(list((tmp_path / "nats").glob("*.ports"))) == 1


async def test_port_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that somebody has is told in its own words, and when it is free again the broker comes."""
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = made(tmp_path, NatsConfig(listen=f"127.0.0.1:{port}"))
        broker.spawn()
        with pytest.raises(BrokerError) as caught:
            await broker.ready()
    assert f'127.0.0.1:{port}: bind: address already in use"; stop what has that port, or set another' in str(
        caught.value
    )
    assert "nats-server.log" in str(caught.value)
    monkeypatch.setattr(module, "PATIENCE", 10)
    try:
        assert await broker.ready() == f"nats://127.0.0.1:{port}"
    finally:
        await broker.stop()


async def test_port_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that we chose, and that a stranger took while the server was dead, is given up after some tries."""
    monkeypatch.setattr(module, "BACK_OFF", (0.4, 0.4))
    monkeypatch.setattr(module, "TRIES", 1)
    broker = made(tmp_path)
    broker.spawn()
    url = await broker.ready()
    os.kill(broker.pid, signal.SIGKILL)
    await until(lambda: not broker.pid)
    with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
        await until(lambda: broker.url != url)
        assert await broker.ready() == broker.url
    await broker.stop()


async def test_no_program(tmp_path: Path) -> None:
    """Without a nats-server `spawn` raises at once, and there is nothing to stop."""
    broker = made(tmp_path, NatsConfig(server=str(tmp_path / "nowhere")))
    with pytest.raises(BrokerError, match="there is no program there"):
        broker.spawn()
    await broker.stop()


async def test_no_directory(tmp_path: Path) -> None:
    """A directory that can't be made is an error that names it."""
    (tmp_path / "nats").write_text("a file")
    with pytest.raises(BrokerError, match=r"can't be started in .*/nats: "):
        made(tmp_path).spawn()


DAEMON = """
import asyncio, pathlib, sys
from rosey_core import log
from rosey_core.bus.access import core_user
from rosey_core.bus.broker import Broker
from rosey_core.config import NatsConfig

async def main():
    broker = Broker(NatsConfig(), pathlib.Path(sys.argv[1]), (core_user(),), log.get("x"))
    broker.spawn()
    print(await broker.ready(), broker.pid, file=sys.stderr)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("frozen", (False, True))
async def test_gone_with_the_daemon(tmp_path: Path, frozen: bool) -> None:
    """A daemon that is killed with SIGKILL leaves no nats-server behind, also not a frozen one."""
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, str(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert daemon.stderr is not None
    url, pid = (await daemon.stderr.readline()).decode().split()
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    socket.create_connection(address).close()
    if frozen:
        os.kill(int(pid), signal.SIGSTOP)
    daemon.kill()
    await daemon.wait()

    def gone() -> bool:
        try:
            socket.create_connection(address).close()
        except ConnectionRefusedError:
            return True
        return False

    await until(gone)


# --- who may do what ---


@pytest.mark.parametrize("user", (None, BrokerUser("core", "wrong"), BrokerUser("desk", ""), BrokerUser("who", "x")))
async def test_strangers_get_nothing(broker: Broker, user: BrokerUser | None) -> None:
    """Nobody connects without a name, with a wrong password, or with a name that is not there."""
    with pytest.raises(errors.Error):
        async with connected(broker.url, user):
            pass


async def test_raw_stranger(broker: Broker) -> None:
    """What somebody sends who does not log in at all goes nowhere, and nothing comes back but the refusal."""
    async with connected(broker.url, CORE) as core:
        await core.subscribe(">", cb=core.hear)
        await core.settled()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(broker.url.rpartition(":")[2]))
        writer.write(b'CONNECT {"verbose":false}\r\nSUB > 1\r\nPUB rosey.commands.x 2\r\nhi\r\nPING\r\n')
        info, *rest = (await reader.read()).split(b"\r\n")
        writer.close()
        assert json.loads(info.removeprefix(b"INFO "))["auth_required"] is True
        assert rest == [b"-ERR 'Authorization Violation'", b""]
        await core.settled()
        assert core.heard == []


async def test_tool_may_ask_what_it_was_granted(broker: Broker) -> None:
    """A tool's granted command arrives, and its request gets the answer in its own inbox."""
    async with connected(broker.url, CORE) as core, connected(broker.url, DESK) as desk:

        async def answer(message: Msg) -> None:
            await core.publish(message.reply, message.subject.encode())

        await core.subscribe("rosey.commands.>", cb=answer)
        await core.settled()
        for subject in ("rosey.commands.cytube.chat.send_message", "rosey.commands.chat.send_message"):
            reply = await desk.request(subject, b"{}", timeout=3)
            assert reply.subject.startswith("_INBOX_desk.")
            assert reply.data == subject.encode()
        assert desk.refused == []


@pytest.mark.parametrize(
    "subject",
    (
        "rosey.commands.cytube.user.kick",
        "rosey.commands.films.chat.send_message",
        EVENT,
        "rosey.plugins.markov.generate_text",
        "_INBOX_core.heartbeat",
        "_INBOX_deaf.x",
    ),
)
async def test_tool_may_publish_nothing_else(broker: Broker, subject: str) -> None:
    """What it was not granted is refused by the broker and reaches nobody."""
    async with connected(broker.url, CORE) as core, connected(broker.url, DESK) as desk:
        await core.subscribe(">", cb=core.hear)
        await core.settled()
        await desk.publish(subject, b"x")
        await desk.settled()
        await core.settled()
        assert core.heard == []
        assert desk.refused == [f'nats: permissions violation for publish to "{subject.lower()}"']


async def test_who_hears_what(broker: Broker) -> None:
    """Events reach who may read; nobody hears another's inbox, the daemon's own, or commands."""
    async with (
        connected(broker.url, CORE) as core,
        connected(broker.url, DESK) as desk,
        connected(broker.url, DEAF) as deaf,
    ):
        for pattern in (">", "_INBOX.>", "_INBOX_core.>", "_INBOX_deaf.>", "*.>", "rosey.commands.>", "$SYS.>"):
            await desk.subscribe(pattern, cb=desk.hear)
        await desk.subscribe("rosey.platform.cytube.>", cb=desk.hear)
        await deaf.subscribe("rosey.platform.>", cb=deaf.hear)
        await deaf.subscribe("_INBOX_deaf.>", cb=deaf.hear)
        await desk.settled()
        await deaf.settled()
        for subject in (EVENT, "_INBOX_core.x", "_INBOX_deaf.x", "rosey.commands.chat.clear", "rosey.events.a.b"):
            await core.publish(subject, b"x")
        await core.settled()
        await desk.settled()
        await deaf.settled()
        assert desk.heard == [(EVENT, b"x")]
        assert len(desk.refused) == 7
        assert deaf.heard == [("_INBOX_deaf.x", b"x")]


async def test_refusals_are_told(broker: Broker) -> None:
    """What it refused to whom is told, within a second, and after a restart too; what it allows is not."""
    told: list[tuple[str, str]] = []
    broker.refused = lambda user, what: told.append((user, what))
    for number in (1, 2):
        async with connected(broker.url, DESK, name='" - "ROSEY/user:deaf" - \n[ERR]') as desk:
            await desk.publish("rosey.commands.chat.send_message", b"x")
            await desk.publish("rosey.commands.user.kick", b"x")
            await desk.subscribe("$SYS.>", queue="q")
            await desk.settled()
        await until(lambda: len(told) == 2 * number)  # noqa: B023  it is called here
        if number == 1:
            os.kill(broker.pid, signal.SIGKILL)
            await until(lambda: broker.starts == 2)
            await broker.ready()
    assert told == 2 * [
        ("desk", 'NATS refused it to publish to "rosey.commands.user.kick"'),
        ("desk", 'NATS refused it to subscribe to "$SYS.>"'),
    ]


async def test_other_users_without_a_restart(broker: Broker) -> None:
    """Who is new may connect, who is gone is cut off and may not, and who stays notices nothing."""
    old, new = (worker_user(name, f"canary-of-{name}") for name in ("old", "new"))
    url, process = await broker.ready(), broker.pid
    async with connected(url, CORE) as core:
        broker.change((CORE, old))
        await until(lambda: "Reloaded server configuration" in broker._log_file.read_text())
        await core.settled()
        async with connected(url, old) as gone:
            broker.change((CORE, new))
            await until(lambda: not gone.is_connected)
        async with connected(url, new) as fresh:
            await fresh.publish("rosey.plugins.new.ask.hello", b"{}")
            await fresh.settled()
            assert fresh.refused == []
        with pytest.raises(errors.Error):
            async with connected(url, old):
                pass
        await core.settled()
        assert core.is_connected
    assert broker.pid == process
