"""A proxy's address, taken apart once, so that no library ever prints it with its password.

Owns which proxies rosey knows and what their addresses look like. Going through one is `fetch`'s for HTTP and
`websockets`' for the socket.
"""

from __future__ import annotations

import importlib.util
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from rosey_core.errors import ConfigError

PORTS = {"socks5": 1080, "socks5h": 1080, "http": 80}
"""The schemes, and the port of each where the address names none."""


class Proxy(msgspec.Struct, frozen=True):
    """Where a proxy is. With `socks5h` it looks up names; with `socks5` we do.

    Attributes:
        user: empty when it wants no login.
    """

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.place})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("place", self.place)]  # msgspec's own would show the password

    @property
    def place(self) -> str:
        """The address as people may see it."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address, with its password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"{self.scheme}://{login}{host}:{self.port}"

    @property
    def socks(self) -> bool:
        """Whether it speaks SOCKS."""
        return self.scheme.startswith("socks")


def read(address: str) -> Proxy | None:
    """The proxy in `address`; None when it is empty.

    Raises:
        ConfigError: it is no address of a proxy that we know, or the library for it is missing. The text shows no
            part of the address but its scheme.
    """
    if not address:
        return None
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ConfigError(
            "the proxy's address can't be read: write it as socks5://HOST:PORT or http://HOST:PORT"
        ) from None
    if parts.scheme not in PORTS:
        raise ConfigError(
            f"a proxy of the kind {parts.scheme!r} is not known: use one of {', '.join(PORTS)}, "
            "as in socks5://HOST:PORT"
        )
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ConfigError("the proxy's address has no host, or something after it: write it as socks5://HOST:PORT")
    proxy = Proxy(
        parts.scheme,
        parts.hostname,
        port or PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
    if proxy.socks and not (proxy.user + proxy.password).isascii():
        raise ConfigError("a SOCKS proxy's user and password may hold only plain (ASCII) characters")
    if not proxy.socks and ":" in proxy.user:
        raise ConfigError("an HTTP proxy's user can't hold a colon")
    if proxy.socks and importlib.util.find_spec("python_socks") is None:
        raise ConfigError("a SOCKS proxy needs a library that is not installed: pip install 'rosey-bot[socks]'")
    return proxy
