"""Pages of a list that is ordered by time: a cursor is the place between two rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from rosey_core.api import PluginError

MOST = 500
_CURSOR = re.compile(r"(-?\d{1,20}(?:\.\d{1,20})?(?:e[+-]\d{1,3})?)_(-?\d{1,18})")


class Page(NamedTuple):
    """What part of a list is asked for."""

    limit: int
    before: str = ""
    after: str = ""

    def sql(self, at: str, tie: str) -> tuple[str, list[Any]]:
        """The end of a statement whose WHERE is begun: conditions, order and limit, and their values.

        Args:
            at: the column of the time.
            tie: the column that orders rows of one time.

        Raises:
            PluginError: for a limit or cursor that is none.
        """
        self._check()
        if self.after:
            return f" AND ({at}, {tie}) > (?, ?) ORDER BY {at}, {tie} LIMIT ?", [*place(self.after), self.limit]
        condition = f" AND ({at}, {tie}) < (?, ?)" if self.before else ""
        values = place(self.before) if self.before else ()
        return f"{condition} ORDER BY {at} DESC, {tie} DESC LIMIT ?", [*values, self.limit]

    def sql_by_number(self, number: str) -> tuple[str, list[Any]]:
        """The same for rows whose number orders as the time does: it is the tie of their cursors."""
        self._check()
        if self.after:
            return f" AND {number} > ? ORDER BY {number} LIMIT ?", [place(self.after)[1], self.limit]
        condition = f" AND {number} < ?" if self.before else ""
        values = [place(self.before)[1]] if self.before else []
        return f"{condition} ORDER BY {number} DESC LIMIT ?", [*values, self.limit]

    def _check(self) -> None:
        if not 1 <= self.limit <= MOST:
            raise PluginError(f"limit is 1 to {MOST}, not {self.limit}")
        if self.before and self.after:
            raise PluginError("give before or after, not both")

    def turn(self, rows: Sequence[Any]) -> tuple[list[Any], str, str]:
        """Rows whose first two columns are time and tie, the newest last; and the cursors before and after them."""
        found = list(rows) if self.after else list(rows)[::-1]
        if not found:
            return [], self.before, self.after
        return found, cursor(found[0]), cursor(found[-1])


def cursor(row: Sequence[Any]) -> str:
    """The place of a row, by its first two columns."""
    return f"{row[0]!r}_{row[1]}"


def place(text: str) -> tuple[float, int]:
    """What a cursor says. Raises `PluginError` for what is none."""
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise PluginError(f"{text[:50]!r} is no cursor: hand back what an answer had as before or after")
    return float(found[1]), int(found[2])
