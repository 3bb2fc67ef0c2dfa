"""echo: `!echo TEXT` says it back; in the automatic mode, every other line too."""

from __future__ import annotations

from rosey_core.api import CommandCall, Context, Manifest, NormalizedEvent, Settings, command, hookimpl


class EchoSettings(Settings):
    """`automatic`: say every line back that is no command, not only what `!echo` is given."""

    automatic: bool = False


class Echo:
    """Says back what it is told."""

    manifest = Manifest(
        name="echo",
        summary="!echo TEXT says it back.",
        settings=EchoSettings,
        asks=("chat.read", "chat.send"),
    )

    def __init__(self, settings: EchoSettings) -> None:
        self._automatic = settings.automatic

    @command("echo", usage="TEXT")
    async def echo(self, ctx: Context, call: CommandCall) -> str:  # noqa: ARG002  every command is given both
        """Says TEXT back."""
        return call.rest or "Say what?"

    @hookimpl
    async def on_chat_message(self, ctx: Context, event: NormalizedEvent) -> None:
        """Say a line back, in the automatic mode."""
        if self._automatic and not event.data.text.startswith(ctx.prefix):
            ctx.say(event.data.text)
