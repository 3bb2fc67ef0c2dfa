"""Hooks: one for each event type, and an error for each mistake that can be made with one."""

from __future__ import annotations

from typing import Any

import pytest

from rosey_core.errors import ManifestError
from rosey_core.events import EVENT_TYPES
from rosey_core.host.hookspecs import EVENT_HOOKS, HOOK_NAMES, Hears, examine, hook_name, hookimpl


def test_one_vocabulary() -> None:
    """Event type `user.joined` is the hook `on_user_joined`; every type has one, and no two share one."""
    assert hook_name("user.joined") == "on_user_joined"
    assert hook_name("raw.somethingNew") == "on_raw"
    assert set(EVENT_HOOKS.values()) == set(EVENT_TYPES)
    assert set(EVENT_HOOKS) | {"on_events", "on_raw", "start", "stop", "forget", "export", "judge"} == HOOK_NAMES


class Good:
    """Names only the arguments it wants, in any order."""

    @hookimpl
    def on_chat_message(self, event: Any, ctx: Any) -> None:
        """Both."""

    @hookimpl(history=True, own=True)
    async def on_user_joined(self) -> None:
        """None."""

    @hookimpl
    def start(self, ctx: Any) -> None:
        """One."""

    def helper(self, whatever: Any) -> None:
        """No hook, and no business of the host's."""


def test_examine() -> None:
    """The hooks of a class and of an instance, with arguments and what they hear."""
    for plugin in (Good, Good()):
        hooks = examine(plugin)
        assert set(hooks) == {"on_chat_message", "on_user_joined", "start"}
        assert set(hooks["on_chat_message"].argnames) == {"ctx", "event"}
        assert hooks["on_chat_message"].hears == Hears()
        assert hooks["on_user_joined"].argnames == ()
        assert hooks["on_user_joined"].hears == Hears(history=True, own=True)
        assert examine(plugin).keys() == hooks.keys()  # nothing of the first time is left


def of(name: str, *, marked: bool = True, arguments: str = "self, ctx, event") -> type:
    """A class with one method."""
    names: dict[str, Any] = {}
    exec(f"def {name}({arguments}): pass", names)  # noqa: S102  a method of any name and arguments
    return type("Plugin", (), {name: hookimpl(names[name]) if marked else names[name]})


@pytest.mark.parametrize(
    ("plugin", "told"),
    (
        (of("on_chat_mesage"), r"Plugin\.on_chat_mesage is no hook; did you mean on_chat_message\?"),
        (of("dance"), r"Plugin\.dance is no hook$"),
        (of("on_chat_message", marked=False), r"has the name of a hook but no @hookimpl"),
        (of("on_chat_mesage", marked=False), r"has the name of a hook but no @hookimpl"),
        (of("on_chat_message", arguments="self, ctx, evnt"), r"evnt"),
    ),
)
def test_mistakes(plugin: type, told: str) -> None:
    """A misspelt, unmarked or wrongly called hook is an error that names it."""
    with pytest.raises(ManifestError, match=told):
        examine(plugin)
