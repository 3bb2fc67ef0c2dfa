"""Finding a room's websocket: what a site may answer, and which server is taken."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from rosey_core.config import ChannelConfig
from rosey_core.cytube import fetch
from rosey_core.cytube.ending import Again, Ended
from rosey_core.cytube.finding import _Server, choose, find, socket_url
from rosey_core.cytube.gate import ConnectGate
from rosey_core.cytube.session import Secrets, Session
from rosey_core.cytube.translate import Draft
from rosey_core.events import ConnectionJoined
from rosey_core.testing.player import Line, Player

TAIL = "/socket.io/?EIO=4&transport=websocket"


async def nothing(_: Line) -> None:
    """Nobody comes."""


async def test_http() -> None:
    """The site is asked for the room, and its server becomes a websocket's address."""
    async with Player(nothing) as player:
        url = await find(f"{player.url}/", "movie-night_1", proxy=None, seconds=5)
        assert url == player.url.replace("http", "ws", 1) + TAIL
        assert player.asked == ["/socketconfig/movie-night_1.json"]


async def test_odd_names_stay_in_their_place() -> None:
    """A room's name can't lead to another address of the site."""
    async with Player(nothing) as player:
        await find(player.url, "../a b?é#", proxy=None, seconds=5)
        assert player.asked == ["/socketconfig/..%2Fa%20b%3F%C3%A9%23.json"]


@pytest.mark.parametrize(
    ("answer", "url"),
    (
        ({"servers": [{"url": "http://a", "secure": False}, {"url": "https://b", "secure": True}]}, "wss://b"),
        ({"servers": [{"url": "https://a", "secure": True}, {"url": "https://b", "secure": True}]}, "wss://a"),
        ({"servers": [{"url": "http://a", "secure": False}, {"url": "http://b", "secure": False}]}, "ws://a"),
        (
            {
                "servers": [
                    {"url": "https://a", "secure": True, "ipv6Only": True},
                    {"url": "http://b", "secure": False},
                ]
            },
            "ws://b",
        ),
        ({"servers": [{"url": "https://a", "secure": True, "ipv6": True}]}, "wss://a"),
        ({"servers": [{"url": "https://[::1]:8443", "secure": True, "ipv6Only": True}]}, "wss://[::1]:8443"),
        ({"servers": [], "alt": [{"url": "https://c:9", "secure": True}]}, "wss://c:9"),
        ({"servers": [{"url": "http://a"}], "alt": [{"url": "https://c", "secure": True}]}, "ws://a"),
        ({"servers": [{"url": "https://a", "secure": True, "new": [1]}], "more": {}}, "wss://a"),
    ),
)
async def test_choice(answer: object, url: str) -> None:
    """The first secure server is taken; what only IPv6 reaches comes last; `alt` stands in for an empty list."""
    async with Player(nothing, answer=answer) as player:
        assert await find(player.url, "x", proxy=None, seconds=5) == url + TAIL


@pytest.mark.parametrize(
    ("server", "url"),
    (
        (_Server("http://h:81"), "ws://h:81"),
        (_Server("https://h"), "wss://h"),
        (_Server("ws://h"), "ws://h"),
        (_Server("wss://h/"), "wss://h"),
        (_Server("//h:1", secure=True), "wss://h:1"),
        (_Server("//h:1"), "ws://h:1"),
        (_Server("https://h/under/"), "wss://h/under"),
    ),
)
def test_addresses(server: _Server, url: str) -> None:
    """A server's address in each of its forms."""
    assert socket_url(server, "site") == url + TAIL


@pytest.mark.parametrize("url", ("", "h:81", "gopher://h", "http://", "http://h:x", "http://h:0", "http://[::1", "h"))
def test_no_addresses(url: str) -> None:
    """An address that can't be read ends the attempt, and another is made later."""
    with pytest.raises(Ended, match="can't be read") as caught:
        socket_url(_Server(url), "site")
    assert caught.value.ending.again is Again.SOON


def test_no_servers() -> None:
    """An empty list, as a partitioned site gives while it starts, is tried again."""
    with pytest.raises(Ended, match="site has no server") as caught:
        choose([], "site")
    assert caught.value.ending.again is Again.SOON


@pytest.mark.parametrize(
    ("status", "answer", "kind", "again", "says"),
    (
        (404, {"error": 'Channel "bad name" does not exist.'}, "refused", Again.NEVER, "'x'.*`room` in rosey.toml"),
        (404, b"<html>not found", "lost", Again.SOON, "HTTP status 404"),
        (500, {"error": "broken"}, "lost", Again.SOON, "HTTP status 500"),
        (503, b"", "lost", Again.SOON, "HTTP status 503"),
        (200, {"servers": []}, "lost", Again.SOON, "no server for this room"),
        (200, {}, "lost", Again.SOON, "no server for this room"),
        (200, b"<html>", "lost", Again.SOON, "no list of servers"),
        (200, b"\xff\xfe", "lost", Again.SOON, "no list of servers"),
        (200, b"[" * 100_000, "lost", Again.SOON, "no list of servers"),
        (200, {"servers": [7]}, "lost", Again.SOON, "no list of servers"),
    ),
)
async def test_other_answers(status: int, answer: object, kind: str, again: Again, says: str) -> None:
    """Only the site's own word that there can be no such room is final."""
    async with Player(nothing, answer=answer, status=status) as player:
        with pytest.raises(Ended, match=says) as caught:
            await find(player.url, "x", proxy=None, seconds=5)
        assert (caught.value.ending.kind, caught.value.ending.again) == (kind, again)


@pytest.mark.parametrize(
    ("error", "says"),
    (
        (TimeoutError(), "site did not answer within 5 seconds"),
        (ConnectionRefusedError(111, "Connection refused"), "site can't be reached: .*Connection refused"),
        (OSError(), "site can't be reached: OSError"),
        (http.client.BadStatusLine("x"), "site can't be reached: x"),
        (ValueError("it sends us on more than 5 times"), "sends us on"),
        (RuntimeError("Socks error"), "the proxy failed: Socks error"),
    ),
)
async def test_failures(error: Exception, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the question fails, it is an end that passes, told by the site's name and the reason."""

    async def failing(*_: object, **__: object) -> tuple[int, bytes]:
        raise error

    monkeypatch.setattr(fetch, "get", failing)
    with pytest.raises(Ended, match=says) as caught:
        await find("https://site", "x", proxy=None, seconds=5)
    assert (caught.value.ending.kind, caught.value.ending.again) == ("lost", Again.SOON)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
servers = st.lists(
    st.fixed_dictionaries({"url": st.text(max_size=20)}, optional={"secure": st.booleans()}), max_size=3
)
bodies = st.binary(max_size=40) | (
    json_values | st.fixed_dictionaries({}, optional={"servers": servers, "alt": json_values})
).map(lambda value: json.dumps(value).encode())


@given(st.sampled_from((200, 302, 404, 500)), bodies)
def test_any_answer(status: int, body: bytes) -> None:
    """Whatever a site answers: an address, or an end."""

    async def answered(*_: object, **__: object) -> tuple[int, bytes]:
        return status, body

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "get", answered)
        finding = find("https://site", "x", proxy=None, seconds=5)
        try:
            finding.send(None)
        except StopIteration as done:
            assert done.value.startswith(("ws://", "wss://"))  # noqa: PT017  it is how a coroutine returns
        except Ended as ended:
            assert ended.ending.reason  # noqa: PT017  either is right


# --- https ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("tls")
    key, cert, both = directory / "key.pem", directory / "cert.pem", directory / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


def server_side(certificate: Path) -> ssl.SSLContext:
    """A server's TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_https(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question and the websocket both go by TLS, whose certificate the system's trust decides on."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    joined = asyncio.Event()

    async def script(line: Line) -> None:
        await line.greet()
        await line.admit()

    async def hear(drafts: list[Draft]) -> None:
        if any(isinstance(draft.data, ConnectionJoined) for draft in drafts):
            joined.set()

    async with Player(script, ssl=server_side(certificate)) as player:
        assert await find(player.url, "x", proxy=None, seconds=5) == player.url.replace("https", "wss", 1) + TAIL
        config = ChannelConfig(room="x", server=player.url, connect_timeout=5)
        gate = ConnectGate(every=0)
        session = Session("cytube", config, Secrets(), hear=hear, gate=gate, log=structlog.get_logger())
        running = asyncio.create_task(session.run())
        async with asyncio.timeout(10):
            await joined.wait()
        running.cancel()
        await asyncio.wait([running])


async def test_a_certificate_that_nobody_trusts(certificate: Path) -> None:
    """A site whose certificate is not valid is not talked to, and the reason is told in few words."""
    async with Player(nothing, ssl=server_side(certificate)) as player:
        with pytest.raises(Ended, match=r"127\.0\.0\.1 can't be reached: its certificate is not valid: ") as caught:
            await find(player.url, "x", proxy=None, seconds=5)
        assert caught.value.ending.again is Again.SOON
        assert not player.asked
