"""What is different between two configurations."""

from __future__ import annotations

import msgspec
import pytest

from rosey_core.config import (
    ChannelConfig,
    Config,
    LogConfig,
    NatsConfig,
    NatsStream,
    NatsUser,
    PluginConfig,
    Secret,
)
from rosey_core.difference import changed, fixed

BASE = Config(
    version=1,
    channels={"cytube": ChannelConfig(room="r")},
    plugins={"echo": PluginConfig(enabled=True, grant=("chat.read",)), "off": PluginConfig()},
)


def other(**fields: object) -> Config:
    """The same with other fields."""
    return msgspec.structs.replace(BASE, **fields)


@pytest.mark.parametrize(
    ("new", "keys"),
    (
        (BASE, []),
        (other(plugins={}, order=("echo",), on_silence="stop"), []),
        (other(nats=NatsConfig(users={"tool": NatsUser(Secret(env="X"))})), []),
        (
            other(channels={"cytube": ChannelConfig(room="other", prefix="?")}),
            ["channels.cytube.room", "channels.cytube.prefix"],
        ),
        (other(channels=BASE.channels | {"two": ChannelConfig(room="x")}), ["channels.two"]),
        (other(channels={}), ["channels.cytube"]),
        (other(nats=NatsConfig(listen="127.0.0.1:1")), ["nats.listen"]),
        (other(nats=NatsConfig(stream=NatsStream())), ["nats.stream"]),
        (other(nats=NatsConfig(users={"tool": NatsUser(Secret(env="X"), stream=True)})), ["nats.users.tool.stream"]),
        (other(log=LogConfig(level="debug"), state_directory="x"), ["log.level", "state_directory"]),
    ),
)
def test_what_only_a_restart_can_change(new: Config, keys: list[str]) -> None:
    """Each key by its name; plugins, judges and the users of NATS are not among them."""
    assert fixed(BASE, new) == keys


def test_who_reads_the_stream() -> None:
    """Who did may go, or get another password; a bound that changes is told by its name."""
    reader = NatsUser(Secret(env="X"), stream=True)
    old = other(nats=NatsConfig(users={"tool": reader}, stream=NatsStream()))
    for users in ({}, {"tool": NatsUser(Secret(env="Y"), stream=True)}, {"tool": NatsUser(Secret(env="X"))}):
        assert fixed(old, other(nats=NatsConfig(users=users, stream=NatsStream()))) == []
    new = other(nats=NatsConfig(users={"tool": reader, "other": reader}, stream=NatsStream(max_mib=1)))
    assert fixed(old, new) == ["nats.users.other.stream", "nats.stream.max_mib"]


def test_which_plugins_begin_anew() -> None:
    """Those whose table or code is another, that come or go; not those that are off before and after."""
    known = {"echo": "version 1", "same": "version 1"}
    assert changed(BASE, BASE, known, known) == set()
    assert changed(BASE, BASE, known, {"echo": "version 2", "same": "version 1"}) == {"echo"}
    more = other(plugins=BASE.plugins | {"new": PluginConfig(enabled=True), "off": PluginConfig(required=True)})
    assert changed(BASE, more, known, known | {"new": "version 1"}) == {"new"}
    assert changed(BASE, other(plugins={}), known, {"same": "version 1"}) == {"echo"}
