"""Who may do what on the broker. Pure; how nats-server is told is `conf`'s.

A client of the owner's may publish only the actions it was granted, read events if it may, and receive answers
only under its own inbox prefix: `_INBOX_NAME`, which it has to set (`nats --inbox-prefix _INBOX_NAME`, or
`inbox_prefix=` in nats-py). The usual `_INBOX` is nobody's, since whoever may read it reads everybody's answers.
One that reads the stream has an account of its own: `jetstream` says why.

What the broker can't hold: which reply subject an asker names. So `may_answer` is asked before an answer goes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from secrets import token_urlsafe

import msgspec

from rosey_core import subjects
from rosey_core.actions import ACTIONS
from rosey_core.bus import jetstream
from rosey_core.config import Config, NatsUser
from rosey_core.subjects import CORE

EVERYTHING = (">",)

_QUERY = "query:"
_INBOX = re.compile(r"_INBOX(?:_[a-z0-9_-]+)?(?:\.[^\s.*>]+)+")


class BrokerUser(msgspec.Struct, frozen=True):
    """Somebody who may connect: `publish` and `subscribe` are patterns, and nothing else is allowed.

    `stream` is the one that it reads, in an account of its own; empty for all others.
    """

    name: str
    password: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    stream: str = ""

    def __repr__(self) -> str:
        return f"BrokerUser({self.name!r}, publish={self.publish!r}, subscribe={self.subscribe!r})"


def users(config: Config, workers: Iterable[str], password: Callable[[str], str]) -> tuple[BrokerUser, ...]:
    """Everybody who may connect: the daemon, then the owner's clients, then plugins' processes.

    Args:
        config: says who the clients are, and what each was granted.
        workers: the plugins that run in processes of their own.
        password: tells a user's, by its name.
    """
    core, channels, tools = core_name(config), tuple(config.channels), config.nats.users
    stream = stream_name(config)
    return (
        core_user(password(core), core),
        *(owner_user(name, tool, password(name), channels, stream) for name, tool in tools.items()),
        *(worker_user(plugin, password(plugin)) for plugin in workers),
    )


def stream_name(config: Config) -> str:
    """The name of the stream that the owner wants; empty for none."""
    return config.nats.stream.name if config.nats.stream is not None else ""


def core_name(config: Config) -> str:
    """The name of the daemon's own user; on a server of the owner's it may be another than `CORE`."""
    return config.nats.user or CORE


def core_user(password: str = "", name: str = CORE) -> BrokerUser:
    """The daemon's own user, who may do everything; without a password it gets a random one of 32 bytes."""
    return BrokerUser(name, password or token_urlsafe(32), EVERYTHING, EVERYTHING)


def owner_user(name: str, user: NatsUser, password: str, channels: Iterable[str], stream: str = "") -> BrokerUser:
    """A client of the owner's: what its grants allow in these channels, and not more.

    A grant of an action allows that action's subjects; `query:PLUGIN` allows that plugin's queries; grants to
    read allow nothing here, because `read` does. One that reads the `stream` may do nothing else.
    """
    read = (f"{subjects.PLATFORM}.>",) if user.read else ()
    hears = (*read, f"{inbox(name)}.>")
    if user.stream:
        asks = (f"{jetstream.READER_API}.{service}" for service in jetstream.services(stream, name))
        return BrokerUser(name, password, (*asks, jetstream.acks(stream, name)), hears, stream)
    publish = []
    for action in ACTIONS.values():
        if action.grant in user.grant:
            publish.append(f"{subjects.COMMANDS}.{action.name}")
            publish += [subjects.command(channel, action.name) for channel in channels]
    for grant in user.grant:
        if grant.startswith(_QUERY):
            publish += subjects.plugin_query(grant.removeprefix(_QUERY), "*")
    return BrokerUser(name, password, tuple(publish), hears)


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
