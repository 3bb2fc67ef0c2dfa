"""Plugins that are wrong in ways that are found before they run."""

from __future__ import annotations

from typing import Any

from rosey_core.api import Manifest, hookimpl


class Misspelt:
    """A hook with a wrong letter."""

    manifest = Manifest(name="misspelt", summary="Misspelt.")

    @hookimpl
    def on_chat_mesage(self, event: Any) -> None:
        """No such hook."""


class Unmarked:
    """A hook without its mark."""

    manifest = Manifest(name="unmarked", summary="Unmarked.")

    def on_chat_message(self, event: Any) -> None:
        """Never called, if nobody tells."""


class WrongArgument:
    """A hook that wants something that nobody has."""

    manifest = Manifest(name="wrongarg", summary="Wants too much.")

    @hookimpl
    def on_chat_message(self, event: Any, password: str) -> None:
        """Wants too much."""


class NoManifest:
    """Says nothing of itself."""


class WrongName:
    """Says another name than its entry point."""

    manifest = Manifest(name="othername", summary="Another.")


class WrongGrant:
    """Asks for what does not exist."""

    manifest = Manifest(name="wronggrant", summary="Asks too much.", asks=("chat.raed",))
