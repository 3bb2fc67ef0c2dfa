"""The numbers of one channel's events: they only grow, also over restarts and kills.

A block of numbers is reserved on disk before the first of it is used, so that after a kill the next run begins
behind it: numbers may skip, and never repeat.
"""

from __future__ import annotations

import os
from pathlib import Path

from rosey_core.errors import ConfigError, RoseyError

BLOCK = 100_000
RETRY = 1_000


def reserved(path: Path) -> int:
    """The first number that a file does not reserve; 1 where there is none.

    Raises:
        ConfigError: when it can't be read, or holds something else.
    """
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        return 1
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    if text.isdecimal() and len(text) < 19:
        return int(text)
    raise ConfigError(
        f"{path} should hold a number and holds something else. Write a number into it that is above every event "
        f"number of that channel, or remove it to begin at 1 again."
    )


class Sequence:
    """Numbers from a file.

    Args:
        path: the file; it holds the first number that is not reserved, in decimal.
        above: the last number that is known to be used, whatever the file says.

    Attributes:
        fault: why the last block could not be reserved, empty when it could. Numbers go on all the same: chat is
            worth more than that a kill in this state may repeat some.

    Raises:
        ConfigError: when the file can't be read at the start, or holds something else.
        RoseyError: when it can't be written at the start: the disk may have room again at the next.
    """

    def __init__(self, path: Path, *, above: int = 0) -> None:
        self.fault = ""
        self._path = path
        self._next = max(reserved(path), above + 1)
        self._reserve(self._next + BLOCK)

    @property
    def last(self) -> int:
        """The last number that was taken."""
        return self._next - 1

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
