"""Whatever stands at a key, loading ends well or with a sentence."""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rosey_core.cli.config import effective
from rosey_core.config import ChannelConfig, Config, LogConfig, NatsConfig, NatsUser, PluginConfig
from rosey_core.errors import ConfigError
from rosey_core.settings.checks import BESIDE_PLUGINS
from rosey_core.settings.load import load
from rosey_core.settings.secret import check_secrets
from rosey_core.settings.toml_text import text
from tests.written import SMALL, refused, write

BELOW: dict[str, type[msgspec.Struct]] = {
    "nats": NatsConfig,
    "nats.users.tool": NatsUser,
    "channels.cytube": ChannelConfig,
    "plugins.echo": PluginConfig,
    "log": LogConfig,
}
KEYS = (
    *(key for key in Config.__struct_fields__ if key not in BESIDE_PLUGINS),
    *(f"plugins.{key}" for key in BESIDE_PLUGINS),
    *BELOW,
    *(f"{table}.{key}" for table, kind in BELOW.items() for key in kind.__struct_fields__),
    "channels.cytube.password.env",
    "nats.users.tool.password.file",
    "plugins.echo.channels.cytube.enabled",
    "plugins.echo.commands.echo",
    "plugins.echo.grant.x",
    "versoin",
)
WORDS = st.sampled_from(
    ("", "abc", "1", "nats://x", "chat.snd", "embeded", "\0", "~nobody/x", "[::1", "http://[x", "é")
)
SCALARS = st.one_of(
    WORDS,
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.integers(-2, 2**64),
    st.booleans(),
    st.floats(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.sampled_from((None, dt.UTC))),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(("env", "file", "credential", "room", "", "x y", "é")), inner, max_size=3),
    ),
    max_leaves=4,
)


@given(st.sampled_from(KEYS), VALUES, st.sampled_from(("file", "flag", "variable")))
@example("version", "1", "file")
@example("version", "abc", "flag")
@example("version", False, "variable")
@example("nats.users.tool.password.file", "\0", "file")
@example("nats.server", "\0", "flag")
@settings(max_examples=400, deadline=None)
def test_any_value_at_any_key(key: str, value: object, source: str) -> None:
    """It loads and can be used, or the error is a `ConfigError`, in every layer."""
    written = f"{key} = {text(value)}"
    flags = [written] if source == "flag" else []
    environ = {f"ROSEY_{key.replace('.', '__').upper()}": text(value)} if source == "variable" else {}
    with tempfile.TemporaryDirectory() as directory:
        path = write(SMALL, f"{directory}/rosey.toml")
        write(written if source == "file" else "", f"{directory}/conf.d/any.toml")
        with contextlib.suppress(ConfigError):
            loaded = load(path, overrides=flags, environ=environ)
            check_secrets(loaded, environ={})
            effective(loaded)


@pytest.mark.parametrize(
    ("value", "instead"),
    (('"1"', "text"), ("1.5", "a number with a fraction"), ("true", "true or false"), ("[1]", "a list")),
)
def test_a_version_of_another_kind(value: str, instead: str, home: Path) -> None:
    """The version is a number; what else it is, is told with its place."""
    told = refused(f'version = {value}\n[channels.cytube]\nroom = "lobby"\n')
    assert told == (
        f'rosey.toml:1:11: "version" should be a whole number, not {instead}\n'
        f"  1 | version = {value}\n"
        f"    |           {'^' * len(value)}"
    )


def test_a_version_from_a_flag(home: Path) -> None:
    """The same from a flag and from a variable."""
    told = '"version" should be a whole number, not text'
    assert refused(SMALL, "version=abc") == f"--set version: {told}"
    assert refused(SMALL, ROSEY_VERSION="abc") == f"$ROSEY_VERSION: {told}"
