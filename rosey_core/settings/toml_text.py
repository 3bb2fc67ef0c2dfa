"""Writes tables as TOML text, with a comment behind each value if asked. Reading is `tomllib`'s business."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from rosey_core.settings.layers import is_source, quoted
from rosey_core.settings.toml_positions import Path


def lines(table: dict[str, Any], *, comment: Callable[[Path], str] = lambda _: "", path: Path = ()) -> Iterator[str]:
    """The lines of a TOML text, without line ends: values first, then each sub-table under its header.

    Args:
        table: what to write; keys with `None` are left out, as TOML has none.
        comment: what to write behind the value at a path; empty for nothing.
        path: where the table stands.
    """
    tables = []
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict) and not is_source(value):
            tables.append((here, value))
        elif value is not None:
            note = comment(here)
            yield f"{quoted(key)} = {text(value)}{f'  # {note}' if note else ''}"
    for here, value in tables:
        if not value or any(not isinstance(v, dict) or is_source(v) for v in value.values()):
            yield ""
            yield f"[{'.'.join(quoted(str(key)) for key in here)}]"
        yield from lines(value, comment=comment, path=here)


def text(value: Any) -> str:
    """One value as TOML. Raises `TypeError` for what TOML can't hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, dict):
        inside = ", ".join(f"{quoted(key)} = {text(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError(f"TOML has no {type(value).__name__}")
