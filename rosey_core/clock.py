"""The time of day, passed in wherever it is needed so that tests can set it.

Durations are the event loop's business (`loop.time()`), which the test kit's loop makes virtual as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable

WallClock = Callable[[], float]
"""Tells the time as UTC seconds."""

wall: WallClock = time.time
