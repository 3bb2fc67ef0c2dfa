"""Logging in to a NATS of the owner's: TLS with a certificate authority of theirs, and credentials."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rosey_core import log
from rosey_core.bus.access import core_user, worker_user
from rosey_core.bus.bus import Bus, Login
from rosey_core.bus.conf import accounts
from rosey_core.config import Secret
from rosey_core.errors import ConfigError, PluginError
from rosey_core.logins import Logins, passwords_of
from rosey_core.preflight import preflight
from rosey_core.settings.secret import read_secret
from tests.servers import certificates, nats_server
from tests.written import SMALL, loaded, write

EXTERNAL = SMALL + '[nats]\nmode = "external"\n'
USERS = accounts((core_user("core-canary"), worker_user("dice", "dice-canary")))


async def outcome(login: Login, name: str = "core") -> str:
    """Empty when this login gets a connection that passes messages on; else why not."""

    async def given() -> Login:
        return login

    bus = Bus(given, name=name, gap=lambda *_: ("", b""), log=log.get("test"))
    await bus.start()
    async with asyncio.timeout(10):
        while bus.reason == "not started":  # noqa: ASYNC110  the bus tells of success alone
            await asyncio.sleep(0.01)
    reason = bus.reason
    if not reason:
        await bus.barrier()
    await bus.close(1)
    return reason


def logins(text: str) -> Logins:
    """Those of a configuration, begun."""
    one = loaded(text)

    def read(secret: Secret | None) -> str:
        return read_secret(secret, one)

    begun = Logins(one, read)
    assert begun.start(log.get("test")) is None
    return begun


def secret(name: str, value: str) -> str:
    """Write a secret; where it is, as TOML."""
    write(value, name).chmod(0o600)
    return f'{{ file = "{name}" }}'


async def test_tls(home: Path) -> None:
    """With the owner's authority in `ca`, the daemon and a worker connect over TLS; without it nobody does."""
    block = certificates(home / "tls")
    async with nats_server(home / "nats", block + USERS) as where:
        found = logins(
            f'{EXTERNAL}url = "tls://{where}"\nca = "tls/ca.pem"\npassword = {secret("core", "core-canary")}\n'
            f"[plugins.dice]\nenabled = true\nnats_password = {secret('dice', 'dice-canary')}\n"
        )
        own, worker = await found.own(), await found.worker("dice")
        assert (own.user, worker.user) == ("core", "dice")
        assert await outcome(own) == ""
        assert await outcome(worker, "dice") == ""
        assert "certificate verify failed" in await outcome(Login(own.url, own.user, own.password))
        certificates(home / "other")
        stranger = Login(own.url, own.user, own.password, ca=(home / "other" / "ca.pem").read_text())
        assert "certificate verify failed" in await outcome(stranger)
        elsewhere = own.url.replace("127.0.0.1", "localhost")
        assert "mismatch" in await outcome(Login(elsewhere, own.user, own.password, ca=own.ca))


async def test_no_password_in_the_clear() -> None:
    """A server that says it has no TLS gets no password from who was told to use TLS."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"max_payload":1048576,"auth_required":true}\r\n')
        heard.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reason = await outcome(Login(f"tls://127.0.0.1:{port}", "core", "canary"))
    assert "the address says tls:// and the server offers no TLS" in reason
    assert set(heard) == {b""}
    server.close()


@pytest.mark.parametrize("fault", ("can't be read", "holds no certificate"))
def test_bad_ca(home: Path, fault: str) -> None:
    """A file of authorities that is missing, or is none, is told with its place, by `check` too."""
    if "no" in fault:
        write("not a certificate", "ca.pem")
    text = f'{EXTERNAL}url = "tls://nats.example:4222"\nca = "ca.pem"\n'
    with pytest.raises(ConfigError, match=rf"rosey.toml:7:6: .*ca.pem {fault}"):
        logins(text)
    assert fault in preflight(loaded(text), start=False)[0][0]


async def test_worker_without_password(home: Path) -> None:
    """On a server of the owner's, a plugin's process without a password of its own is told what to write."""
    found = logins(f'{EXTERNAL}url = "nats://nats.example:4222"\n[plugins.dice]\nenabled = true\n')
    with pytest.raises(PluginError, match=r'under \[plugins.dice\]  nats_password = { file = "PATH" }'):
        await found.worker("dice")
    assert await found.own() == Login("nats://nats.example:4222")


def test_passwords_are_named(home: Path) -> None:
    """Each user's password has one place in the configuration; plugins inside the daemon have none."""
    one = loaded(
        SMALL + '[nats.users.desk]\npassword = { env = "DESK" }\n'
        "[plugins.echo]\nenabled = true\n[plugins.dice]\nenabled = true\n[plugins.off]\n"
    )
    assert {name: place for name, (place, _) in passwords_of(one.config).items()} == {
        "core": "nats.password",
        "desk": "nats.users.desk.password",
        "dice": "plugins.dice.nats_password",
    }


# --- credentials ---

needs_nkeys = pytest.mark.skipif(importlib.util.find_spec("nkeys") is None, reason="nkeys is not installed")


def key(kind: bytes) -> Any:
    """A new key pair: `O` an operator's, `A` an account's, `U` a user's."""
    import nkeys  # noqa: PLC0415  it need not be there

    prefixes = {b"O": nkeys.PREFIX_BYTE_OPERATOR, b"A": nkeys.PREFIX_BYTE_ACCOUNT, b"U": nkeys.PREFIX_BYTE_USER}
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefixes[kind]))


def token(issuer: Any, subject: Any, claims: dict[str, Any]) -> str:
    """What an issuer signs of somebody, as `nsc` would write it."""

    def text(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    body = {
        "jti": "x",
        "iat": int(time.time()),
        "iss": issuer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "name": "test",
        "nats": {"version": 2, **claims},
    }
    parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, body)
    signed = ".".join(text(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{text(issuer.sign(signed.encode()))}"


@needs_nkeys
async def test_credentials(home: Path) -> None:
    """The credentials of a server with an operator are used from wherever the secret is, not only from a file."""
    operator, account, user = key(b"O"), key(b"A"), key(b"U")
    unlimited = {"subs": -1, "data": -1, "payload": -1}
    limits = {**unlimited, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "wildcards": True}
    theirs = token(operator, account, {"type": "account", "limits": limits})
    ours = token(account, user, {"type": "user", "pub": {}, "sub": {}, **unlimited})
    creds = (
        f"-----BEGIN NATS USER JWT-----\n{ours}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    conf = (
        f"operator: {token(operator, operator, {'type': 'operator'})}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {account.public_key.decode()}: {theirs} }}\n"
    )
    async with nats_server(home / "nats", conf) as where:
        (home / "elsewhere").mkdir()
        found = logins(
            f'{EXTERNAL}url = "nats://{where}"\ncredentials = {secret("elsewhere/rosey.creds", creds)}\n',
        )
        assert await outcome(await found.own()) == ""
        assert "Authorization Violation" in await outcome(Login(f"nats://{where}"))


@pytest.mark.parametrize("read", (True, False))
def test_no_credentials(home: Path, monkeypatch: pytest.MonkeyPatch, read: bool) -> None:
    """What is no credentials file is told with its place: the library would look for its parts for ever."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    text = f'{EXTERNAL}url = "nats://x:1"\ncredentials = {secret("creds", "no such thing")}\n'
    if read:
        with pytest.raises(ConfigError, match=r"rosey.toml:7:15: this is no credentials file"):
            logins(text)
    else:
        assert "this is no credentials file" in preflight(loaded(text), start=False)[0][0]
