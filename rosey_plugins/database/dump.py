"""Writes what is kept as JSON lines or CSV, with names in place of numbers."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import msgspec

from rosey_core.api import PluginError
from rosey_plugins.database import opening

_OF = "JOIN channels c ON c.id = t.channel"
EXPORTS = {
    "chat": f"""
SELECT c.name AS channel, t.at AS timestamp, u.name AS username, t.text AS message, coalesce(t.html, t.text) AS html,
    t.kind, t.flags, t.event AS id
FROM chat t {_OF} LEFT JOIN users u ON u.id = t.user ORDER BY t.channel, t.at, t.id""",
    "users": f"""
SELECT c.name AS channel, t.name AS username, t.first_seen, t.last_seen, t.lines, t.connected, t.base_first_seen,
    t.base_last_seen, t.base_lines, t.base_connected
FROM users t {_OF} ORDER BY t.channel, t.id""",
    "sessions": f"""
SELECT c.name AS channel, u.name AS username, t.start_at, t.end_at
FROM sessions t {_OF} JOIN users u ON u.id = t.user ORDER BY t.channel, t.start_at, t.id""",
    "private_messages": f"""
SELECT c.name AS channel, t.at AS timestamp, s.name AS sender, r.name AS recipient, t.text AS message, t.kind
FROM pms t {_OF} LEFT JOIN users s ON s.id = t.sender LEFT JOIN users r ON r.id = t.recipient
ORDER BY t.channel, t.at, t.id""",
    "media": f"""
SELECT c.name AS channel, t.at AS timestamp, t.type, t.media AS id, t.title, t.seconds, t.link, t.position,
    t.queued_by
FROM media t {_OF} ORDER BY t.channel, t.at, t.id""",
    "user_counts": f"""
SELECT c.name AS channel, t.at AS timestamp, t.users, t.connected FROM counts t {_OF}
ORDER BY t.channel, t.at, t.seq""",
    "high_water": f"""
SELECT c.name AS channel, t.at AS timestamp, t.users, t.connected FROM high_water t {_OF}
ORDER BY t.channel, t.at, t.seq""",
    "status": f"""
SELECT c.name AS channel, t.at AS timestamp, t.uptime, t.joined, t.events, t.dropped FROM status t {_OF}
ORDER BY t.channel, t.at, t.seq""",
}
"""What can be exported, and its columns."""


def dump(path: Path, table: str, form: str, out: TextIO) -> Iterator[int]:
    """Write a table to `out`, as `jsonl` or `csv`; the number of rows so far, again and again.

    Raises:
        PluginError: there is no file, or it can't be read.
        OSError: `out` can't be written.
    """
    if not path.exists():
        raise PluginError(f"{path} is not there: there is nothing to export")
    opening.examine(path)
    with contextlib.ExitStack() as stack:
        with opening.translated(path):
            rows = stack.enter_context(opening.reading(path)).execute(EXPORTS[table])
        columns = [column[0] for column in rows.description]
        write = _csv(columns, out) if form == "csv" else _jsonl(columns, out)
        done = 0
        while True:
            with opening.translated(path):  # what goes wrong with `out` is not the database's fault
                some = list(itertools.islice(rows, 1000))
            if not some:
                return
            write(some)
            done += len(some)
            yield done


def _csv(columns: list[str], out: TextIO) -> Any:
    writer = csv.writer(out)
    writer.writerow(columns)
    return writer.writerows


def _jsonl(columns: list[str], out: TextIO) -> Any:
    encoder = msgspec.json.Encoder()

    def write(rows: list[Any]) -> None:
        out.writelines(encoder.encode(dict(zip(columns, row, strict=True))).decode() + "\n" for row in rows)

    return write
