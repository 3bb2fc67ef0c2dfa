"""What only a machine can tell: `rosey check` and `rosey run` say the same about it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rosey_core.preflight import preflight
from rosey_core.settings.load import load
from tests.written import CANARY, SMALL, loaded, write


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory to stand in, with a short path: sockets have to fit."""
    with tempfile.TemporaryDirectory(prefix="rosey-") as directory:
        monkeypatch.chdir(directory)
        yield Path(directory).resolve()


ROSEY = "import sys; sys.modules[{without!r}] = None; from rosey_core.cli import main; main()"


def rosey(verb: str, *, without: str = "nothing", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a verb as a process of its own, on a machine that lacks a library."""
    return subprocess.run(
        (sys.executable, "-c", ROSEY.format(without=without), verb),
        env={key: value for key, value in os.environ.items() if not key.startswith("ROSEY_")} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("head", "tail", "told"),
    (
        (
            "",
            '[nats]\nserver = "no-server"',
            "rosey.toml:5:10: [nats] server names no-server, and there is no program there",
        ),
        (
            'state_directory = "rosey.toml/below"',
            "",
            "rosey.toml:1:19: the state directory {home}/rosey.toml/below can't be used: Not a directory",
        ),
        (
            'state_directory = "/proc/nowhere"',
            "",
            "rosey.toml:1:19: the state directory /proc/nowhere can't be used: No such file or directory",
        ),
        (f'state_directory = "/{"x" * 100}"', "", "xxx/control.sock is too long for a socket (over 100 bytes)"),
        (
            "",
            'proxy = "socks5://127.0.0.1:9050"',
            "rosey.toml:4:9: a SOCKS proxy needs a library that is not installed",
        ),
        ("", 'proxy = { env = "PROXY" }', "rosey.toml:4:9: a proxy of the kind 'ftp' is not known"),
        ('state_directory = "spoilt"', "", "spoilt/seq/cytube should hold a number and holds something else"),
        (
            'state_directory = "rosey.toml"',
            "",
            "the state directory {home}/rosey.toml can't be used: Not a directory",
        ),
        ('state_directory = "full"', "", "the state directory {home}/full/seq can't be used: Not a directory; set"),
    ),
)
def test_check_and_run_agree(home: Path, head: str, tail: str, told: str) -> None:
    """Code 78, the same sentences and no traceback from both; `check` makes no state directory."""
    write("many", "spoilt/seq/cytube")
    write("", "full/seq")
    write(f"{head}\n{SMALL}{tail}\n" if head else f"{SMALL}{tail}\n")
    check = rosey("check", without="python_socks", PROXY="ftp://x")
    assert check.returncode == 78
    assert told.format(home=home) in check.stderr
    assert not Path("rosey-state").exists()
    run = rosey("run", without="python_socks", PROXY="ftp://x")
    assert run.returncode == 78
    assert check.stderr == run.stderr


def test_everything_at_once(home: Path) -> None:
    """A start tells all that is missing, not the first; credentials are missing for a start alone."""
    write(
        f'{SMALL}username = "x"\npassword = {{ env = "A_SECRET" }}\nroom_password = {{ credential = "b" }}\n'
        '[nats]\nserver = "no-server"\n[nats.users.tool]\npassword = { file = "c" }\n'
    )
    run, check = rosey("run"), rosey("check")
    places = [line.split(": ")[0] for line in run.stderr.splitlines() if line.startswith("rosey.toml")]
    assert places == ["rosey.toml:8:10", "rosey.toml:5:12", "rosey.toml:6:17", "rosey.toml:10:12"]
    assert "rosey.toml:6:17" not in check.stderr
    assert check.stderr.count("rosey.toml:") == 3


def test_without_a_server(home: Path) -> None:
    """A variable that names no nats-server is told by its name; one for an external NATS is not looked for."""
    one = loaded(SMALL)
    (wrong,), _ = preflight(one, start=False, environ={"ROSEY_NATS_SERVER": "/no/such"})
    assert "ROSEY_NATS_SERVER names /no/such" in wrong
    one = loaded(f'{SMALL}[nats]\nmode = "external"\nurl = "nats://x"\n')
    assert preflight(one, start=False, environ={"ROSEY_NATS_SERVER": "/no/such"}) == ([], [])


def test_credentials_without_their_library(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credentials file needs a library of its own, which is told before NATS is asked."""
    monkeypatch.setitem(sys.modules, "nkeys", None)
    one = loaded(f'{SMALL}[nats]\nmode = "external"\nurl = "nats://x"\ncredentials = {{ env = "CREDS" }}\n')
    (wrong,), _ = preflight(one, start=False, environ={"CREDS": "x"})
    assert wrong.startswith(
        "rosey.toml:7:15: credentials need a library that is not installed: pip install 'rosey-bot[credentials]'"
    )


def test_what_is_right_leaves_nothing(home: Path) -> None:
    """No file and no directory is made by looking; a start makes the state directory, for its owner alone."""
    one = loaded(SMALL)
    before = sorted(home.iterdir())
    assert preflight(one, start=False) == ([], [])
    assert sorted(home.iterdir()) == before
    assert preflight(one, start=True) == ([], [])
    assert one.state.stat().st_mode & 0o777 == 0o700


def test_a_proxy_is_not_shown(home: Path) -> None:
    """What is wrong with a secret address is told without it."""
    one = loaded(SMALL + 'proxy = { env = "PROXY" }')
    (wrong,), _ = preflight(one, start=False, environ={"PROXY": f"ftp://x:{CANARY}@y"})
    assert wrong.startswith("rosey.toml:4:9: ")
    assert CANARY not in wrong


def test_an_unknown_home(home: Path) -> None:
    """`~` of a user that nobody knows is a path that is not there."""
    (wrong,), _ = preflight(loaded(f'{SMALL}[nats]\nserver = "~nobody-here/x"\n'), start=False)
    assert "and there is no program there" in wrong


def test_another_file_is_named(home: Path) -> None:
    """The file that was read is the one that is named."""
    one = load(write('state_directory = "/proc/nowhere"\n' + SMALL, "other.toml"), environ={})
    (wrong,), _ = preflight(one, start=False)
    assert wrong.startswith("other.toml:1:19: ")
    assert "rosey.toml" not in wrong
