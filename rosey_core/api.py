"""The one module that a plugin imports.

Everything here is public and stays; everything elsewhere may change. A plugin is a class with a `manifest`:

    class Hello:
        manifest = Manifest(name="hello", summary="Says hello.", asks=("chat.read", "chat.send"))

        def __init__(self, settings: Settings) -> None: ...

        @command("hello")
        async def hello(self, ctx: Context, call: CommandCall) -> str:
            return f"Hello, {call.user}!"
"""

from rosey_core import actions, events, media
from rosey_core.actions import Action, Outcome
from rosey_core.channel.channel import Channel
from rosey_core.config import Secret
from rosey_core.envelope import Metadata, NormalizedEvent, Verdict
from rosey_core.errors import NotReady, PluginError, RoseyError, Unavailable
from rosey_core.eventlog.privacy import mentions
from rosey_core.host.commands import CommandCall
from rosey_core.host.context import Context
from rosey_core.host.hookspecs import hookimpl
from rosey_core.host.store import Store
from rosey_core.manifest import Manifest, Settings, command, query
from rosey_core.receipt import Receipt

__all__ = [
    "Action",
    "Channel",
    "CommandCall",
    "Context",
    "Manifest",
    "Metadata",
    "NormalizedEvent",
    "NotReady",
    "Outcome",
    "PluginError",
    "Receipt",
    "RoseyError",
    "Secret",
    "Settings",
    "Store",
    "Unavailable",
    "Verdict",
    "actions",
    "command",
    "events",
    "hookimpl",
    "media",
    "mentions",
    "query",
]
