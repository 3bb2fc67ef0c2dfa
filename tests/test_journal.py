"""Log lines in systemd's journal."""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from rosey_core import journal, log
from rosey_core.config import LogConfig

CANARY = "hunter2-canary"


@pytest.fixture(autouse=True)
def whole_again() -> Iterator[None]:
    """Leave structlog, logging and warnings as they were."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    structlog.reset_defaults()
    log.redact.clear()
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(capture=False)


# --- the journal --------------------------------------------------------------------------------------------


def fields(datagram: bytes) -> dict[str, str]:
    """The fields of a datagram in the journal's protocol."""
    found = {}
    while datagram:
        head, _, rest = datagram.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + size], rest[9 + size :]
        found[name.decode()] = value.decode()
        datagram = rest
    return found


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that plays the journal."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        server.settimeout(10)
        yield server


@pytest.fixture
def to_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Standard error as systemd connects it, in a file; the journal's socket is expected beside it."""
    monkeypatch.setattr(journal.Journal.__init__, "__defaults__", (str(tmp_path / "journal"),))
    with (tmp_path / "stderr").open("w") as file:
        status = os.fstat(file.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        monkeypatch.setattr(sys, "stderr", file)
        log.configure(LogConfig(), secrets=[CANARY])
        yield tmp_path / "stderr"


def test_journal_fields(daemon: socket.socket, to_journal: Path) -> None:
    """A line is one datagram with a readable message and its fields, and with secrets taken out."""
    try:
        raise ValueError(f"two\nlines {CANARY}")
    except ValueError:
        log.get("session").error("failed", channel="cytube", exc_info=True, odd_key="a\nb")
    entry = fields(daemon.recv(65536))
    message = entry.pop("MESSAGE")
    assert message.startswith("failed channel=cytube odd_key=a\\nb\nTraceback (most recent call last):\n")
    assert message.endswith("ValueError: two\nlines [secret]")
    assert entry == {
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "rosey",
        "ROSEY_LOGGER": "session",
        "ROSEY_CHANNEL": "cytube",
        "ROSEY_ODD_KEY": "a\nb",
    }
    assert to_journal.read_text() == ""


def test_a_line_too_big_for_the_journal(daemon: socket.socket, to_journal: Path) -> None:
    """It arrives cut, and the next one whole."""
    log.get("x").info("x" * 1_000_000)
    log.get("x").info("next")
    cut = fields(daemon.recv(1_000_000))
    assert cut["MESSAGE"] == "x" * journal.LARGEST
    assert cut["PRIORITY"] == "6"
    assert fields(daemon.recv(65536))["MESSAGE"] == "next"


def test_without_a_journal_there_are_json_lines(to_journal: Path) -> None:
    """Where the socket is missing, the line goes to standard error."""
    log.get("x").info("hello")
    assert json.loads(to_journal.read_text())["event"] == "hello"


def test_a_journal_that_comes_back(tmp_path: Path, to_journal: Path) -> None:
    """After the journal was restarted lines go there again."""
    for round_ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(tmp_path / "journal"))
            server.settimeout(10)
            if round_:
                log.get("x").info("lost to the old socket")
            log.get("x").info(f"round {round_}")
            assert fields(server.recv(65536))["MESSAGE"] == f"round {round_}"
        (tmp_path / "journal").unlink()
    assert json.loads(to_journal.read_text())["event"] == "lost to the old socket"


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True), st.text()))
def test_the_journals_protocol(entry: dict[str, str]) -> None:
    """Whatever the values are, they come back whole."""
    clean = {key: value.encode("utf-8", "replace").decode() for key, value in entry.items()}
    assert fields(journal.encode(clean)) == clean


def test_names_of_journal_fields() -> None:
    """What the journal does not allow in names becomes an underscore, and none begins with one."""
    assert journal.encode({"_a-b.ü": "1", "9x": "2"}) == b"A_B__=1\nX=2\n"
