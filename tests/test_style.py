"""The style of the code, as the tools see it: part of the tests, so that one command says whether all is well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "tool", (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)), ids=" ".join
)
def test_tool(tool: tuple[str, ...]) -> None:
    """It has nothing to say."""
    done = subprocess.run((sys.executable, "-m", *tool), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
