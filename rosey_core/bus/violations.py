"""What nats-server refused to whom, read from its log: beside the log, only the client itself is told."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from rosey_core.bus.conf import ACCOUNT

MOST = 256 << 10
"""Bytes that one look reads; of somebody who tries without end, only the newest tries are counted."""

# Since 2.12 the user stands before the sentence, and the client's own name, as Go quotes it, before the user; in 2.11
# the user stands in the sentence. What a client names itself holds no quote without a backslash, and a subject no
# space, so neither can look like a user.
_REFUSED = re.compile(
    r"^\[\d+\] \S+ \S+ \[ERR\] .* - "
    rf'(?:"{ACCOUNT}(?:_[\w-]+)?/user:(?P<new>[^"\s]+)" - (?P<new_way>\w+) Violation - '
    r'|(?P<old_way>\w+) Violation - User "(?P<old>[^"\s]+)", )'
    r'Subject (?P<subject>"(?:[^"\\]|\\.)*")',
    re.MULTILINE,
)
_WAYS = {"Publish": "publish to", "Subscription": "subscribe to"}


def refusals(text: str) -> Iterator[tuple[str, str]]:
    """The users in lines of the log that tried what they may not, each with what it was."""
    for found in _REFUSED.finditer(text):
        way = _WAYS.get(found["new_way"] or found["old_way"], "use")
        yield found["new"] or found["old"], f"NATS refused it to {way} {found['subject'][:200]}"


class Violations:
    """A log that grows, from where it ends now.

    Args:
        path: the log; it need not be there yet, and may be moved away for a new one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = self._seen = 0
        with contextlib.suppress(OSError):
            self._inode, self._seen = path.stat().st_ino, path.stat().st_size

    def look(self) -> list[tuple[str, str]]:
        """What is new: users, each with what was refused to it."""
        try:
            with self._path.open("rb") as file:
                now = os.fstat(file.fileno())
                if now.st_ino != self._inode:
                    self._inode, self._seen = now.st_ino, 0
                if now.st_size == self._seen:
                    return []
                self._seen = max(self._seen, now.st_size - MOST)
                file.seek(self._seen)
                lines, end, _ = file.read(MOST).rpartition(b"\n")
        except OSError:
            return []
        self._seen += len(lines) + len(end)
        return list(refusals(lines.decode("utf-8", "replace")))
