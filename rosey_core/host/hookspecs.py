"""Every hook a plugin may have, and the mark that makes a method one.

pluggy is the registry: it checks names and arguments. Calling is `dispatch`'s: plain pluggy stops at the first
exception and can't await.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec
import pluggy

from rosey_core.errors import ManifestError
from rosey_core.events import EVENT_TYPES

F = TypeVar("F", bound=Callable[..., Any])

PROJECT = "rosey"
HEARS = "_rosey_hears"

_spec = pluggy.HookspecMarker(PROJECT)
_impl = pluggy.HookimplMarker(PROJECT)


class Hears(msgspec.Struct, frozen=True):
    """Which lines a hook hears beside live ones of other people, who are not shadow-muted and were not stopped."""

    history: bool = False
    stopped: bool = False
    own: bool = False
    server: bool = False
    shadow: bool = False


LIVE = Hears()


@overload
def hookimpl(method: F) -> F: ...
@overload
def hookimpl(
    *, history: bool = ..., stopped: bool = ..., own: bool = ..., server: bool = ..., shadow: bool = ...
) -> Callable[[F], F]: ...
def hookimpl(
    method: F | None = None,
    *,
    history: bool = False,
    stopped: bool = False,
    own: bool = False,
    server: bool = False,
    shadow: bool = False,
) -> F | Callable[[F], F]:
    """Make a method a hook.

    A hook hears live lines of other people. What widens that:

    Args:
        method: the method, where the mark stands without brackets.
        history: lines that CyTube repeats at a join.
        stopped: lines that a judge stopped.
        own: the bot's own lines.
        server: lines that come from the server, not from a user.
        shadow: lines of shadow-muted users, which others do not see.
    """
    hears = Hears(history, stopped, own, server, shadow)

    def mark(function: F) -> F:
        setattr(function, HEARS, hears)
        return _impl(function)

    return mark(method) if method is not None else mark


class _Specs:
    """The hooks that belong to no event type."""

    @_spec
    def start(self, ctx):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  pluggy reads the names only
        """Get ready. May raise `NotReady("why", retry=30)`."""

    @_spec
    def stop(self, ctx):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  the same
        """Clean up. When the daemon stops, about a second is left for it."""

    @_spec
    def forget(self, ctx, user):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  the same
        """Delete what is kept about a user."""

    @_spec
    def export(self, ctx, user):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  the same
        """Tell what is kept about a user, as msgspec can encode it."""

    @_spec
    def judge(self, ctx, event):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  the same
        """Say of a live chat line what plugins may do with it: a `Verdict`, or `None` for no opinion."""

    @_spec
    def on_events(self, ctx, events):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  the same
        """Hear every event that the plugin may read, as a list, in order; for those who work in groups."""

    @_spec
    def on_raw(self, ctx, event):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  the same
        """Hear a CyTube event that has no type here."""


def hook_name(event_type: str) -> str:
    """The hook of an event type: `on_user_joined` for `user.joined`, `on_raw` for all of `raw.*`."""
    return "on_raw" if event_type.startswith("raw.") else "on_" + event_type.replace(".", "_")


EVENT_HOOKS = {hook_name(event_type): event_type for event_type in EVENT_TYPES}
"""Hook name to event type."""


def _event_spec(name: str, summary: str) -> Callable[..., None]:
    def spec(self, ctx, event):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001  the same
        return None

    spec.__name__, spec.__qualname__, spec.__doc__ = name, f"Specs.{name}", summary
    return _spec(spec)


Specs = type(
    "Specs",
    (_Specs,),
    {hook: _event_spec(hook, EVENT_TYPES[kind].__doc__ or "") for hook, kind in EVENT_HOOKS.items()},
)
"""All hooks, as pluggy reads them."""

HOOK_NAMES = frozenset(name for name in dir(Specs) if not name.startswith("_"))


class Hook(msgspec.Struct, frozen=True):
    """A plugin's own implementation of a hook: which arguments it wants, and which lines it hears."""

    name: str
    function: Callable[..., Any]
    argnames: tuple[str, ...]
    hears: Hears

    def invoker(self) -> Callable[[Any, Any], Any]:
        """A call with `ctx` and what the hook is about, which passes on just what the plugin named."""
        function = self.function
        match self.argnames:
            case ():
                return lambda _, __: function()
            case ("ctx",):
                return lambda ctx, _: function(ctx)
            case (_,):
                return lambda _, subject: function(subject)
            case ("ctx", _):
                return function
            case _:
                return lambda ctx, subject: function(subject, ctx)


_manager = pluggy.PluginManager(PROJECT)
_manager.add_hookspecs(Specs)


def examine(plugin: object) -> dict[str, Hook]:
    """The hooks of a plugin's class or instance, checked.

    Raises:
        ManifestError: for an unknown hook (with the nearest name), an unknown argument, or a method that has a
            hook's name and no `@hookimpl`.
    """
    _check_marks(plugin)
    try:
        _manager.register(plugin)
    except pluggy.PluginValidationError as error:
        if _manager.is_registered(plugin):
            _manager.unregister(plugin)
        raise ManifestError(str(error).strip().rpartition("\n")[2]) from error
    try:
        return {
            caller.name: Hook(caller.name, impl.function, tuple(impl.argnames), getattr(impl.function, HEARS, LIVE))
            for caller in _manager.get_hookcallers(plugin) or ()
            for impl in caller.get_hookimpls()
            if impl.plugin is plugin
        }
    finally:
        _manager.unregister(plugin)


def _check_marks(plugin: object) -> None:
    cls = plugin if isinstance(plugin, type) else type(plugin)
    for name in dir(cls):
        function = getattr(cls, name, None)
        if name.startswith("_") or not callable(function):
            continue
        marked = hasattr(function, HEARS)
        if marked and name not in HOOK_NAMES:
            near = difflib.get_close_matches(name, HOOK_NAMES, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ManifestError(f"{cls.__name__}.{name} is no hook{hint}")
        if not marked and (name in HOOK_NAMES or name.startswith("on_")):
            raise ManifestError(
                f"{cls.__name__}.{name} has the name of a hook but no @hookimpl; add it, or rename the method"
            )
