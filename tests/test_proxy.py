"""Proxies: their addresses, and the way through real ones, for the site's question and for the websocket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.config import ChannelConfig
from rosey_core.cytube import proxy
from rosey_core.cytube.gate import ConnectGate
from rosey_core.cytube.proxy import Proxy
from rosey_core.cytube.session import Secrets, Session
from rosey_core.cytube.translate import Draft
from rosey_core.errors import ConfigError
from rosey_core.events import ConnectionJoined, ConnectionLost
from rosey_core.testing.player import Line, Player

USER, PASSWORD = "us er", "canary:p@ss/%41"
LOGIN = "us%20er:canary%3Ap%40ss%2F%2541"


# --- addresses ---


@pytest.mark.parametrize(
    ("address", "read"),
    (
        ("socks5://h", Proxy("socks5", "h", 1080)),
        ("socks5h://h:9050", Proxy("socks5h", "h", 9050)),
        ("http://h/", Proxy("http", "h", 80)),
        ("http://[::1]:3128", Proxy("http", "::1", 3128)),
        (f"http://{LOGIN}@h:1", Proxy("http", "h", 1, USER, PASSWORD)),
        ("", None),
    ),
)
def test_addresses(address: str, read: Proxy | None) -> None:
    """An address is taken apart, with its scheme's port where it names none."""
    assert proxy.read(address) == read


@pytest.mark.parametrize(
    ("address", "says"),
    (
        ("h:1", "is not known"),
        ("https://canary@h", "kind 'https' is not known: use one of socks5, socks5h, http"),
        ("http://user:canary@", "no host"),
        ("http://h/canary", "something after it"),
        ("http://h?canary", "something after it"),
        ("http://user:canary@h:port", "can't be read"),
        ("http://user:canary@[::1", "can't be read"),
        ("socks5://user:canary%C3%A9@h", "ASCII"),
        ("http://us%3Aer:canary@h", "colon"),
    ),
)
def test_no_addresses(address: str, says: str) -> None:
    """What is no proxy's address is an error that says how to write it, and repeats no password."""
    with pytest.raises(ConfigError, match=says) as caught:
        proxy.read(address)
    assert "canary" not in str(caught.value)


@given(st.text(), st.text(st.characters(exclude_characters=":"), min_size=1), st.text())
def test_there_and_back(host: str, user: str, password: str) -> None:
    """Any user and password survive being written as an address; no input raises anything but its own error."""
    with contextlib.suppress(ConfigError):
        proxy.read(f"http://{host}")
    try:
        address = Proxy("http", "h", 1, user, password).url
    except UnicodeEncodeError:  # half of a surrogate pair
        return
    assert proxy.read(address) == Proxy("http", "h", 1, user, password)


def test_no_password_is_shown() -> None:
    """However a proxy is printed, its password is not."""
    it = Proxy("http", "h", 1, "u", "canary")
    assert "canary" not in f"{it!r} {it} {it.place} {it.__rich_repr__()}"
    assert "canary" in it.url


def test_socks_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library for SOCKS the error says what to install; an HTTP proxy needs none."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'rosey-bot\[socks\]'"):
        proxy.read("socks5://h")
    assert proxy.read("http://h")


# --- the way through ---


class Between:
    """A small proxy that speaks SOCKS 5 and HTTP on one port.

    Attributes:
        port: where it listens.
        used: for each request: how it came (`socks`, `CONNECT` or `GET`), the host and the port it asked for.
        logins: the user and password of each, where there was one.
        wants: the only login that it takes; None takes all.
    """

    def __init__(self) -> None:
        self.port = 0
        self.used: list[tuple[str, str, int]] = []
        self.logins: list[tuple[str, str]] = []
        self.wants: tuple[str, str] | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            first = await reader.readexactly(1)
            target = await (self._socks(reader, writer) if first == b"\x05" else self._http(first, reader, writer))
            if target is not None:
                host, port, rest = target
                there, back = await asyncio.open_connection(host, port)
                self._writers.append(back)
                back.write(rest)
                await asyncio.gather(pipe(reader, back), pipe(there, writer))
        writer.close()

    async def _socks(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int, bytes] | None:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        if self.wants is not None:
            assert 2 in methods
            writer.write(b"\x05\x02")
            await reader.readexactly(1)
            user = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            self.logins.append((user, password))
            if (user, password) != self.wants:
                writer.write(b"\x01\x01")
                return None
            writer.write(b"\x01\x00")
        else:
            writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        if kind == 1:
            host = ".".join(map(str, await reader.readexactly(4)))
        else:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.used.append(("socks", host, port))
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return host, port, b""

    async def _http(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int, bytes] | None:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        sent = [line.split(" ")[2] for line in head.split("\r\n") if line.lower().startswith("proxy-authorization:")]
        if sent:
            user, _, password = base64.b64decode(sent[0]).decode().partition(":")
            self.logins.append((user, password))
        if self.wants is not None and self.wants not in self.logins[-1:]:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return None
        place = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = place.rpartition(":")
        self.used.append((method, host, int(port)))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            return host, int(port), b""
        path = "/" + target.split("/", 3)[3]
        return host, int(port), head.replace(target, path, 1).encode()

    def end(self) -> None:
        """Hang up everywhere."""
        for writer in self._writers:
            writer.transport.abort()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From here to there, until the end of either."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def between() -> AsyncIterator[Between]:
    """A proxy that listens."""
    it = Between()
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.port = server.sockets[0].getsockname()[1]
    yield it
    server.close()
    it.end()
    await server.wait_closed()


async def welcome(line: Line) -> None:
    """Let the bot in."""
    await line.greet()
    await line.admit()


async def told(site: str, address: str, kind: type[Any], *, each: Callable[[], object] = lambda: None) -> Any:
    """Run a bot until it tells something of a kind, and give that."""
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def hear(drafts: list[Draft]) -> None:
        for draft in drafts:
            if isinstance(draft.data, kind) and not found.done():
                found.set_result(draft.data)

    async def sleep(_: float) -> None:
        each()
        await asyncio.sleep(0.01)

    config = ChannelConfig(room="x", server=site, connect_timeout=5)
    secrets = Secrets(proxy=address)
    session = Session(
        "c", config, secrets, hear=hear, gate=ConnectGate(every=0), log=structlog.get_logger(), sleep=sleep
    )
    running = asyncio.create_task(session.run())
    try:
        async with asyncio.timeout(10):
            return await found
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.parametrize("login", (False, True))
@pytest.mark.parametrize(
    ("scheme", "question", "websocket", "host"),
    (
        ("socks5", "socks", "socks", "127.0.0.1"),
        ("socks5h", "socks", "socks", "localhost"),
        ("http", "GET", "CONNECT", "localhost"),
    ),
)
async def test_through(between: Between, scheme: str, question: str, websocket: str, host: str, login: bool) -> None:
    """Both connections go through the proxy, with its login; with `socks5` we look up names, else the proxy does."""
    between.wants = (USER, PASSWORD) if login else None
    address = f"{scheme}://{LOGIN + '@' if login else ''}127.0.0.1:{between.port}"
    async with Player(welcome) as player:
        url = player.url.replace("127.0.0.1", "localhost" if host == "localhost" else "127.0.0.1")
        player.answer = {"servers": [{"url": url}]}
        port = int(url.rpartition(":")[2])
        await told(url, address, ConnectionJoined)
        assert between.used == [(question, host, port), (websocket, host, port)]
        assert between.logins == [(USER, PASSWORD)] * (2 * login)


@pytest.mark.parametrize("scheme", ("socks5", "http"))
async def test_wrong_login(between: Between, scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    """A proxy that does not take the login is tried again; its password is told nowhere."""
    caplog.set_level(logging.DEBUG)
    between.wants = ("other", "other")
    async with Player(welcome) as player:
        with structlog.testing.capture_logs() as logs:
            end = await told(player.url, f"{scheme}://user:canary@127.0.0.1:{between.port}", ConnectionLost)
        assert "407" in end.reason if scheme == "http" else "the proxy failed" in end.reason
        assert "canary" not in f"{end} {logs} {caplog.text}"
        assert between.logins == [("user", "canary")]
        assert not player.asked


@pytest.mark.parametrize("scheme", ("socks5", "http"))
async def test_wrong_login_for_the_websocket(
    between: Between, scheme: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where only the websocket is refused."""
    caplog.set_level(logging.DEBUG)
    between.wants = ("user", "canary")
    address = f"{scheme}://user:canary@127.0.0.1:{between.port}"

    async def found(*_: object, **__: object) -> str:
        between.wants = ("other", "other")
        return player.url.replace("http", "ws", 1) + "/socket.io/"

    monkeypatch.setattr("rosey_core.cytube.session.find", found)
    async with Player(welcome) as player:
        with structlog.testing.capture_logs() as logs:
            end = await told(player.url, address, ConnectionLost)
        assert "proxy" in end.reason.lower()
        assert "canary" not in f"{end} {logs} {caplog.text}"
        assert not player.lines


@pytest.mark.parametrize("scheme", ("socks5", "socks5h", "http"))
async def test_proxy_is_down(between: Between, scheme: str) -> None:
    """A proxy that is not there is waited for, as the site is."""
    async with Player(welcome) as player:
        end = await told(player.url, f"{scheme}://user:canary@127.0.0.1:1", ConnectionLost)
        assert "can't be reached" in end.reason or "the proxy failed" in end.reason
        assert "canary" not in end.reason


@pytest.mark.parametrize("scheme", ("socks5", "http"))
async def test_proxy_talks_nonsense(scheme: str) -> None:
    """What is no proxy is an end like others."""

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x00\x07\x00 220 smtp\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server:
        address = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert (await told("http://127.0.0.1:1", address, ConnectionLost)).reason


async def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only rosey.toml decides about a proxy: what the environment says is left alone."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    async with Player(welcome) as player:
        await told(player.url, "", ConnectionJoined)
