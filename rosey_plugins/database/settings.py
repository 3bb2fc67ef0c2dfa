"""The settings of the plugin, and which table each of them trims."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from rosey_core.api import Settings

Days = Annotated[float, Meta(ge=0, le=36500)]


class DatabaseSettings(Settings):
    """`private_messages`: keep them too. `keep_*`: for how many days what is kept stays; 0 is for ever.

    Each may differ from channel to channel.
    """

    private_messages: bool = False
    keep_chat: Days = 0
    keep_private_messages: Days = 0
    keep_media: Days = 0
    keep_sessions: Days = 0
    keep_user_counts: Days = 0
    keep_high_water: Days = 0
    keep_status: Days = 30


TRIMMED = {
    "chat": "keep_chat",
    "pms": "keep_private_messages",
    "media": "keep_media",
    "sessions": "keep_sessions",
    "counts": "keep_user_counts",
    "high_water": "keep_high_water",
    "status": "keep_status",
}
"""Each table that grows, and the setting that bounds it."""
