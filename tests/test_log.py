"""The log: its forms, what never gets into it, and that writing it never fails."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rosey_core import log
from rosey_core.config import LogConfig
from rosey_core.redact import visible

CANARY = "hunter2-canary"


class Stream(io.StringIO):
    """Standard error that remembers each write, and is a terminal if asked."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.terminal = terminal

    def isatty(self) -> bool:
        """Whether it plays a terminal."""
        return self.terminal

    def write(self, text: str) -> int:
        """Remember the write."""
        self.writes.append(text)
        return super().write(text)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON lines written so far."""
        return [json.loads(line) for line in self.getvalue().splitlines()]


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


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """Standard error, with JSON lines at the level debug."""
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log.configure(LogConfig(level="debug"))
    return stream


def console(monkeypatch: pytest.MonkeyPatch, *, colour: bool = False) -> Stream:
    """Standard error as a terminal."""
    stream = Stream(terminal=True)
    monkeypatch.setattr(sys, "stderr", stream)
    if colour:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", "1")
    log.configure(LogConfig(level="debug"))
    return stream


# --- forms --------------------------------------------------------------------------------------------------


def test_json_lines(stream: Stream) -> None:
    """An event is one object in one write, with time, level, name and fields."""
    log.get("session").bind(channel="cytube").info("joined", users=3, room="lobby")
    assert len(stream.writes) == 1
    (line,) = stream.objects
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line.pop("timestamp"))
    assert line == {
        "level": "info",
        "logger": "session",
        "event": "joined",
        "channel": "cytube",
        "users": 3,
        "room": "lobby",
    }


def test_console_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets columns for people, with colour unless NO_COLOR asks for none."""
    stream = console(monkeypatch)
    log.get("session").info("joined", channel="cytube")
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[info *\] joined +\[session\] channel=cytube\n", stream.getvalue())
    stream = console(monkeypatch, colour=True)
    log.get("other").info("joined")
    assert "\x1b[" in stream.getvalue()


@pytest.mark.parametrize(
    ("wanted", "terminal", "form"),
    (
        ("auto", True, "console"),
        ("auto", False, "json"),
        ("json", True, "json"),
        ("console", False, "console"),
    ),
)
def test_which_form(wanted: Literal["auto", "console", "json"], terminal: bool, form: str) -> None:
    """`auto` looks where the lines go; the file may say something else."""
    assert log.form_of(LogConfig(format=wanted), Stream(terminal=terminal)) == form


def test_a_traceback_is_a_field(stream: Stream) -> None:
    """An exception comes as text with its traceback."""
    try:
        raise ValueError("no such room")
    except ValueError:
        log.get("x").exception("failed")
    (line,) = stream.objects
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert line["exception"].endswith("ValueError: no such room")
    assert "exc_info" not in line


def test_levels(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is below the level goes nowhere."""
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(LogConfig(level="warning"))
    name = log.get("x")
    name.debug("a")
    name.info("b %s", "c")
    name.warning("d")
    name.error("e")
    assert [line["event"] for line in stream.objects] == ["d", "e"]


def test_a_logger_made_before_the_set_up_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules make their loggers when they are imported."""
    early = log.get("early")
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(LogConfig(format="json"))
    early.info("hello")
    early.debug("nothing")
    assert [line["event"] for line in stream.objects] == ["hello"]


def test_logging_takes_the_same_way(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings of libraries become lines with their name; below WARNING they do not; twice set up is once written."""
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(LogConfig(level="debug"), secrets=[CANARY])
    library = logging.getLogger("nats.aio.client")
    library.info("quiet")
    library.warning("slow %s", CANARY)
    library.log(35, "odd level")
    try:
        raise OSError("gone")
    except OSError:
        library.exception("broken")
    library.critical("end")
    lines = stream.objects
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "slow [secret]"),
        ("warning", "odd level"),
        ("error", "broken"),
        ("critical", "end"),
    ]
    assert lines[0]["logger"] == "nats.aio.client"
    assert "OSError: gone" in lines[2]["exception"]


def test_python_warnings_are_lines(stream: Stream) -> None:
    """A warning does not break into the lines as bare text."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = stream.objects
    assert line["logger"] == "py.warnings"
    assert "old thing" in line["event"]


# --- never fails --------------------------------------------------------------------------------------------


class Stubborn:
    """It has no repr."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("form", ("json", "console"))
def test_any_value_can_be_told(form: str, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Surrogates, loops, objects that can't even be shown: the line comes out, and it can be encoded."""
    if form == "console":
        stream = console(monkeypatch)
    loop: list[Any] = []
    loop.append(loop)
    log.get("x").info("odd \ud800", a="\udfff", b=loop, c=Stubborn(), d={1: b"\xff"}, e=float("nan"), f=object)
    stream.getvalue().encode()
    assert "<Stubborn>" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_standard_error_may_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stream or a pipe without a reader does not end what wanted to tell something."""
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(LogConfig(format="json"))
    stream.close()
    log.get("x").error("told to nobody")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        log.configure(LogConfig(format="json"))
        log.get("y").error("told to nobody")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # so that closing it can flush


# --- secrets and control characters --------------------------------------------------------------------------

SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=12).map(lambda text: "Zq" + text)


def strings(value: Any) -> Iterator[str]:
    """Every text in parsed JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.items() for part in item for text in strings(part))
    elif isinstance(value, list):
        yield from (text for item in value for text in strings(item))


def tell_everywhere(secret: str) -> None:
    """Log a secret in every way there is."""
    name = log.get("x")
    name.info(f"event {secret}", plain=secret, inside=f"<{secret}>", nested={"k": [secret, (secret,)], secret: 1})
    name.info("objects", quoted=repr(secret), raw=secret.encode(), error=ValueError(secret), object=Path(secret[:99]))
    name.info("json", json=json.dumps({"p": secret}), other=json.dumps(secret, ensure_ascii=False))
    try:
        raise KeyError(secret)
    except KeyError:
        name.exception("failed")
    logging.getLogger("lib").warning("said %r", secret)


@given(SECRETS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_secret_never_gets_out_in_json(stream: Stream, secret: str) -> None:
    """In no field, nested or quoted, and in no exception, as it is or as JSON or Python spell it."""
    stream.seek(0)
    stream.truncate()
    log.redact.clear()
    log.add_secret(secret)
    tell_everywhere(secret)
    assert len(stream.getvalue().splitlines()) >= 5
    assert secret not in stream.getvalue()
    for line in stream.getvalue().split("\n")[:-1]:
        for text in strings(json.loads(line)):
            assert secret not in text
            assert repr(secret)[1:-1] not in text
            assert json.dumps(secret)[1:-1] not in text


@given(SECRETS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_secret_never_gets_out_on_a_terminal(secret: str) -> None:
    """The same for people, where control characters are spelt out."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        stream = console(monkeypatch)
        log.redact.clear()
        log.add_secret(secret)
        tell_everywhere(secret)
    for spelling in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], visible(secret)):
        assert spelling not in stream.getvalue()


def test_a_terminal_is_not_steered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters in values, events and exceptions are spelt out; a traceback keeps its lines."""
    stream = console(monkeypatch)
    try:
        raise ValueError("\x1b[2J\u202egnp")
    except ValueError:
        log.get("x").exception("a\nb\x1b]0;t\x07", user="\x9b31m")
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert r"a\nb\x1b]0;t\x07" in text
    assert r"ValueError: \x1b[2J\u202egnp" in text
    assert "Traceback (most recent call last):\n" in text
