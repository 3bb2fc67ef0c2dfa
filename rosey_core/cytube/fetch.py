"""One HTTP question, answered in a thread: the standard library's client, proxies, redirects, limits.

Owns how rosey asks HTTP. What it asks and what the answer means is `finding`'s.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

from rosey_core.cytube.proxy import Proxy
from rosey_core.threads import in_thread

MOST_REDIRECTS = 5
MOST_BYTES = 1 << 20

_REDIRECTS = {301, 302, 303, 307, 308}


async def get(url: str, *, proxy: Proxy | None, seconds: float) -> tuple[int, bytes]:
    """The status and the body of an address, after at most 5 redirects, none of them from https to http.

    Args:
        url: the address.
        proxy: what to go through.
        seconds: for all of it.

    Raises:
        TimeoutError: it took too long.
        OSError, http.client.HTTPException, ValueError: it failed; the text says how, for people.
        Exception: a SOCKS proxy failed in the way of its library.
    """
    stop = _Stop()
    try:
        async with asyncio.timeout(seconds):
            return await in_thread(lambda: _get(url, proxy, seconds, stop))
    finally:
        stop.stop()


class _Stop:
    """Lets the loop end a thread that waits for the network: it closes what the thread waits on."""

    def __init__(self) -> None:
        self.stopped = False
        self._close: Callable[[], object] | None = None

    def owns(self, close: Callable[[], object]) -> None:
        """From now on the thread waits on this."""
        self._close = close
        if self.stopped:
            close()

    def stop(self) -> None:
        self.stopped = True
        if self._close is not None:
            self._close()


def _get(url: str, proxy: Proxy | None, seconds: float, stop: _Stop) -> tuple[int, bytes]:
    """The status and the body of an address, after redirects."""
    deadline = time.monotonic() + seconds
    for _ in range(MOST_REDIRECTS + 1):
        status, body, location = _ask(url, proxy, deadline, stop)
        if status not in _REDIRECTS or not location:
            return status, body
        target = urljoin(url, location)
        old, new = urlsplit(url).scheme, urlsplit(target).scheme
        if new not in {old, "https"}:
            raise ValueError(f"it sends us from {old} to {new or 'nowhere'}, where we don't go")
        url = target
    raise ValueError(f"it sends us on more than {MOST_REDIRECTS} times")


def _ask(url: str, proxy: Proxy | None, deadline: float, stop: _Stop) -> tuple[int, bytes, str]:
    """One request: status, body, and where it sends us."""
    connection, target, headers = _connection(url, proxy, _left(deadline))
    response = None
    try:
        stop.owns(lambda: _hang_up(connection.sock))
        if connection.sock is None:
            connection.connect()
        # When the answer ends with the connection, http.client gives the socket away and forgets it.
        sock = connection.sock
        stop.owns(lambda: _hang_up(sock))
        connection.request("GET", target, headers={"Accept": "application/json", **headers})
        response = connection.getresponse()
        parts: list[bytes] = []
        size = 0
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise ValueError(f"its answer is longer than {MOST_BYTES >> 20} MiB")
            _left(deadline)
        return response.status, b"".join(parts), response.getheader("Location") or ""
    finally:
        if response is not None:
            response.close()
        connection.close()


def _left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    return left


def _hang_up(sock: Any) -> None:
    """Wake the thread that reads from it; closing alone does not."""
    if sock is not None:
        with contextlib.suppress(OSError):  # it is closed already
            sock.shutdown(socket.SHUT_RDWR)


def _connection(
    url: str, proxy: Proxy | None, seconds: float
) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connection for `url`, what to ask for on it, and headers for the proxy."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("its address must begin with https:// or http://")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    context = ssl.create_default_context() if secure else None
    if proxy is None:
        if context:
            return http.client.HTTPSConnection(parts.hostname, port, timeout=seconds, context=context), target, {}
        return http.client.HTTPConnection(parts.hostname, port, timeout=seconds), target, {}
    if proxy.socks:
        return _through_socks(parts.hostname, port, proxy, seconds, context), target, {}
    login = {}
    if proxy.user:
        token = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        login = {"Proxy-Authorization": f"Basic {token}"}
    if context:
        tunnel = http.client.HTTPSConnection(proxy.host, proxy.port, timeout=seconds, context=context)
        tunnel.set_tunnel(parts.hostname, port, headers=login)
        return tunnel, target, {}
    return http.client.HTTPConnection(proxy.host, proxy.port, timeout=seconds), url, login


def _through_socks(
    host: str, port: int, proxy: Proxy, seconds: float, context: ssl.SSLContext | None
) -> http.client.HTTPConnection:
    from python_socks import ProxyType  # noqa: PLC0415  an extra: most bots have no proxy
    from python_socks.sync import Proxy as Socks  # noqa: PLC0415  the same

    socks = Socks(
        ProxyType.SOCKS5,
        proxy.host,
        proxy.port,
        proxy.user or None,
        proxy.password or None,
        rdns=proxy.scheme == "socks5h",
    )
    sock = socks.connect(host, port, timeout=seconds)
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.sock = context.wrap_socket(sock, server_hostname=host) if context else sock
    except BaseException:
        sock.close()
        raise
    return connection
