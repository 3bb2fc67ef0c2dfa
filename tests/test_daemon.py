"""What the daemon is made of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LOOK = """
import sys, rosey_core.cli.run, rosey_core.log, rosey_core.daemon, rosey_plugins.echo, rosey_plugins.chatlog
print(*sorted(sys.modules))
"""


def test_what_is_not_imported(tmp_path: Path) -> None:
    """No aiohttp, also where it is installed, nor anything else that only others need."""
    (tmp_path / "aiohttp.py").write_text("raise SystemExit('aiohttp was imported')\n")
    done = subprocess.run(
        (sys.executable, "-c", LOOK),
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.split())
    assert "nats" in modules
    assert not modules & {"aiohttp", "rich", "pygments", "socketio", "engineio", "uvicorn", "pytest", "hypothesis"}
    assert not any(name.startswith("rosey_core.testing") for name in modules)
