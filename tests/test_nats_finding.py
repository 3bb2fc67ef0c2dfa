"""Finding a nats-server: which one is taken, and what is said when none is."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from rosey_core.bus.finding import NAME, VARIABLE, find_server
from rosey_core.errors import BrokerError

EXTRA = 'pip install "rosey-bot[embedded]"'


def program(directory: Path, says: str) -> Path:
    """A nats-server that only says its version."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / NAME
    path.write_text(f'#!/bin/sh\necho "{says}"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Python without the wheel and with nothing beside it; the directory where it is."""

    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python" / "python3"))
    return tmp_path / "python"


def test_wheel() -> None:
    """The wheel's program is found in this environment, with nothing on PATH."""
    path = find_server(environ={})
    assert path.name == NAME
    assert path.is_file()


def test_named(tmp_path: Path) -> None:
    """One that is named is taken, by the setting before the variable."""
    one, other = program(tmp_path / "1", "nats-server: v2.11.0"), program(tmp_path / "2", "nats-server: v3.0.0-dev")
    assert find_server(str(one), {VARIABLE: str(other)}) == one
    assert find_server("", {VARIABLE: str(other)}) == other


def test_named_and_missing(tmp_path: Path) -> None:
    """A named one that is not there is an error; no other is taken instead."""
    path = tmp_path / "nowhere"
    with pytest.raises(BrokerError) as caught:
        find_server(str(path))
    said = f"[nats] server names {path}, and there is no program there; correct it, or install it with: {EXTRA}"
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("says", "shown"),
    (("nats-server: v2.9.10", "v2.9.10"), ("hello", "not saying its version"), ("", "not saying its version")),
)
def test_named_and_too_old(tmp_path: Path, says: str, shown: str) -> None:
    """A named one that is too old, or no nats-server at all, is an error that says what it has to be."""
    path = program(tmp_path, says)
    with pytest.raises(BrokerError) as caught:
        find_server("", {VARIABLE: str(path)})
    assert f"{VARIABLE} names {path}, which is {shown}; it has to be 2.11 or newer" in str(caught.value)
    assert EXTRA in str(caught.value)


def test_path(bare: Path, tmp_path: Path) -> None:
    """Without the wheel it is looked for beside Python, then on PATH."""
    on_path = program(tmp_path / "bin", "nats-server: v2.12.0")
    environ = {"PATH": str(on_path.parent)}
    assert find_server(environ=environ) == on_path
    beside = program(bare, "nats-server: v2.12.1")
    assert find_server(environ=environ) == beside


def test_too_old_is_passed_over(bare: Path, tmp_path: Path) -> None:
    """One found first and too old does not hide a newer one behind it; alone it is named in the error."""
    old = program(bare, "nats-server: v2.10.29")
    new = program(tmp_path / "bin", "nats-server: v2.11.1")
    assert find_server(environ={"PATH": str(new.parent)}) == new
    with pytest.raises(BrokerError) as caught:
        find_server(environ={})
    assert f"this is older: {old} (v2.10.29)" in str(caught.value)
    assert EXTRA in str(caught.value)


def test_none(bare: Path, tmp_path: Path) -> None:
    """Where there is none the error names the extra, the setting, and the other mode."""
    with pytest.raises(BrokerError) as caught:
        find_server(environ={"PATH": str(tmp_path)})
    text = str(caught.value)
    assert EXTRA in text
    assert '[nats] server = "..."' in text
    assert 'mode = "external"' in text
