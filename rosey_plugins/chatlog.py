"""logging: chat and media lines to files, one for each channel, rotated by size.

A line that CyTube repeats at a join is written only if it is newer than the newest in the file, so that a rejoin
fills in what was missed and repeats nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from rosey_core.api import Context, Manifest, NormalizedEvent, Settings, hookimpl, mentions
from rosey_core.api import events as ev

TAIL = 1 << 20
LAST_SECOND = 253402300799.0
"""The last one that a year of four digits has; a server may say anything."""


class LoggingSettings(Settings):
    """`format`: lines of text, or JSON. `max_mib`: a file's size, after which it is rotated. `keep`: old files."""

    format: Literal["text", "json"] = "text"
    max_mib: Annotated[float, Meta(gt=0, le=4096)] = 10
    keep: Annotated[int, Meta(ge=1, le=1000)] = 9


# Line separators would let a chat line forge another; C1 and bidi controls mislead whoever reads the file.
_STRIPPED = dict.fromkeys(
    [
        *range(0x20),
        *range(0x7F, 0xA0),
        *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2065),
        *range(0x2066, 0x206A),
        *range(0xD800, 0xE000),
    ]
)


def clean(text: str) -> str:
    """`text` without control, bidi and zero-width characters and lone surrogates."""
    return text if text.isascii() and text.isprintable() else text.translate(_STRIPPED)


@lru_cache(maxsize=2)
def _to_the_second(seconds: int) -> str:
    """Most lines share their second with the line before."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(seconds: float) -> str:
    """UTC seconds as `2026-11-24T04:02:13.123Z`."""
    whole, ms = divmod(round(min(max(seconds, 0.0), LAST_SECOND) * 1000), 1000)
    return f"{_to_the_second(whole)}.{ms:03}Z"


def text_of(event: NormalizedEvent) -> str:
    """An event as people read it; empty for what is not written."""
    match event.data:
        case ev.ChatMessage(username=name, text=text, kind="action"):
            return f"* {clean(name)} {clean(text)}"
        case ev.ChatMessage(username=name, text=text):
            return f"<{clean(name)}> {clean(text)}"
        case ev.ChatCleared(cleared_by=name):
            return f"-- {clean(name)} cleared the chat"
        case ev.MediaPlayed(media=media, queued_by=by):
            source = f", queued by {clean(by)}" if by else ""
            return f"-- plays {clean(media.title)} ({clean(media.link or f'{media.type}:{media.id}')}){source}"
        case ev.MediaQueued(item=item):
            return f"-- {clean(item.queued_by)} queued {clean(item.media.title)}"
    return ""


def fields_of(event: NormalizedEvent) -> dict[str, Any]:
    """The same as fields for a JSON line."""
    match event.data:
        case ev.ChatMessage(username=name, text=text, kind=kind):
            return {"type": event.event_type, "user": clean(name), "text": clean(text), "kind": kind}
        case ev.ChatCleared(cleared_by=name):
            return {"type": event.event_type, "user": clean(name)}
        case ev.MediaPlayed(media=media, queued_by=by):
            return {
                "type": event.event_type,
                "title": clean(media.title),
                "link": media.link,
                "user": clean(by),
            }
        case ev.MediaQueued(item=item):
            return {
                "type": event.event_type,
                "title": clean(item.media.title),
                "link": item.media.link,
                "user": clean(item.queued_by),
            }
    return {}


class _File(RotatingFileHandler):
    """A rotated file that tells its caller when it can't be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  the library's name
        stream: Any = self.stream
        self.stream = None  # the library opens another, and comes here twice
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()  # else what it could not write would be written beside what comes again
        raise  # noqa: PLE0704  called in an except block: the caller shall hear of a full disk


class _Channel:
    """One channel's file, and the time of the newest chat line in it."""

    def __init__(self, path: Path, settings: LoggingSettings) -> None:
        self._json = settings.format == "json"
        self._newest = newest(path)
        self._written: deque[str] = deque(maxlen=100)  # ids of chat lines; CyTube repeats 15
        self._file = _File(
            path, maxBytes=int(settings.max_mib * 1024 * 1024), backupCount=settings.keep, encoding="utf-8"
        )

    def has(self, event: NormalizedEvent) -> bool:
        """Whether it is a line that CyTube repeats, and that is in the file already."""
        return event.metadata.history and (stamp(event.timestamp) <= self._newest or event.id in self._written)

    def line(self, event: NormalizedEvent) -> str:
        """An event as it is written; empty for what is not."""
        when = stamp(event.timestamp)
        if self._json:
            fields = fields_of(event)
            return json.dumps({"time": when} | fields, ensure_ascii=False) if fields else ""
        text = text_of(event)
        return f"{when} {text}" if text else ""

    def remember(self, events: Sequence[NormalizedEvent]) -> None:
        """They are in the file."""
        for event in events:
            if event.event_type == "chat.message":
                self._written.append(event.id)
                if not event.metadata.history:
                    self._newest = max(self._newest, stamp(event.timestamp))

    def write(self, lines: Sequence[str]) -> None:
        """Write lines, in one go."""
        self._file.emit(logging.makeLogRecord({"msg": "\n".join(lines)}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


_CHAT = re.compile(
    r'^(?:\{"time": ")?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)(?: [<*]|", "type": "chat\.message")', re.MULTILINE
)


def newest(path: Path) -> str:
    """The stamp of the newest chat line in a file, empty if there is none.

    Of chat lines alone: those have the time of CyTube's clock, and what plays has that of ours.
    """
    for candidate in (path, path.with_name(f"{path.name}.1")):
        if not candidate.exists():
            continue
        with candidate.open("rb") as file:
            file.seek(max(0, candidate.stat().st_size - TAIL))
            stamps = [match[1] for match in _CHAT.finditer(file.read(TAIL).decode(errors="replace"))]
        if stamps:
            return max(stamps)
    return ""


class ChatLog:
    """Writes what is said and what plays."""

    manifest = Manifest(
        name="logging",
        summary="Writes chat and media lines to rotated files.",
        settings=LoggingSettings,
        asks=("chat.read", "media.read"),
        keeps="every chat line, with the name of who said it, in files",
        shared=True,
    )

    def __init__(self, settings: LoggingSettings) -> None:
        del settings  # each channel has its own
        self._channels: dict[str, _Channel] = {}
        self._forgetting = asyncio.Lock()

    @hookimpl(history=True, stopped=True, own=True, server=True)
    async def on_events(self, ctx: Context, events: Sequence[NormalizedEvent]) -> None:
        """Write a list of events."""
        if self._forgetting.locked():
            async with self._forgetting:  # the files are written anew just now
                pass
        channel = self._channels.get(ctx.channel_name)
        if channel is None:
            settings = ctx.settings
            assert isinstance(settings, LoggingSettings)  # noqa: S101  the host made them of the manifest's
            path = ctx.directory / f"{ctx.channel_name}.log"
            channel = self._channels[ctx.channel_name] = _Channel(path, settings)
        new = [event for event in events if not channel.has(event)]
        if lines := [line for event in new if (line := channel.line(event))]:
            channel.write(lines)
        channel.remember(new)  # not before it is written: what a full disk refused may come again

    @hookimpl
    async def forget(self, ctx: Context, user: str) -> None:
        """Delete what somebody said from every file, and their name where they queued something."""
        async with self._forgetting:
            self.stop()
            self._channels.clear()  # each opens its file anew
            await asyncio.to_thread(_forget, ctx.directory, user)

    @hookimpl
    async def export(self, ctx: Context, user: str) -> list[str]:
        """Every line of a file that is about somebody."""
        return await asyncio.to_thread(_about, ctx.directory, user)

    @hookimpl
    def stop(self) -> None:
        """Close the files."""
        for channel in self._channels.values():
            channel.close()


def _forget(directory: Path, user: str) -> None:
    new = directory / "forgetting"
    for path in sorted(directory.glob("*.log*")):
        with new.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_without(line, user) for line in _lines(path))
        new.replace(path)


def _about(directory: Path, user: str) -> list[str]:
    paths = sorted(directory.glob("*.log*"))
    return [line.rstrip("\n") for path in paths for line in _lines(path) if _without(line, user) != line]


def _lines(path: Path) -> Iterator[str]:
    # Not `splitlines`: only \n ends a line here.
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        yield from file


def _without(line: str, user: str) -> str:
    """A line of a file without a user: as it was, shortened, or empty."""
    if line.startswith("{"):
        fields = json.loads(line) if line.endswith("}\n") else {}
        speaker = str(fields.get("user", ""))
        if _of_server(speaker, str(fields.get("text", "")), user):
            return ""
        if speaker.lower() != user.lower():
            return line
        if fields.get("type") != "media.played":
            return ""
        return json.dumps(fields | {"user": ""}, ensure_ascii=False) + "\n"
    name = re.escape(user)
    line = re.sub(rf", queued by {name}$", "", line, flags=re.IGNORECASE | re.MULTILINE)
    server = re.match(r"\S+ <(\[[^>]*)> (.*)", line)
    if server and _of_server(server[1], server[2], user):
        return ""
    said = re.match(rf"\S+ (?:<{name}> |\* {name} |-- {name} (?:queued |cleared ))", line, re.IGNORECASE)
    return "" if said else line


def _of_server(speaker: str, text: str, user: str) -> bool:
    """Whether it is a line in which the server, which no user is called like, names somebody."""
    return speaker.startswith("[") and mentions(text, user)
