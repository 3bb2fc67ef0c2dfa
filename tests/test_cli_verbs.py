"""The verbs about a running daemon and about plugins, as people read them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from rosey_core import cli
from rosey_core.cli import plugins
from rosey_core.cli.options import table
from rosey_core.cli.status import ask_daemon, duration, page
from rosey_core.errors import NoAnswer
from rosey_core.settings import load

TEXT = """\
version = 1
[channels.cytube]
room = "lobby"
[plugins.echo]
enabled = true
grant = ["chat.read"]
[plugins.nosuch]
enabled = true
"""

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 7,
    "ready": True,
    "uptime": 3725.0,
    "nats": {
        "mode": "embedded",
        "url": "nats://127.0.0.1:4222",
        "connected": False,
        "reason": "refused",
        "waiting": 3,
        "dropped": 0,
    },
    "eventlog": {"fault": "events.db can't be written: the disk is full", "waiting": 7, "lost": 2, "bytes": 1},
    "store": {"fault": "the store s can't be used now"},
    "loop": {"lag_ms": 0.1, "blocked": 2, "longest": 3.5, "place": "bad.py:7 in on_chat"},
    "channels": {
        "cytube": {
            "state": "waiting",
            "reason": "the connection broke off; again in 3 s",
            "name": "Rosey",
            "rank": 2.5,
            "users": 3,
            "playing": "a\x1b[2Jb",
            "events": 12,
            "failures": 0,
            "undecodable": 0,
            "fault": "",
            "silenced": {"mirror": 42},
            "actions": {"done": 4, "refused": 1, "dropped": 2, "unknown": 0},
        }
    },
    "plugins": [
        {
            "name": "echo",
            "channel": "cytube",
            "state": "running",
            "reason": "",
            "calls": 3,
            "errors": 0,
            "dropped": 0,
            "refused": 0,
        },
        {
            "name": "nosy",
            "channel": "cytube",
            "state": "running",
            "reason": "",
            "calls": 1,
            "errors": 0,
            "dropped": 0,
            "refused": 47,
            "last_error": 'NATS refused it to subscribe to "$JS.>"',
        },
        {"name": "quiet", "state": "disabled", "reason": ""},
    ],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration, as the current one."""
    monkeypatch.chdir(tmp_path)
    Path("rosey.toml").write_text(TEXT)
    return tmp_path


def rosey(*args: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(cli.main, args)


@pytest.mark.parametrize(
    ("seconds", "told"), ((0, "0s"), (59.9, "59s"), (3600, "1h"), (90061, "1d 1h"), (61, "1m 1s"))
)
def test_duration(seconds: float, told: str) -> None:
    """The two largest units."""
    assert duration(seconds) == told


def test_table() -> None:
    """Columns are aligned, one that is empty everywhere is left out, and nothing steers the terminal."""
    text = table([{"a": "x", "none": "", "b": 1}, {"a": "long\x1b[2J", "none": "", "b": 22}])
    assert "none" not in text
    assert "\x1b" not in text
    assert [line.split() for line in text.splitlines()[2:]] == [["x", "1"], [r"long\x1b[2J", "22"]]


@pytest.mark.parametrize("width", (20, 50, 60, 80, 110, 200))
def test_a_narrow_table(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """No line is longer than `$COLUMNS` while words fit, and no word is broken; below that rows are paragraphs."""
    monkeypatch.setenv("COLUMNS", str(width))
    why = "the connection broke off and comes again within a minute"
    row = {
        "channel": "movienight",
        "playing": "[Subs] Wide \u6620\u753b (1986)",
        "events": 12345,
        "why": why,
    }
    text = table([row, row | {"channel": "other", "why": ""}])
    assert {*why.split(), "movienight", "[Subs]", "\u6620\u753b", "12345", "(1986)"} <= set(text.split())
    assert ("channel: movienight\n" in text) == (width < 40)
    assert width < 40 or max(map(cell_len, text.splitlines())) <= width


def test_status_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong can't be overlooked; disabled plugins are left out."""
    monkeypatch.setenv("COLUMNS", "300")
    text = "\n".join(page(STATUS))
    assert "up 1h 2m" in text
    assert "NOT CONNECTED: refused (3 events wait, 0 dropped)" in text
    assert "the connection broke off; again in 3 s" in text
    assert "does not answer mirror (for 42 s more): three quick answers in a row look like two bots" in text
    assert "\nEVENT LOG: events.db can't be written: the disk is full (7 events wait)\n" in text
    assert "\nevents that could not be kept: 2\n" in text
    assert "\nthe store s can't be used now\n" in text
    assert "held up 2 times, for 3.5 s at the longest, in bad.py:7 in on_chat" in text
    assert 'NATS refused it to subscribe to "$JS.>"; it tried what it may not (times: 47)' in text
    assert text.count("what it may not") == 1
    assert "refused" not in text.partition("plugin  channel")[2].partition("\n")[0]
    assert "quiet" not in text
    assert "\x1b" not in text
    assert "-1" not in "\n".join(page(STATUS | {"channels": {"c": STATUS["channels"]["cytube"] | {"rank": -1.0}}}))
    assert page({"ready": False, "version": "1", "pid": 2}) == ["rosey 1 is starting (process 2)"]


def test_status_without_a_daemon(home: Path) -> None:
    """A sentence that says what to do, and code 1."""
    result = rosey("status")
    assert result.exit_code == 1
    assert "rosey is not running" in result.output
    assert "Start it with `rosey run`" in result.output


@contextlib.contextmanager
def daemon(home: Path, answer: dict[str, Any] | None) -> Iterator[None]:
    """Something that listens where a daemon would; it gives this answer to everybody, or none."""
    with socket.socket(socket.AF_UNIX) as listener:
        (home / "rosey-state").mkdir()
        listener.bind(str(home / "rosey-state" / "control.sock"))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while answer is not None:
                    peer, _ = listener.accept()
                    peer.recv(1 << 16)
                    peer.sendall(json.dumps({"ok": True, "result": answer}).encode() + b"\n")
                    peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_daemon_that_is_silent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` gives other advice than to start it; the list of plugins says so and goes on without it."""
    monkeypatch.setattr(plugins, "SECONDS", 0.1)
    with daemon(home, None):
        with pytest.raises(
            NoAnswer, match=r"rosey \(process \w+\) does not answer at .*control.sock: it is busy or stopped\. Ask ag"
        ):
            ask_daemon(load.load(Path("rosey.toml")), "status", seconds=0.1)
        result = rosey("plugins", "list", "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith("note: rosey (process unknown) does not answer at ")
    assert {row["name"]: row["state"] for row in json.loads(result.stdout)}["nosuch"] == "missing"
    assert "note" not in rosey("plugins", "list").stderr


def test_plugins_of_a_daemon(home: Path) -> None:
    """What a daemon says counts before what the configuration says, in the list and in what is shown of one."""
    rows = [
        {"name": "echo", "channel": "cytube", "state": "running", "reason": ""},
        {"name": "echo", "channel": "other", "state": "waiting", "reason": "no disk"},
    ]
    text = TEXT.replace('"chat.read"]', '"chat.read", "chat.send"]')
    text = text.replace("nosuch", 'logging]\ngrant = ["chat.read", "media.read"]\n[plugins.logging')
    Path("rosey.toml").write_text(text.replace("[plugins.logging]\nenabled", "enabled"))
    assert rosey("plugins", "show", "echo").stdout.startswith("echo: ready\n")
    with daemon(home, {"ready": True, "plugins": rows}):
        listed = {(row["name"], row["channel"]): row for row in json.loads(rosey("plugins", "list", "--json").stdout)}
        shown = rosey("plugins", "show", "echo").stdout
        as_json = json.loads(rosey("plugins", "show", "echo", "--json").stdout)
    assert listed["echo", "cytube"]["state"] == "running"
    assert listed["echo", "other"]["reason"] == "no disk"
    assert listed["logging", ""]["reason"] == "rosey runs without it: rosey ctl reload"
    assert shown.startswith("echo: running in cytube\necho: waiting in other (no disk)\n")
    assert as_json["channels"]["other"] == {"state": "waiting", "reason": "no disk"}


def test_a_disabled_plugin_that_is_broken(home: Path, zoo: Path) -> None:
    """The list says why it could not be enabled."""
    rows = {row["name"]: row for row in json.loads(rosey("plugins", "list", "--json").stdout)}
    assert rows["broken-import"]["state"] == "disabled"
    assert "it can't be imported: ModuleNotFoundError" in rows["broken-import"]["reason"]


def test_plugins_list(home: Path) -> None:
    """Each plugin with its state; one that lacks a grant with the line to write, a missing one with its package."""
    result = rosey("plugins", "list", "--json")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.output)}
    assert rows["echo"]["state"] == "held"
    assert 'under [plugins.echo] write  grant = ["chat.read", "chat.send"]' in rows["echo"]["reason"]
    assert rows["logging"]["state"] == "disabled"
    assert rows["nosuch"]["state"] == "missing"
    assert "pip install rosey-plugin-nosuch" in rows["nosuch"]["reason"]
    assert "held" in rosey("plugins", "list").output
    assert not (home / "rosey-state").exists()  # who only looks leaves nothing behind


def test_plugins_show(home: Path) -> None:
    """Everything an owner wants to know before he enables it."""
    text = rosey("plugins", "show", "echo").output
    assert "!echo TEXT says it back." in text
    assert "chat.send   (not granted)" in text
    assert "command: echo TEXT: Says TEXT back." in text
    assert "automatic = false   boolean" in text
    assert "keeps: every chat line" in rosey("plugins", "show", "logging").output
    assert json.loads(rosey("plugins", "show", "echo", "--json").output)["finding"]["description"]["name"] == "echo"


def test_plugins_without_a_configuration(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has written none yet sees what is installed; one that was named has to be there."""
    Path("rosey.toml").unlink()
    monkeypatch.setattr(load, "USUAL_PLACES", (Path("./rosey.toml"),))
    rows = json.loads(rosey("plugins", "list", "--json").output)
    assert {row["state"] for row in rows} == {"disabled"}
    assert "asks for:" in rosey("plugins", "show", "echo").output
    assert rosey("plugins", "list", "--config", "nowhere.toml").exit_code == 78
    assert rosey("status").exit_code == 78


def test_plugins_of_another_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that may not be looked into, on the way to the state or to a usual place, is like none."""
    closed = home / "closed"
    closed.mkdir(mode=0)
    if os.access(closed, os.X_OK):
        pytest.skip("root may look everywhere")
    assert rosey("plugins", "list", "--set", "state_directory=closed/state").exit_code == 0
    assert "this user may not ask rosey" in rosey("status", "--set", "state_directory=closed/state").stderr
    Path("rosey.toml").unlink()
    monkeypatch.setattr(load, "USUAL_PLACES", (Path("closed/rosey.toml"),))
    assert rosey("check").exit_code == 78


def test_plugins_show_nothing(home: Path) -> None:
    """A misspelt name gets the nearest."""
    result = rosey("plugins", "show", "ecko")
    assert result.exit_code == 1
    assert result.output == "rosey: there is no plugin ecko; did you mean echo?\n"


def test_check_tells_of_plugins(home: Path) -> None:
    """What will not run is a warning; what is wrong in a plugin's settings is an error with its place."""
    result = rosey("check")
    assert result.exit_code == 0
    assert "warning: the plugin echo will not run (held)" in result.output
    Path("rosey.toml").write_text(TEXT + "[plugins.echo.settings]\nautomatik = true\n")
    result = rosey("check")
    assert result.exit_code == 78
    assert 'rosey.toml:10:1: unknown key "automatik"' in result.output
    assert 'did you mean "automatic"?' in result.output


def test_uvloop_is_used_where_it_is(tmp_path: Path) -> None:
    """With a module of that name the daemon's loop is the one it makes; without it is asyncio's own."""
    (tmp_path / "uvloop.py").write_text(
        "import asyncio\ndef new_event_loop():\n    print('uvloop made it')\n    return asyncio.new_event_loop()\n"
    )
    (tmp_path / "rosey.toml").write_text(TEXT + '[nats]\nserver = "/no/such/file"\n')
    done = subprocess.run(
        (sys.executable, "-m", "rosey_core", "run"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "uvloop made it" in done.stdout
    assert "/no/such/file" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sandbox_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "rosey_core.cli.stage", None)
    result = rosey("sandbox")
    assert result.exit_code == 1
    assert "pip install 'rosey-bot[sandbox]'" in result.output
