"""Loading rosey.toml: layers, checks, messages, secrets."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import msgspec
import pytest

from rosey_core.config import (
    ChannelConfig,
    Config,
    EventLogConfig,
    Limits,
    LogConfig,
    NatsConfig,
    NatsStream,
    NatsUser,
    PluginConfig,
    Secret,
)
from rosey_core.errors import ConfigError
from rosey_core.settings.load import find, load
from tests.written import CANARY, SMALL, loaded, refused, write

EXAMPLE = Path(__file__).parent.parent / "rosey.toml.example"

# --- layers ------------------------------------------------------------------------------------------------


def test_the_shipped_example_loads(home: Path) -> None:
    """`rosey.toml.example` is valid as it is: one channel, a guest, the bundled plugins with what they ask."""
    config = loaded(EXAMPLE.read_text(encoding="utf-8")).config
    assert config.first_channel == "cytube"
    assert config.channels["cytube"].username
    assert config.channels["cytube"].password is None
    assert {name: plugin.grant for name, plugin in config.plugins.items() if plugin.enabled} == {
        "echo": ("chat.read", "chat.send"),
        "logging": ("chat.read", "media.read"),
    }


BLOCK = re.compile(r"^# \[(?P<table>[\w.-]+)\]\n(?:#.*\n)*", re.MULTILINE)
"""A table that is a comment as a whole."""


def test_each_commented_key_of_the_example_is_one(home: Path) -> None:
    """Every key that the example shows as a comment may stand there, each one alone."""
    lines = BLOCK.sub("", EXAMPLE.read_text(encoding="utf-8")).splitlines()
    shown = [i for i, line in enumerate(lines) if line.startswith("# ") and " = " in line]
    assert len(shown) > 15
    for i in shown:
        text = "\n".join([*lines[:i], lines[i].removeprefix("# "), *lines[i + 1 :]])
        assert loaded(text).config.version == 1


def test_each_commented_table_of_the_example_is_one(home: Path) -> None:
    """Every table that the example shows as a comment may stand there, in place of one that has its name."""
    text = EXAMPLE.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    names = {"plugins.database", "plugins.greet", "plugins.other", "nats", "nats.stream", "nats.users.my-script"}
    assert {block["table"] for block in blocks} == names
    for block in blocks:
        plain = re.sub("^# ", "", block[0], flags=re.MULTILINE)
        others = re.sub(rf"^\[{block['table']}\]\n(?:[^#\n].*\n)+", "", text, flags=re.MULTILINE)
        assert loaded(others.replace(block[0], plain)).config.version == 1


def test_the_example_shows_every_key() -> None:
    """As the README says."""
    text = EXAMPLE.read_text(encoding="utf-8")
    structs = (ChannelConfig, NatsConfig, NatsStream, NatsUser, PluginConfig, Limits, EventLogConfig, LogConfig)
    for struct in (*structs, Config):
        for field in msgspec.structs.fields(struct):
            assert re.search(rf"\b{field.encode_name}\b", text), f"{struct.__name__} has {field.encode_name}"


def test_layers_count_in_their_order(home: Path) -> None:
    """Flags over variables over conf.d by name over the file; tables are merged, other values replaced."""
    write('[channels.cytube]\nusername = "a"\nprefix = "#"\n', "conf.d/10.toml")
    write('[channels.cytube]\nusername = "b"\nprefix = "%"\n', "conf.d/20.toml")
    write("not = [toml", "conf.d/.hidden.toml")
    write("not = [toml", "conf.d/other.txt")
    one = loaded(
        SMALL,
        "channels.cytube.prefix=!!",
        ROSEY_CHANNELS__CYTUBE__PREFIX="+",
        ROSEY_CHANNELS__CYTUBE__REJOIN_AFTER_KICK="5",
        OTHER="x",
    )
    channel = one.config.channels["cytube"]
    assert (channel.room, channel.username, channel.prefix, channel.rejoin_after_kick) == ("lobby", "b", "!!", 5)
    assert one.origins == {
        "version": "rosey.toml:1:1",
        "channels.cytube.room": "rosey.toml:3:1",
        "channels.cytube.username": "conf.d/20.toml:2:1",
        "channels.cytube.prefix": "--set channels.cytube.prefix",
        "channels.cytube.rejoin_after_kick": "$ROSEY_CHANNELS__CYTUBE__REJOIN_AFTER_KICK",
    }


def test_a_path_is_relative_to_the_file_that_names_it(home: Path) -> None:
    """A plugin's file stands beside the file with its table, and may stand elsewhere."""
    write('[plugins.a]\npath = "a.py"\n[plugins.b]\npath = "../b.py"', "conf.d/x.toml")
    plugins = loaded(
        SMALL + '[plugins.b]\npath = "b.py"\n[plugins.c]\npath = "c.py"\n[plugins.d]\npath = "/d.py"'
    ).config.plugins
    here = Path.cwd()
    assert {name: Path(os.path.normpath(plugin.path)) for name, plugin in plugins.items()} == {
        "a": here / "conf.d" / "a.py",
        "b": here / "b.py",
        "c": here / "c.py",
        "d": Path("/d.py"),
    }


def test_the_source_of_a_secret_is_replaced_as_a_whole(home: Path) -> None:
    """A later layer may say `env` where an earlier one says `file`."""
    write('channels.cytube.password = { file = "x" }', "conf.d/x.toml")
    text = SMALL + 'username = "Bot"\npassword = { credential = "x" }'
    one = loaded(text, ROSEY_CHANNELS__CYTUBE__PASSWORD__ENV="PW")
    assert one.config.channels["cytube"].password == Secret(env="PW")


def test_variables_of_others_are_no_settings(home: Path) -> None:
    """`ROSEY_CONFIG`, `ROSEY_NATS_SERVER` and variables that hold secrets are left alone."""
    text = SMALL + 'username = "Bot"\npassword = { env = "ROSEY_PASSWORD" }'
    assert loaded(text, ROSEY_CONFIG="x", ROSEY_NATS_SERVER="y", ROSEY_PASSWORD=CANARY).config.version == 1


@pytest.mark.parametrize("flag", ("", "log.level", "=x", "a..b=1", "a[0]=1", ".a=1"))
def test_bad_flags(home: Path, flag: str) -> None:
    """A flag that names no key is refused with its form."""
    assert refused(SMALL, flag) == "--set: should be KEY=VALUE, such as --set channels.cytube.room=lobby"


def test_a_variable_with_an_empty_key(home: Path) -> None:
    """A variable that names no key is refused by its name."""
    assert refused(SMALL, ROSEY_LOG____LEVEL="x").startswith("$ROSEY_LOG____LEVEL: names no key")


# --- where things are --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "systemd", "expected"),
    (
        ("", "", "rosey-state"),
        ("", "/var/lib/rosey:/var/lib/more", "/var/lib/rosey"),
        ("here", "/var/lib/rosey", "here"),
        ("/there", "", "/there"),
    ),
)
def test_the_state_directory(home: Path, setting: str, systemd: str, expected: str) -> None:
    """The file says it, relative to itself; else systemd; else a directory beside the file."""
    text = f'state_directory = "{setting}"\n' + SMALL if setting else SMALL
    one = loaded(text, **({"STATE_DIRECTORY": systemd} if systemd else {}))
    assert one.state == home / expected
    assert one.path == home / "rosey.toml"


def test_the_state_directory_from_a_variable(home: Path) -> None:
    """`ROSEY_STATE_DIRECTORY` is the key `state_directory`."""
    assert loaded(SMALL, ROSEY_STATE_DIRECTORY="/x").state == Path("/x")


def test_finding_the_file(home: Path) -> None:
    """The option, then the variable, then the usual places; the error says where it looked."""
    assert find(Path("a"), {"ROSEY_CONFIG": "b"}) == Path("a")
    assert find(None, {"ROSEY_CONFIG": "b"}) == Path("b")
    if not Path("/etc/rosey/rosey.toml").exists():
        with pytest.raises(
            ConfigError, match=r"looked for rosey\.toml, /etc/rosey/rosey\.toml; copy rosey\.toml\.example"
        ):
            find(None, {})
    write(SMALL)
    assert find(None, {}) == Path("rosey.toml")


@pytest.mark.parametrize(
    ("raw", "message"),
    (
        (None, "x.toml: there is no such file; copy rosey.toml.example there"),
        (b"\xef\xbb\xbfversion = 1", "x.toml:1:1: begins with a byte order mark; save it as plain UTF-8"),
        (b"version = 1\na = '\xff'", "x.toml:2:6: is not UTF-8 text"),
        (b"a = " + b"[" * 100_000, "x.toml: is nested too deeply"),
        (b"a = " + b"9" * 5000, "x.toml: is no TOML: Exceeds the limit"),
    ),
)
def test_files_that_cant_be_read(home: Path, raw: bytes | None, message: str) -> None:
    """A missing file, a byte order mark, other encodings, too much depth: each says so."""
    if raw is not None:
        Path("x.toml").write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load(Path("x.toml"), environ={})
    assert str(caught.value).startswith(message)


def test_a_directory_in_place_of_the_file(home: Path) -> None:
    """A directory is named as one."""
    with pytest.raises(ConfigError, match="is a directory; name the file in it"):
        load(home, environ={})


def test_a_file_without_permission(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is told."""

    def denied(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refused(SMALL) == "rosey.toml: can't be read: Permission denied"


def test_broken_files_are_told_together(home: Path) -> None:
    """Two files that are no TOML give two messages."""
    write("b = ", "conf.d/b.toml")
    message = refused("a = ")
    assert "rosey.toml:1:5: is no TOML: invalid value" in message
    assert "conf.d/b.toml:1:5: is no TOML: invalid value" in message


# --- messages ----------------------------------------------------------------------------------------------


def test_an_unknown_key(home: Path) -> None:
    """The whole form: place, key, table, nearest key, line, carets."""
    assert refused(SMALL + "\n# a comment\nconnect_timeuot = 5 # x\n") == (
        'rosey.toml:6:1: unknown key "connect_timeuot" in [channels.cytube]; did you mean "connect_timeout"?\n'
        "  6 | connect_timeuot = 5 # x\n"
        "    | ^^^^^^^^^^^^^^^"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    (
        (
            SMALL.replace("version", "versoin"),
            'rosey.toml:1:1: unknown key "versoin" at the top level; did you mean ',
        ),
        (
            SMALL.replace("channels", "chanels"),
            'rosey.toml:2:2: unknown key "chanels" at the top level; did you mean ',
        ),
        (
            SMALL.replace("room", "rom"),
            'rosey.toml:3:1: unknown key "rom" in [channels.cytube]; did you mean "room"?',
        ),
    ),
)
def test_a_misspelt_key_that_is_needed(home: Path, text: str, told: str) -> None:
    """It is told once, as misspelt, and not as missing too."""
    first, *rest = refused(text).splitlines()
    assert first.startswith(told)
    assert not [line for line in rest if not line.startswith("  ")]


def test_a_text_in_place_of_a_list(home: Path) -> None:
    """It is told how the list is written, in quotes of the shell where the file is not the place."""
    right = '["chat.read", "chat.send"]'
    told = '"grant" should be a list, not text; write it as '
    for text in ("chat.read,chat.send", "[chat.read, chat.send]", "chat.read chat.send"):
        assert refused(SMALL, ROSEY_PLUGINS__ECHO__GRANT=text) == f"$ROSEY_PLUGINS__ECHO__GRANT: {told}'{right}'"
    assert refused(SMALL, "plugins.echo.grant=chat.read").endswith(f"""{told}'["chat.read"]'""")
    assert f'{told}["chat.read"]\n' in refused(f'{SMALL}[plugins.echo]\ngrant = "chat.read"')


def test_a_number_in_place_of_a_text(home: Path) -> None:
    """A name that looks like a number is told how to write it, in each layer."""
    told = '"room" should be text, not a whole number; write it as '
    assert refused(SMALL, ROSEY_CHANNELS__CYTUBE__ROOM="123").endswith(f"""ROOM: {told}'"123"'""")
    assert f'{told}"123"\n' in refused(SMALL.replace('"lobby"', "123"))
    assert refused(SMALL, "channels.cytube.username=true").endswith("""write it as '"true"'""")


def test_an_unknown_key_near_to_none(home: Path) -> None:
    """Where no key is near, those that there are get told."""
    told = refused(SMALL + "zzz = 1\n[log]\nqqq = 1\n[www]\n")
    assert '"zzz" in [channels.cytube]; the keys there are room, server, username, password, ' in told
    assert '"qqq" in [log]; the keys there are level, format\n' in told
    assert (
        '"www" at the top level; the keys there are version, channels, nats, plugins, eventlog, log, state_dir'
        in told
    )


def test_a_syntax_error(home: Path) -> None:
    """TOML's own errors have a line and a caret too."""
    assert refused("version = 1\n[channels.cytube\nroom = 1\n") == (
        "rosey.toml:2:17: is no TOML: expected ']' at the end of a table declaration\n"
        "  2 | [channels.cytube\n"
        "    |                 ^"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    (
        ("a = lobby", "5: is no TOML: invalid value: a text stands in quotes, as in "),
        ('a = "lobby\nb = 1', "11: is no TOML: illegal character '\\n': a text has to end on its line"),
        ("a = 'lobby", '2:1: is no TOML: expected "\'": a text above has no closing quote'),
        ("a = 1\na = 2", "6: is no TOML: cannot overwrite a value: this key stands there twice"),
        ("[a.b]\n[a.b]", "5: is no TOML: cannot declare ('a', 'b') twice: this table stands there twice"),
        ('a = ["x" "y"]', "10: is no TOML: unclosed array: a comma or the closing ] is missing before this"),
        ("a = { b = 1 c = 2 }", "13: is no TOML: unclosed inline table: a comma or the closing } is missing"),
        ('a = "C:\\users"', ": in double quotes a \\ is the begin of an escape"),
        ('a = "C:\\path"', ": in double quotes a \\ is the begin of an escape"),
    ),
)
def test_common_slips(home: Path, line: str, told: str) -> None:
    """What they mean is told beside what the parser says."""
    assert told in refused(line + "\n")


def test_everything_is_told_at_once_in_order(home: Path) -> None:
    """All problems of all layers, by layer and line."""
    write("[log]\nlevl = 1", "conf.d/x.toml")
    message = refused(
        'versoin = 1\n[channels.Bad]\nroom = "a b"\nprefix = 5\n[plugins.echo]\ngrant = ["chat.raed"]',
        "nats.mode=internal",
        ROSEY_CHANELS__X="1",
    )
    assert [line.split(": ")[0] for line in message.splitlines() if not line.startswith("  ")] == [
        "rosey.toml:1:1",
        "rosey.toml:2:11",
        "rosey.toml:3:8",
        "rosey.toml:4:10",
        "rosey.toml:6:10",
        "conf.d/x.toml:2:1",
        "$ROSEY_CHANELS__X",
        "--set nats.mode",
    ]
