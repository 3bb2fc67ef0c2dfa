"""The command line: what `rosey --help` imports, exit codes, `check` and `config`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from rosey_core import __version__, cli, log
from rosey_core.errors import BusError, ConfigError, RoseyError
from rosey_core.settings.load import load
from rosey_core.subjects import CLI_ENTRY_POINTS

CANARY = "hunter2-canary"
TEXT = """\
version = 1
[channels.cytube]
room = "lobby"
username = "Bot"
password = { env = "PW" }

[plugins.echo]
enabled = true
grant = ["chat.read"]
settings = { words = ["a", "b\\u0007"], api_token = "hunter2-canary", caps = { rate = 1.5 }, key = { env = "K" } }
channels.cytube.settings.when = 2024-01-02

[plugins.other]
commands = { "odd name" = "" }
"""

RIGHT = TEXT.partition("[plugins.echo]")[0] + '[plugins.echo]\nenabled = true\ngrant = ["chat.read", "chat.send"]\n'
"""The same with settings that the plugins can use."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration, as the current one, and no variables that matter."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ROSEY_")] + ["CREDENTIALS_DIRECTORY"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("PW", CANARY)
    Path("rosey.toml").write_text(TEXT)
    return tmp_path


def rosey(*args: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli.main, args)


# --- the command itself ---------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy() -> None:
    """`rosey --help` needs neither NATS, websockets, plugins, msgspec, structlog nor rich."""
    code = (
        "import sys; from rosey_core.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "Check the configuration" in done.stdout
    top = {name.partition(".")[0] for name in done.stderr.split()}
    assert "click" in top
    assert not top & {"nats", "websockets", "pluggy", "rosey_plugins", "msgspec", "structlog", "rich", "aiosqlite"}
    ours = {name for name in done.stderr.split() if name.startswith("rosey_core.")}
    assert ours == {"rosey_core.cli", "rosey_core.cli.errors", "rosey_core.errors", "rosey_core.subjects"}


def test_every_verb_of_the_table_exists(home: Path) -> None:
    """Each verb can be imported, and says the same about itself as the table does."""
    for name in cli.VERBS:
        result = rosey(name, "--help")
        assert result.exit_code == 0, name
        assert f"main {name}" in result.output


def test_version_and_unknown_verbs() -> None:
    """The version is told; an unknown verb is a usage error with the nearest one, or all."""
    assert rosey("--version").output == f"rosey, version {__version__}\n"
    result = rosey("stauts", "--json")
    assert result.exit_code == 2
    assert result.stderr.endswith('Error: there is no verb "stauts"; did you mean "status"?\n')
    all_of_them = "sandbox, run, status, plugins, privacy, ctl, nats, check, config"
    assert f'no verb "nonsense"; there are {all_of_them}' in rosey("nonsense").stderr
    assert "No such option" in rosey("--nonsense").stderr


@click.command()
def dice() -> None:
    """Roll dice."""
    click.echo("six")


def added(monkeypatch: pytest.MonkeyPatch, **verbs: str) -> None:
    """Verbs as installed packages add them."""
    entries = {name: EntryPoint(name, value, CLI_ENTRY_POINTS) for name, value in verbs.items()}
    monkeypatch.setattr(cli, "_added", lambda: entries)


def test_packages_add_verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb from an entry point is listed without being loaded, and runs; rosey's own can't be replaced."""
    monkeypatch.setitem(sys.modules, "dice_package", sys.modules[__name__])
    added(monkeypatch, dice="dice_package:dice", broken="no_such_package:x", odd="dice_package:CANARY", check="x:y")
    result = rosey("--help")
    assert result.exit_code == 0
    assert result.output.index("check") < result.output.index("broken") < result.output.index("dice")
    assert result.output.count("check") == 1
    assert rosey("dice").output == "six\n"
    result = rosey("broken")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "rosey: the verb broken of no_such_package:x can't be loaded: ModuleNotFoundError"
    )
    assert rosey("odd").stderr == "rosey: the verb odd is no click command\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    (
        (ConfigError("rosey.toml:1:1: wrong\n  1 | x"), 78, "rosey.toml:1:1: wrong\n  1 | x\n"),
        (RoseyError("no daemon\nis running"), 1, "rosey: no daemon\nis running\n"),
        (BusError("gone \x1b[2J"), 1, "rosey: gone \\x1b[2J\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(75), 75, ""),
        (
            click.UsageError("no"),
            2,
            "Usage: main failing [OPTIONS]\nTry 'main failing --help' for help.\n\nError: no\n",
        ),
    ),
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str) -> None:
    """What a verb raises becomes its exit code and at most its own text."""

    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(sys.modules[__name__], "failing", failing, raising=False)
    monkeypatch.setitem(cli.VERBS, "failing", (f"{__name__}:failing", ""))
    result = rosey("failing")
    assert result.exit_code == code
    assert result.stderr == text


def test_a_bug_is_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw shows its traceback, with secrets taken out."""

    @click.command()
    def failing() -> None:
        raise ValueError(f"odd {CANARY}")

    monkeypatch.setattr(sys.modules[__name__], "failing", failing, raising=False)
    monkeypatch.setitem(cli.VERBS, "failing", (f"{__name__}:failing", ""))
    log.add_secret(CANARY)
    try:
        result = rosey("failing")
    finally:
        log.redact.clear()
    assert result.exit_code == 70
    assert "ValueError: odd [secret]\nrosey: this is a bug" in result.stderr
    assert CANARY not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has it")
def test_help_that_can_not_be_written() -> None:
    """A full disk is a sentence, also for what click prints by itself."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            (sys.executable, "-m", "rosey_core", "--help"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "rosey: its output, or a file of its own, can't be written: No space left on device\n"


def test_a_reader_that_goes_away_is_no_noise(home: Path) -> None:
    """`rosey config schema | true` ends quietly."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code = "from rosey_core.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "config", "schema"],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141


@pytest.mark.parametrize("verb", (("run",), ("status",), ("check",), ("config", "show"), ("plugins", "list")))
@pytest.mark.parametrize(
    ("path", "told"),
    (
        ("nowhere.toml", "nowhere.toml: there is no such file; copy rosey.toml.example there"),
        (".", ".: is a directory; name the file in it"),
        ("", ".: is a directory; name the file in it"),
        ("rosey.toml/below", "rosey.toml/below: can't be read: Not a directory"),
    ),
)
def test_no_such_configuration(home: Path, verb: tuple[str, ...], path: str, told: str) -> None:
    """A file that is not there, or is none, is code 78 and a sentence from every verb."""
    result = rosey(*verb, "--config", path)
    assert result.exit_code == 78
    assert result.stderr.startswith(told)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", (("status",), ("check",), ("plugins", "list")))
def test_a_state_directory_that_is_too_long(home: Path, verb: tuple[str, ...]) -> None:
    """Every verb that needs the control socket says which key to change."""
    Path("other.toml").write_text(f'state_directory = "/{"x" * 100}"\n{RIGHT}')
    result = rosey(*verb, "--config", "other.toml")
    assert result.exit_code == 78
    assert result.stderr.startswith("other.toml:1:19: /xxx")
    assert "set a shorter state_directory\n" in result.stderr


# --- check ----------------------------------------------------------------------------------------------------


def test_check(home: Path) -> None:
    """A configuration that is right is one line; `--config` and `$ROSEY_CONFIG` name another."""
    Path("rosey.toml").write_text(RIGHT)
    result = rosey("check")
    assert (result.exit_code, result.output) == (0, "ok: 1 channel, 1 plugin ready\n")
    Path("rosey.toml").rename("other.toml")
    assert rosey("check").exit_code == 78
    assert rosey("check", "--config", "other.toml").exit_code == 0
    result = CliRunner().invoke(cli.main, ["check"], env={"ROSEY_CONFIG": "other.toml"})
    assert result.exit_code == 0


def test_check_tells_what_is_wrong(home: Path) -> None:
    """The message is on standard error, with the place, and the exit code is systemd's for it."""
    result = rosey("check", "--set", "log.levl=debug")
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr == '--set log.levl: unknown key "levl" in [log]; did you mean "level"?\n'
    Path("rosey.toml").write_text(TEXT.replace("grant", "grnat"))
    assert rosey("check").stderr == (
        'rosey.toml:9:1: unknown key "grnat" in [plugins.echo]; did you mean "grant"?\n'
        '  9 | grnat = ["chat.read"]\n'
        "    | ^^^^^\n"
    )


def test_check_tries_the_secrets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is not there is an error; one that only systemd hands out is a note."""
    monkeypatch.delenv("PW")
    Path("rosey.toml").write_text(RIGHT)
    result = rosey("check")
    assert result.exit_code == 78
    assert result.stderr.startswith('rosey.toml:5:12: "password": the variable PW is not set')
    result = rosey("check", "--set", 'channels.cytube.password={ credential = "pw" }')
    assert result.exit_code == 0
    assert result.stderr == "note: channels.cytube.password: credential pw is there under systemd only\n"


def test_check_notes_what_is_not_enabled(home: Path) -> None:
    """A plugin with a table that does not say whether it is enabled is told of; one that is switched off is not."""
    tables = '[plugins.logging]\ngrant = ["chat.read"]\n[plugins.loging]\n[plugins.off]\nenabled = false\n'
    Path("rosey.toml").write_text(RIGHT + tables + "[plugins.there]\nchannels.cytube.enabled = false\n")
    result = rosey("check")
    assert (result.exit_code, result.stdout) == (0, "ok: 1 channel, 1 plugin ready\n")
    assert result.stderr == (
        "note: the plugin logging is not enabled; to use it, write enabled = true under [plugins.logging]\n"
        "note: the plugin loging is not enabled, and not installed; to use it, write enabled = true under "
        "[plugins.loging]\n"
    )


# --- config ---------------------------------------------------------------------------------------------------


def test_show_is_a_configuration(home: Path) -> None:
    """What `show` prints, read again, is the same configuration; what looks like a secret is hidden."""
    result = rosey("config", "show", "--set", "channels.cytube.prefix=+")
    assert result.exit_code == 0
    assert CANARY not in result.output
    assert "\x07" not in result.output
    Path("again.toml").write_text(result.output)
    first = load(Path("rosey.toml"), overrides=["channels.cytube.prefix=+"])
    again = load(Path("again.toml"), overrides=[f"plugins.echo.settings.api_token={CANARY}", 'state_directory=""'])
    assert again.config == first.config
    assert tomllib.loads(result.output)["state_directory"] == str(home / "rosey-state")


def test_show_with_origins(home: Path) -> None:
    """Each key says where it was set, or that nobody set it."""
    lines = rosey("config", "show", "--origin", "--set", "log.level=debug").output.splitlines()
    assert 'room = "lobby"  # rosey.toml:3:1' in lines
    assert 'password = { env = "PW" }  # rosey.toml:5:14' in lines
    assert 'level = "debug"  # --set log.level' in lines
    assert 'prefix = "!"  # default' in lines
    assert 'api_token = "(hidden)"  # rosey.toml:10:40' in lines


def test_show_as_json(home: Path) -> None:
    """`--json` is the same as data; with `--origin` the origins stand beside it."""
    data: dict[str, Any] = json.loads(rosey("config", "show", "--json").output)
    assert data["channels"]["cytube"]["password"] == {"env": "PW"}
    assert data["plugins"]["order"] == []
    assert data["plugins"]["echo"]["settings"] == {
        "words": ["a", "b\x07"],
        "api_token": "(hidden)",
        "caps": {"rate": 1.5},
        "key": {"env": "K"},
    }
    assert data["plugins"]["echo"]["channels"]["cytube"]["settings"]["when"] == "2024-01-02"
    both = json.loads(rosey("config", "show", "--json", "--origin").output)
    assert both["config"] == data
    assert both["origins"]["channels.cytube.room"] == "rosey.toml:3:1"
    assert both["origins"]['plugins.other.commands."odd name"'] == "rosey.toml:14:14"


def test_schema_needs_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rosey config schema` works in an empty directory and prints JSON."""
    monkeypatch.chdir(tmp_path)
    result = rosey("config", "schema")
    assert result.exit_code == 0
    assert json.loads(result.output)["$defs"]["ChannelConfig"]["required"] == ["room"]
