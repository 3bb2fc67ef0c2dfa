"""What the daemon and a worker are made of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LOOK = """
import sys, rosey_core.cli.run, rosey_core.log, rosey_core.daemon, rosey_plugins.echo, rosey_plugins.chatlog
print(*sorted(sys.modules))
"""


LOOK_AT_WORKER = """
import sys, rosey_core.host.worker
from rosey_core.host.describe import load
load("echo", "rosey_plugins.echo:Echo")
print(*sorted(sys.modules))
"""


def imported(look: str, tmp_path: Path) -> set[str]:
    """The modules that a program imports, where an aiohttp is installed that ends it."""
    (tmp_path / "aiohttp.py").write_text("raise SystemExit('aiohttp was imported')\n")
    done = subprocess.run(
        (sys.executable, "-c", look),
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.split())
    assert "nats" in modules
    return modules


def test_what_is_not_imported(tmp_path: Path) -> None:
    """No aiohttp, also where it is installed, nor anything else that only others need."""
    modules = imported(LOOK, tmp_path)
    assert not modules & {"aiohttp", "rich", "pygments", "socketio", "engineio", "uvicorn", "pytest", "hypothesis"}
    assert "aiosqlite" not in modules  # before a plugin stores something
    assert not any(name.startswith("rosey_core.testing") for name in modules)


def test_what_a_worker_does_not_import(tmp_path: Path) -> None:
    """Twenty of them run beside the daemon: each has what it takes to speak with it, and nothing of CyTube's."""
    modules = imported(LOOK_AT_WORKER, tmp_path)
    assert not modules & {"rich", "click", "websockets", "aiosqlite", "sqlite3", "importlib.metadata", "pytest"}
    ours = {name for name in modules if name.startswith("rosey_core.")}
    assert not {name for name in ours if name.split(".")[1] in ("cytube", "cli", "daemon", "site", "pipeline")}
    assert not ours & {"rosey_core.host.house", "rosey_core.host.outside", "rosey_core.host.registry"}
