"""The plugin `echo`."""

from __future__ import annotations

from typing import Any, cast

import pytest

from rosey_core.api import CommandCall, Context, Metadata, NormalizedEvent
from rosey_core.api import events as ev
from rosey_plugins.echo import Echo, EchoSettings


class Place:
    """As much of a context as the plugin uses."""

    prefix = "!"

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Note it."""
        self.said.append(text)


def line(text: str) -> NormalizedEvent:
    """A chat line."""
    return NormalizedEvent("chat.message", "cytube", ev.ChatMessage("bob", text, text), 1.0, Metadata(), "x", "c", 1)


@pytest.mark.parametrize(("typed", "answer"), (("hello  there", "hello  there"), ("", "Say what?")))
async def test_the_command(typed: str, answer: str) -> None:
    """It says back what it is given, blanks and all."""
    call = CommandCall("bob", 0, "echo", tuple(typed.split()), typed, "cytube", line(f"!echo {typed}"))
    assert await Echo(EchoSettings()).echo(cast("Context", Place()), call) == answer


@pytest.mark.parametrize(("automatic", "said"), ((True, ["hello"]), (False, [])))
async def test_the_automatic_mode(automatic: bool, said: list[str]) -> None:
    """Every line that is no command, and only in that mode."""
    place: Any = Place()
    echo = Echo(EchoSettings(automatic=automatic))
    for text in ("hello", "!help", "!echo me"):
        await echo.on_chat_message(place, line(text))
    assert place.said == said
