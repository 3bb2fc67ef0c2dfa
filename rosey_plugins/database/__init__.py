"""database: who was in the room, what was said and what played, in one SQLite file, and questions about it."""

from rosey_plugins.database.plugin import Database

__all__ = ["Database"]
