"""Hides a module that a library would import only because it is installed, and that costs a daemon dearly."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def hidden(module: str) -> Iterator[None]:
    """Make a module look as if it were not installed, unless somebody has imported it already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # Python's documented way to say: not to be found
    try:
        yield
    finally:
        del sys.modules[module]
