"""What a plugin is given: what it may not do is refused there, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from rosey_core import log
from rosey_core.actions import Action
from rosey_core.cause import Cause
from rosey_core.channel.channel import Channel
from rosey_core.clock import wall
from rosey_core.config import Secret
from rosey_core.errors import PluginError, Unavailable
from rosey_core.host.context import Context
from rosey_core.host.home import Counts
from rosey_core.host.ownership import Owner
from rosey_core.manifest import Settings
from rosey_core.receipt import Receipt
from rosey_core.storage.items import Operation


class Nothing:
    """A channel and a host that are never reached."""

    name = "cytube"
    prefix = "!"
    seen = 0
    state = Channel()
    clock = staticmethod(wall)

    def act(self, action: Action, *, plugin: str, reply: bool, cause: Cause | None = None) -> Receipt:
        """It was reached."""
        raise AssertionError(action)

    async def query(self, plugin: str, name: str, channel: str, args: dict[str, Any]) -> Any:
        """It was reached."""
        raise AssertionError(name)

    def publish(self, plugin: str, name: str, data: Any) -> None:
        """It was reached."""
        raise AssertionError(name)

    def secret(self, secret: Secret) -> str:
        """It was reached."""
        raise AssertionError(secret)

    async def store(self, plugin: str, operation: Operation) -> msgspec.Raw:
        """It was reached."""
        raise AssertionError(operation)


def view(around: Nothing, grant: str, *, counts: Counts) -> Context:
    """The view of the plugin dice, which has one grant."""
    return Context(
        port=around,
        host=around,
        plugin="dice",
        grants=frozenset((grant,)),
        settings=Settings(),
        directory=Path("unused"),
        log=log.get("test"),
        owner=Owner("dice", lambda *_: None),
        counts=counts,
    )


async def test_what_was_not_granted_is_counted() -> None:
    """An action gets a receipt that says so, a query an exception; both stand on the plugin's record."""
    counts = Counts()
    ctx = view(Nothing(), "chat.read", counts=counts)
    outcome = await ctx.say("hello").outcome()
    assert (outcome.state, outcome.reason) == ("refused", "dice was not granted chat.send")
    assert (counts.refused, counts.last_error) == (1, "dice was not granted chat.send")
    with pytest.raises(PluginError, match="dice was not granted query:other"):
        await ctx.query("other", "q")
    assert (counts.refused, counts.last_error) == (2, "dice was not granted query:other")
    with pytest.raises(PluginError, match='add "store" to the asks of its manifest'):
        _ = ctx.store
    assert (counts.refused, counts.last_error) == (3, "dice was not granted store")


async def test_a_query_may_have_a_fallback() -> None:
    """Where the other plugin does not answer, that is what comes back; other faults stay faults."""

    class Away(Nothing):
        async def query(self, plugin: str, name: str, channel: str, args: dict[str, Any]) -> Any:
            raise (Unavailable if name == "late" else PluginError)(f"{plugin} {args}")

    ctx = view(Away(), "query:other", counts=Counts())
    assert await ctx.query("other", "late", fallback=7, name="x", plugin="y") == 7
    assert await ctx.query("other", "late", fallback=None) is None
    with pytest.raises(Unavailable, match="other"):
        await ctx.query("other", "late", name="x")
    with pytest.raises(PluginError, match="other"):
        await ctx.query("other", "broken", fallback=7)
