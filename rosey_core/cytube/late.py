"""Lines that were given up, and the answers that may still come for them.

CyTube answers lines in their order and does not say which line it means; the room's filters may change an echo
beyond recognition. So while an answer is outstanding, what may be it is not taken for the line that is under way:
its receipt then says `unknown` rather than a false `done`, and it is not sent a second time. Pure: times are fed in.
"""

from __future__ import annotations

from collections import deque

PATIENCE = 10.0
"""Seconds after which the answer to a line that was given up is no longer expected."""


class Late:
    """The lines of one connection that were given up, oldest first."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: deque[tuple[str, float]] = deque(maxlen=8)

    def __bool__(self) -> bool:
        """Whether there may be any."""
        return bool(self._lines)

    def add(self, text: str, now: float) -> None:
        """A line of that text was given up."""
        self._lines.append((text, now))

    def clear(self) -> None:
        """Nothing is expected any more."""
        self._lines.clear()

    def takes(self, echo: str, current: str | None, now: float) -> bool:
        """Whether an echo belongs, or may belong, to one of these and not to the line under way.

        Args:
            echo: the text that came.
            current: what the line under way says; `None` when there is none, or none that CyTube repeats.
            now: the time.
        """
        self._forget(now)
        if any(text == echo for text, _ in self._lines):
            while self._lines.popleft()[0] != echo:
                pass
            return True
        if echo == current:
            self._lines.clear()  # the answers to all before it have passed
            return False
        return self.takes_any(now)

    def takes_any(self, now: float) -> bool:
        """Whether an answer that does not say to what may belong to one of these; it is the oldest's then."""
        self._forget(now)
        if not self._lines:
            return False
        self._lines.popleft()
        return True

    def _forget(self, now: float) -> None:
        while self._lines and self._lines[0][1] < now - PATIENCE:
            self._lines.popleft()
