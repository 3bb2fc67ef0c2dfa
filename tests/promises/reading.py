"""What the tests of the promises read: the bot's lines, and the states of its plugins."""

from __future__ import annotations

from typing import Any

from rosey_core.testing.viewer import Viewer


async def said(viewer: Viewer) -> str:
    """The bot's next line."""
    return await viewer.expect_line(lambda name, _: name == "Rosey")


def states(status: dict[str, Any]) -> dict[str, str]:
    """Each plugin's state."""
    return {row["name"]: row["state"] for row in status["plugins"]}
