"""What is different between two configurations."""

from __future__ import annotations

import msgspec
import pytest

from rosey_core.config import ChannelConfig, Config, LogConfig, NatsConfig, NatsUser, PluginConfig, Secret
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
        (other(log=LogConfig(level="debug"), state_directory="x"), ["log.level", "state_directory"]),
    ),
)
def test_what_only_a_restart_can_change(new: Config, keys: list[str]) -> None:
    """Each key by its name; plugins, judges and the users of NATS are not among them."""
    assert fixed(BASE, new) == keys


def test_which_plugins_begin_anew() -> None:
    """Those whose table or code is another, that come or go; not those that are off before and after."""
    known = {"echo": "version 1", "same": "version 1"}
    assert changed(BASE, BASE, known, known) == set()
    assert changed(BASE, BASE, known, {"echo": "version 2", "same": "version 1"}) == {"echo"}
    more = other(plugins=BASE.plugins | {"new": PluginConfig(enabled=True), "off": PluginConfig(required=True)})
    assert changed(BASE, more, known, known | {"new": "version 1"}) == {"new"}
    assert changed(BASE, other(plugins={}), known, {"same": "version 1"}) == {"echo"}
