"""What verbs know of the plugins that are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rosey_core.errors import RoseyError

if TYPE_CHECKING:
    from rosey_core.config import Loaded
    from rosey_core.host.registry import Known


def known_or_refused(known: dict[str, Known], name: str) -> Known:
    """A plugin by its name. Raises `RoseyError`, with the nearest name, if there is none."""
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise RoseyError(f"there is no plugin {name}; {hint}")
    return known[name]


def survey_now(loaded: Loaded) -> dict[str, Known]:
    """What is known of every plugin. Findings are cached only where the state directory is there already."""
    import asyncio
    import os

    from rosey_core.host.registry import survey

    there = os.path.isdir(loaded.state)  # noqa: PTH112  pathlib's raises where a directory may not be looked into
    return asyncio.run(survey(loaded.config, loaded.state / "manifests" if there else None))
