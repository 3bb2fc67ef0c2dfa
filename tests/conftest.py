"""What many tests share: the zoo of plugins, as if it were installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ZOO = Path(__file__).parent / "zoo"
TRACES = Path(__file__).parent / "traces"


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The deliberately odd plugins, found by entry points here and in child processes."""
    monkeypatch.syspath_prepend(str(ZOO))
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", str(ZOO) + (os.pathsep + before if before else ""))
    return ZOO


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to stand in, so that messages name files shortly."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
