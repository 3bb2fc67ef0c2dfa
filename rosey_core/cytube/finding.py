"""Finding the socket: a CyTube site tells for each room which of its servers has it.

`GET SITE/socketconfig/ROOM.json` answers `{"servers": [{"url", "secure"}, ...]}` (CyTube 3.86, seen on a running
server); rooms move, so this is asked before each connection. Owns that question and the choice among the answers;
HTTP itself is `fetch`'s.
"""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import quote, urlsplit

import msgspec

from rosey_core.cytube import fetch
from rosey_core.cytube.ending import Again, Ended, Ending
from rosey_core.cytube.proxy import Proxy


class _Server(msgspec.Struct, rename={"ipv6_only": "ipv6Only"}):
    url: str
    secure: bool = False
    ipv6_only: bool = False


class _Answer(msgspec.Struct):
    servers: list[_Server] = []
    alt: list[_Server] = []


class _Error(msgspec.Struct):
    error: str = ""


_answer = msgspec.json.Decoder(_Answer)
_error = msgspec.json.Decoder(_Error)


async def find(site: str, room: str, *, proxy: Proxy | None, seconds: float) -> str:
    """The websocket address for `room`.

    Args:
        site: the site's address, `http://` or `https://`.
        room: the room's name.
        proxy: what to go through.
        seconds: for all of it.

    Raises:
        Ended: the site can't be reached, answers with an error, or names no server.
    """
    url = f"{site.rstrip('/')}/socketconfig/{quote(room, safe='')}.json"
    try:
        status, body = await fetch.get(url, proxy=proxy, seconds=seconds)
    except TimeoutError:
        raise Ended(Ending("lost", f"{_host(site)} did not answer within {seconds:g} seconds")) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Ended(Ending("lost", f"{_host(site)} can't be reached: {_words(error)}")) from None
    except Exception as error:  # python-socks has a tree of its own, which we can't import here
        raise Ended(Ending("lost", f"the proxy failed: {_words(error)}")) from None
    if status != http.client.OK:
        raise Ended(_after_status(status, body, room, _host(site)))
    try:
        answer = _answer.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Ended(Ending("lost", f"{_host(site)} answered with something that is no list of servers")) from None
    return socket_url(choose(answer.servers or answer.alt, _host(site)), _host(site))


def choose(servers: list[_Server], host: str) -> _Server:
    """The first secure server; servers that only IPv6 reaches come last.

    Raises:
        Ended: there is none, as on a partitioned site that is starting.
    """
    if not servers:
        raise Ended(Ending("lost", f"{host} has no server for this room now"))
    return min(servers, key=lambda server: (server.ipv6_only, not server.secure))


def socket_url(server: _Server, host: str) -> str:
    """The websocket address at a server.

    Raises:
        Ended: the server's address is none.
    """
    try:
        parts = urlsplit(server.url)
        scheme = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss", "": "wss" if server.secure else "ws"}[
            parts.scheme
        ]
        if not parts.hostname or parts.port == 0:
            raise ValueError(server.url)
    except (ValueError, KeyError):
        raise Ended(Ending("lost", f"{host} names a server whose address can't be read")) from None
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/socket.io/?EIO=4&transport=websocket"


def _after_status(status: int, body: bytes, room: str, host: str) -> Ending:
    try:
        text = _error.decode(body).error
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        text = ""
    if status == http.client.NOT_FOUND and "does not exist" in text:
        return Ending(
            "refused",
            f"{host} knows no room that could be called {room!r}: set another `room` in rosey.toml",
            Again.NEVER,
        )
    return Ending("lost", f"{host} answered with HTTP status {status}")


def _host(site: str) -> str:
    return urlsplit(site).hostname or site


def _words(error: BaseException) -> str:
    """What went wrong, for people: an error's text, or at least its name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    return str(error) or type(error).__name__
