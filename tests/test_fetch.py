"""One HTTP question: redirects, limits, and that nothing holds it up for long. Proxies are in `test_proxy`."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from rosey_core.cytube import fetch

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class Site:
    """A server that answers each path in its own way.

    Attributes:
        url: its address.
        heads: the requests, as they came.
    """

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Site]:
    """A server for the time of a test."""
    site = Site()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            site.heads.append(head)
            await answer(head.split(" ")[1], writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield site
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP answer, after which the connection ends."""
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def threads_end() -> None:
    """Wait until no thread of a question is left."""
    async with asyncio.timeout(5):
        while any(thread.name == "rosey-finding" for thread in threading.enumerate()):  # noqa: ASYNC110  no event
            await asyncio.sleep(0.005)


async def test_answer() -> None:
    """The status and the body, for any status; the question says what it wants."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200 if path == "/a?b=c" else 404, b"body"))

    async with serving(answer) as site:
        assert await fetch.get(f"{site.url}/a?b=c", proxy=None, seconds=5) == (200, b"body")
        assert await fetch.get(site.url, proxy=None, seconds=5) == (404, b"body")
        assert site.heads[0].startswith("GET /a?b=c HTTP/1.1\r\n")
        assert f"Host: {site.url[7:]}\r\n" in site.heads[0]
        assert "Accept: application/json" in site.heads[0]
        assert site.heads[1].startswith("GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("status", (301, 302, 303, 307, 308))
async def test_redirects(status: int) -> None:
    """Each kind of redirect is followed, relative ones too."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200, b"there") if path == "/new/x" else reply(status, Location="../new/x"))

    async with serving(answer) as site:
        assert await fetch.get(f"{site.url}/old/x", proxy=None, seconds=5) == (200, b"there")


async def test_redirect_without_a_place() -> None:
    """A redirect that leads nowhere is an answer like others."""

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(302))

    async with serving(answer) as site:
        assert await fetch.get(site.url, proxy=None, seconds=5) == (302, b"")


async def test_redirects_end() -> None:
    """Six redirects are one too many."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(302, Location=f"{path}x"))

    async with serving(answer) as site:
        with pytest.raises(ValueError, match="more than 5 times"):
            await fetch.get(site.url, proxy=None, seconds=5)
        assert len(site.heads) == 6


async def test_redirects_elsewhere() -> None:
    """A redirect to what is no HTTP is not followed."""

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(302, Location="file:///etc/passwd"))

    async with serving(answer) as site:
        with pytest.raises(ValueError, match="from http to file"):
            await fetch.get(site.url, proxy=None, seconds=5)


def test_no_redirect_from_https_to_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked in secret is not asked again in plain text."""
    monkeypatch.setattr(fetch, "_ask", lambda *_: (301, b"", "http://site/x"))
    with pytest.raises(ValueError, match="from https to http"):
        fetch._get("https://site/x", None, 5, fetch._Stop())


async def test_long_answers() -> None:
    """An answer of more than a MiB is cut off, whatever length it announces."""

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serving(answer) as site:
        with pytest.raises(ValueError, match="longer than 1 MiB"):
            await fetch.get(site.url, proxy=None, seconds=10)


@pytest.mark.parametrize("drips", (False, True), ids=("silent", "drip"))
@pytest.mark.parametrize(
    "start",
    (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
    ids=("nothing", "half a head", "a body", "another body"),
)
async def test_time_is_for_all_of_it(start: bytes, drips: bool) -> None:
    """A site that says nothing, or a byte now and then, is given up in time, and its thread ends."""

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(b"x" if drips else b"")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(answer) as site:
        with pytest.raises(TimeoutError):
            await fetch.get(site.url, proxy=None, seconds=0.2)
        await threads_end()


@pytest.mark.parametrize("start", (b"", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), ids=("nothing", "a head"))
async def test_cancelled(start: bytes) -> None:
    """Who is cancelled while he asks does not wait, and leaves no thread behind."""
    asked = asyncio.Event()

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await asyncio.sleep(0.02)
        asked.set()

    async with serving(answer) as site:
        asking = asyncio.create_task(fetch.get(site.url, proxy=None, seconds=60))
        async with asyncio.timeout(5):
            await asked.wait()
            asking.cancel()
            await asyncio.wait([asking])
        await threads_end()


async def test_junk() -> None:
    """What is no HTTP is one of the errors that are promised."""

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n")
        writer.close()

    async with serving(answer) as site:
        with pytest.raises(http.client.HTTPException):
            await fetch.get(site.url, proxy=None, seconds=5)


@pytest.mark.parametrize("url", ("ftp://site/x", "site/x", "http://", "", "http://[::1"))
async def test_no_address(url: str) -> None:
    """An address that is none is an error, and not an exception of another kind."""
    with pytest.raises(ValueError, match=r"must begin with https|IPv6"):
        await fetch.get(url, proxy=None, seconds=5)


async def test_nobody_there() -> None:
    """A refused connection is an OSError."""
    with pytest.raises(ConnectionRefusedError):
        await fetch.get("http://127.0.0.1:1/", proxy=None, seconds=5)
