"""Sets structlog up: colour on a terminal, fields in systemd's journal, JSON lines elsewhere.

Whatever the form, a line goes out whole, at once and on standard error, with known secrets taken out of it as the
last step. What the libraries log through `logging` takes the same way from WARNING on. Log events are short nouns
with fields: `log.info("joined", channel="cytube")`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal, TextIO, cast

import msgspec

from rosey_core.config import LogConfig
from rosey_core.hidden import hidden
from rosey_core.journal import Journal, is_journal
from rosey_core.redact import Redaction, visible, visible_in_json

# structlog imports rich where it is installed, for tracebacks that are not used here: 4 MB of a daemon's memory.
with hidden("rich"):
    import structlog
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

Form = Literal["console", "journal", "json"]
Render = Callable[[EventDict], str]

redact = Redaction()
"""Takes the secrets that were added out of a text."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_PRIORITIES = {"debug": "7", "info": "6", "warning": "4", "error": "3", "critical": "2"}
_NOT_FIELDS = ("event", "level", "logger", "exception", "timestamp")


def get(name: str) -> FilteringBoundLogger:
    """The logger of a part of rosey. It may be made before `configure`, and follows it from its first line on."""
    return cast("FilteringBoundLogger", structlog.get_logger(logger_name=name))


def add_secret(value: str) -> None:
    """Take this text out of every line from now on, if it has at least four characters."""
    redact.add(value)


def configure(config: LogConfig, *, secrets: Iterable[str] = ()) -> None:
    """Set up structlog and `logging` for this process. The level is read once: loggers in use keep theirs."""
    for value in secrets:
        redact.add(value)
    level = _LEVELS[config.level]
    processors: list[Any] = [structlog.processors.add_log_level, structlog.processors.format_exc_info, _Write(config)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _FromLogging)]:
        root.removeHandler(old)
    root.addHandler(_FromLogging(logging.WARNING))
    root.setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)


def form_of(config: LogConfig, stream: TextIO) -> Form:
    """The form that lines on `stream` have."""
    if config.format != "auto":
        return config.format
    if is_journal(stream):
        return "journal"
    return "console" if stream.isatty() else "json"


class _Write:
    """The last processor: it writes the line itself, so that no other way out of structlog is left."""

    def __init__(self, config: LogConfig) -> None:
        self._stream = sys.stderr
        self.form = form_of(config, self._stream)
        self._journal = Journal()
        self._json = _Json()
        self._console = _Console()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        event["logger"] = event.pop("logger_name", "")  # structlog's own functions have an argument `logger`
        if self.form == "journal":
            with contextlib.suppress(OSError):
                self._journal.send({key: redact(value) for key, value in _journal_fields(event).items()})
                raise structlog.DropEvent
        line = self._console(event) if self.form == "console" else self._json(event)
        # A log line must never end what it tells about: standard error may be closed, or its reader gone.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(redact(line) + "\n")
            self._stream.flush()
        raise structlog.DropEvent


class _Json:
    """One object a line, with the time in UTC."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder(enc_hook=repr).encode
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def __call__(self, event: EventDict) -> str:
        event = self._stamp(None, "", {"timestamp": "", "level": "", "logger": "", "event": "", **event})
        try:
            line = self._encode(event)
        except Exception:  # a surrogate, a loop, a key that is no text: told as Python tells it
            line = self._encode({str(key): _told(value) for key, value in event.items()})
        return visible_in_json(line.decode())


class _Console:
    """Columns for people, with the local time."""

    def __init__(self) -> None:
        colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        self._stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        self._render = structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )

    def __call__(self, event: EventDict) -> str:
        safe = {key: visible(_told(value), layout=key == "exception") for key, value in event.items()}
        return str(self._render(None, "", self._stamp(None, "", safe)))


def _journal_fields(event: EventDict) -> dict[str, str]:
    """The message for people, and each value as a field of its own, `ROSEY_CHANNEL` for `channel`."""
    own = {key: _told(value) for key, value in event.items() if key not in _NOT_FIELDS}
    message = " ".join([_told(event.get("event", "")), *(f"{key}={value}" for key, value in own.items())])
    fields = {"MESSAGE": visible(message), "PRIORITY": _PRIORITIES.get(event.get("level", ""), "6")}
    fields["SYSLOG_IDENTIFIER"] = "rosey"
    fields["ROSEY_LOGGER"] = _told(event.get("logger", ""))
    if exception := event.get("exception"):
        fields["MESSAGE"] += "\n" + visible(_told(exception), layout=True)
    return fields | {f"ROSEY_{key}": value for key, value in own.items()}


def _told(value: object) -> str:
    """A value as text that can be written; of one that can't even be shown, its type."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()


class _FromLogging(logging.Handler):
    """Brings the records of `logging` to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        level = 50 if record.levelno >= 50 else 40 if record.levelno >= 40 else 30
        try:
            get(record.name).log(level, record.getMessage(), exc_info=record.exc_info)
        except Exception:
            self.handleError(record)
