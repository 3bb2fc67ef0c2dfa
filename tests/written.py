"""Texts of rosey.toml for tests: written below the current directory, loaded, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rosey_core.config import Loaded
from rosey_core.errors import ConfigError
from rosey_core.settings.load import load

SMALL = 'version = 1\n[channels.cytube]\nroom = "lobby"\n'
CANARY = "hunter2-canary"


def write(text: str, name: str = "rosey.toml") -> Path:
    """Write a file below the current directory."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(text: str = SMALL, *overrides: str, **environ: str) -> Loaded:
    """Load a text as rosey.toml."""
    return load(write(text), overrides=overrides, environ=environ)


def refused(text: str, *overrides: str, **environ: str) -> str:
    """The message about a text that must not load."""
    with pytest.raises(ConfigError) as caught:
        loaded(text, *overrides, **environ)
    return str(caught.value)
