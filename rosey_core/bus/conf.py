"""The text of nats-server's configuration: who may connect, in which account, and do what. Pure.

Everybody is in one account but those who read the stream: each of them has one of its own, as `jetstream` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from rosey_core import subjects
from rosey_core.bus import jetstream
from rosey_core.bus.access import EVERYTHING, BrokerUser

ACCOUNT = "ROSEY"
"""Apart from whatever else is on a server of the owner's."""
MAX_PAYLOAD = 8 << 20
"""Bytes that one message may have."""
MAX_STORE = 1 << 40
"""Bytes that all streams may hold: more than the one stream ever does, or its own bound could not be changed."""

_ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\"} | {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)}


def accounts(users: Iterable[BrokerUser], *, stream: str = "", written: Callable[[str], str] | None = None) -> str:
    """The part of nats-server's configuration that says who may connect, and do what.

    Args:
        users: everybody who may; nobody else may, also not without a name.
        stream: the one that is kept, if there is to be one.
        written: writes a password, if not as a text: a reference to where it is.
    """
    everybody = tuple(users)
    readers = [user for user in everybody if user.stream]
    lines = [f"accounts: {{ {ACCOUNT}: {{ {'jetstream: enabled, ' if stream else ''}users: ["]
    lines += [line for user in everybody if not user.stream for line in _user(user, written or _text)]
    if not readers:
        return "\n".join((*lines, "] } }", ""))
    lines += ["], exports: [", *_exports(readers), "] }"]
    for reader in readers:
        lines += [f"{_text(_account(reader))}: {{ users: [", *_user(reader, written or _text)]
        lines += ["], imports: [", *_imports(reader), "] }"]
    return "\n".join((*lines, "}", ""))


def _exports(readers: list[BrokerUser]) -> Iterator[str]:
    """What goes out of our account, and to whom."""
    yield f"  {{ stream: {_EVENTS}, accounts: {_text([_account(reader) for reader in readers])} }}"
    to: dict[str, list[str]] = {}
    several: set[str] = set()
    for reader in readers:
        for service, many in _services(reader).items():
            to.setdefault(service, []).append(_account(reader))
            several |= {service} if many else set()
    for service, who in to.items():
        answers = "response: stream, " if service in several else ""
        yield f"  {{ service: {_text(service)}, {answers}accounts: {_text(who)} }}"


def _imports(reader: BrokerUser) -> Iterator[str]:
    """The same on the other side."""
    yield f"  {{ stream: {{ account: {ACCOUNT}, subject: {_EVENTS} }} }}"
    for service in _services(reader):
        name = service.replace(jetstream.API, jetstream.READER_API, 1)
        local = "" if name == service else f", to: {_text(name)}"
        yield f"  {{ service: {{ account: {ACCOUNT}, subject: {_text(service)} }}{local} }}"


def _user(user: BrokerUser, written: Callable[[str], str]) -> list[str]:
    who = f"user: {_text(user.name)}, password: {written(user.password)}"
    permissions = []
    for way in ("publish", "subscribe"):
        patterns = getattr(user, way)
        if patterns != EVERYTHING:
            # An empty list of what is allowed would allow everything.
            permissions.append(f"    {way}: {_text({'allow': patterns} if patterns else {'deny': EVERYTHING})}")
    return [f"  {{ {who}, permissions: {{", *permissions, "  } }"] if permissions else [f"  {{ {who} }}"]


def _account(reader: BrokerUser) -> str:
    return f"{ACCOUNT}_{reader.name}"


def _services(reader: BrokerUser) -> dict[str, bool]:
    """What comes into a reader's account, by its name in ours; whether it has several answers."""
    asked = jetstream.services(reader.stream, reader.name)
    found = {f"{jetstream.API}.{service}": several for service, several in asked.items()}
    return found | {jetstream.acks(reader.stream, reader.name): False}


def conf(
    users: Iterable[BrokerUser], *, host: str, port: int, log_file: Path, directory: Path, stream: str = ""
) -> str:
    """The text of nats-server's configuration. It holds passwords.

    Args:
        users: everybody who may connect; nobody else may, also not without a name.
        host: the address to listen on.
        port: the port, or -1 for a free one.
        log_file: where nats-server writes its log; kept to three files of 10 MiB.
        directory: where it tells its port, and where it keeps the stream, below `jetstream`.
        stream: the stream's name, if there is to be one.
    """
    settings: dict[str, Any] = {
        "listen": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "server_name": "rosey",
        "no_system_account": True,
        "max_payload": MAX_PAYLOAD,
        "max_pending": 4 * MAX_PAYLOAD,
        "write_deadline": "5s",
        "ping_interval": "20s",
        "ping_max": 2,
        "ports_file_dir": str(directory),
        "log_file": str(log_file),
        "logfile_size_limit": 10 << 20,
        "logfile_max_num": 3,
    }
    if stream:
        settings["jetstream"] = {"store_dir": str(directory), "max_file_store": MAX_STORE, "max_memory_store": 0}
    lines = ["# Written by rosey at each start. It holds passwords: keep it to yourself."]
    lines += [f"{key}: {_text(value)}" for key, value in settings.items()]
    return "\n".join((*lines, accounts(users, stream=stream)))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key}: {_text(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else str(value)


_EVENTS = _text(f"{subjects.PLATFORM}.>")
