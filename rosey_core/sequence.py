"""The numbers of one channel's events: they only grow, also over restarts and kills.

A block of numbers is reserved on disk before the first of it is used, so that after a kill the next run begins
behind it: numbers may skip, and never repeat.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rosey_core.errors import RoseyError

BLOCK = 100_000
RETRY = 1_000


class Sequence:
    """Numbers from a file.

    Args:
        path: the file; it holds the first number that is not reserved, in decimal.

    Attributes:
        fault: why the last block could not be reserved, empty when it could. Numbers go on all the same: chat is
            worth more than that a kill in this state may repeat some.

    Raises:
        RoseyError: when the file can't be read or written at the start, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.fault = ""
        self._path = path
        self._next = self._read()
        self._reserve(self._next + BLOCK)

    def _read(self) -> int:
        try:
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            return 1
        except (OSError, UnicodeDecodeError) as error:
            raise RoseyError(f"{self._path} can't be read: {error}") from error
        with contextlib.suppress(ValueError):
            return int(text)
        raise RoseyError(
            f"{self._path} should hold a number and holds something else. Write a number into it that is above "
            f"every event number of that channel, or remove it to begin at 1 again."
        )

    def take(self) -> int:
        """The next number."""
        number = self._next
        if number >= self._reserved:
            self._extend(number)
        self._next = number + 1
        return number

    def _extend(self, number: int) -> None:
        try:
            self._reserve(number + BLOCK)
            self.fault = ""
        except RoseyError as error:
            self.fault = str(error)
            self._reserved = number + RETRY

    def _reserve(self, until: int) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_name(f"{self._path.name}.new")
            with temporary.open("w", encoding="ascii") as file:
                file.write(str(until))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as error:
            raise RoseyError(f"{self._path} can't be written: {error}") from error
        self._reserved = until
