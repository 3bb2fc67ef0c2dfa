"""Who may do what on the embedded broker, and the configuration text that tells nats-server so. Pure.

A client of the owner's may publish only the actions it was granted, read events if it may, and receive answers
only under its own inbox prefix: `_INBOX_NAME`, which it has to set (`nats --inbox-prefix _INBOX_NAME`, or
`inbox_prefix=` in nats-py). The usual `_INBOX` is nobody's, since whoever may read it reads everybody's answers.

What the broker can't hold: which reply subject an asker names. So `may_answer` is asked before an answer goes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import msgspec

from rosey_core import subjects
from rosey_core.actions import ACTIONS
from rosey_core.config import Config, NatsUser
from rosey_core.subjects import CORE

ACCOUNT = "ROSEY"
"""Apart from whatever else is on a server of the owner's."""

EVERYTHING = (">",)
MAX_PAYLOAD = 8 << 20
"""Bytes that one message may have."""

_QUERY = "query:"
_INBOX = re.compile(r"_INBOX(?:_[a-z0-9_-]+)?(?:\.[^\s.*>]+)+")
_ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\"} | {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)}


class BrokerUser(msgspec.Struct, frozen=True):
    """Somebody who may connect: `publish` and `subscribe` are patterns, and nothing else is allowed."""

    name: str
    password: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"BrokerUser({self.name!r}, publish={self.publish!r}, subscribe={self.subscribe!r})"


def users(config: Config, workers: Iterable[str], password: Callable[[str], str]) -> tuple[BrokerUser, ...]:
    """Everybody who may connect: the daemon, then the owner's clients, then plugins' processes.

    Args:
        config: says who the clients are, and what each was granted.
        workers: the plugins that run in processes of their own.
        password: tells a user's, by its name.
    """
    core, channels = core_name(config), tuple(config.channels)
    return (
        core_user(password(core), core),
        *(owner_user(name, user, password(name), channels) for name, user in config.nats.users.items()),
        *(worker_user(plugin, password(plugin)) for plugin in workers),
    )


def core_name(config: Config) -> str:
    """The name of the daemon's own user; on a server of the owner's it may be another than `CORE`."""
    return config.nats.user or CORE


def core_user(password: str = "", name: str = CORE) -> BrokerUser:
    """The daemon's own user, who may do everything; without a password it gets a random one of 32 bytes."""
    return BrokerUser(name, password or token_urlsafe(32), EVERYTHING, EVERYTHING)


def owner_user(name: str, user: NatsUser, password: str, channels: Iterable[str]) -> BrokerUser:
    """A client of the owner's: what its grants allow in these channels, and not more.

    A grant of an action allows that action's subjects; `query:PLUGIN` allows that plugin's queries; grants to
    read allow nothing here, because `read` does.
    """
    publish = []
    for action in ACTIONS.values():
        if action.grant in user.grant:
            publish.append(f"{subjects.COMMANDS}.{action.name}")
            publish += [subjects.command(channel, action.name) for channel in channels]
    for grant in user.grant:
        if grant.startswith(_QUERY):
            publish += subjects.plugin_query(grant.removeprefix(_QUERY), "*")
    read = (f"{subjects.PLATFORM}.>",) if user.read else ()
    return BrokerUser(name, password, tuple(publish), (*read, f"{inbox(name)}.>"))


def worker_user(plugin: str, password: str) -> BrokerUser:
    """A plugin's process: what it says to the daemon, its own events, and nothing else; it hears what is said to it.

    What it may do in a channel is the daemon's to check, request by request: only this user may publish below the
    plugin's `do`, so who asks is a fact.
    """
    own = tuple(f"{subjects.worker(plugin, way)}.>" for way in ("do", "ask", "reply"))
    hears = tuple(f"{subjects.worker(plugin, way)}.>" for way in ("hook", "control"))
    return BrokerUser(
        plugin,
        password,
        (*own, subjects.plugin_event(plugin, "*"), subjects.heartbeat(plugin)),
        (*hears, f"{inbox(plugin)}.>"),
    )


def inbox(name: str) -> str:
    """The prefix of a user's inboxes."""
    return f"_INBOX_{name}"


def may_answer(reply: str) -> bool:
    """Whether a reply subject is somebody's inbox. Anything else would let an asker choose what we publish where.

    The daemon's own inbox is none: nobody else may make it hear something there.
    """
    return _INBOX.fullmatch(reply) is not None and not reply.startswith(f"{inbox(CORE)}.")


def accounts(users: Iterable[BrokerUser], *, written: Callable[[str], str] | None = None) -> str:
    """The part of nats-server's configuration that says who may connect, and do what.

    Args:
        users: everybody who may; nobody else may, also not without a name.
        written: writes a password, if not as a text: a reference to where it is.
    """
    lines = [f"accounts: {{ {ACCOUNT}: {{ users: ["]
    for user in users:
        who = f"user: {_text(user.name)}, password: {(written or _text)(user.password)}"
        permissions = []
        for way in ("publish", "subscribe"):
            patterns = getattr(user, way)
            if patterns != EVERYTHING:
                # An empty list of what is allowed would allow everything.
                permissions.append(f"    {way}: {_text({'allow': patterns} if patterns else {'deny': EVERYTHING})}")
        lines += [f"  {{ {who}, permissions: {{", *permissions, "  } }"] if permissions else [f"  {{ {who} }}"]
    return "\n".join((*lines, "] } }", ""))


def conf(users: Iterable[BrokerUser], *, host: str, port: int, log_file: Path, ports: Path) -> str:
    """The text of nats-server's configuration. It holds passwords.

    Args:
        users: everybody who may connect; nobody else may, also not without a name.
        host: the address to listen on.
        port: the port, or -1 for a free one.
        log_file: where nats-server writes its log; kept to three files of 10 MiB.
        ports: the directory in which it tells its port.
    """
    settings = {
        "listen": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "server_name": "rosey",
        "no_system_account": True,
        "max_payload": MAX_PAYLOAD,
        "max_pending": 4 * MAX_PAYLOAD,
        "write_deadline": "5s",
        "ping_interval": "20s",
        "ping_max": 2,
        "ports_file_dir": str(ports),
        "log_file": str(log_file),
        "logfile_size_limit": 10 << 20,
        "logfile_max_num": 3,
    }
    lines = ["# Written by rosey at each start. It holds passwords: keep it to yourself."]
    lines += [f"{key}: {_text(value)}" for key, value in settings.items()]
    return "\n".join((*lines, accounts(users)))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key}: {_text(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else str(value)
