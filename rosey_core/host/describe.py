"""The child that looks at one plugin: imports it, reads its manifest, checks its settings.

`python -m rosey_core.host.describe FD` reads an `Inquiry` from standard input and writes a `Finding` to the
descriptor FD, so that nothing a plugin prints can be mistaken for it. A plugin that crashes, hangs or exits does
so here and not in the daemon.
"""

from __future__ import annotations

import inspect
import os
import re
import resource
import sys
import traceback
from collections.abc import Iterable
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

import msgspec

from rosey_core.errors import ManifestError
from rosey_core.eventlog.kept import KEPT
from rosey_core.grants import ALL_GRANTS, is_grant
from rosey_core.host.hookspecs import EVENT_HOOKS, HOOK_NAMES, examine
from rosey_core.host.queries import arguments_of
from rosey_core.manifest import API, COMMAND, QUERY, CommandSpec, Description, Manifest, Settings, marked
from rosey_core.settings.mismatch import mismatches
from rosey_core.settings.problems import Problem, nearest, refusal
from rosey_core.settings.toml_positions import Path
from rosey_core.subjects import ENTRY_POINTS, PLUGIN_NAME, QUERY_NAME

MOST_WRITTEN = 64 << 20
"""Bytes that the child may write into any one file."""


class Inquiry(msgspec.Struct, frozen=True):
    """What to look at: an entry point, and the settings to check, each with where they stand.

    The first settings are the general ones. `alone`: some channel has those and no others; else they may lack what
    every channel adds, unless the plugin is shared.
    """

    name: str
    value: str
    settings: tuple[tuple[Path, dict[str, Any]], ...] = ()
    alone: bool = True


class Finding(msgspec.Struct, frozen=True):
    """What was seen: a description, or a reason why there is none; and what is wrong with the settings."""

    description: Description | None = None
    reason: str = ""
    faults: tuple[Problem, ...] = ()


def is_file(value: str) -> bool:
    """Whether a plugin is in a file of its own, and in no package."""
    return value.startswith("/")


def load(name: str, value: str) -> type[Any]:
    """Import the class that an entry point names, or that is in a file: `module:Class` or `/where/greet.py`.

    Without a value it is what this interpreter has installed under that name.

    Raises:
        ManifestError: if it is no class with a manifest. Whatever the import raises comes through.
    """
    if is_file(value):
        return _load_file(name, value)
    cls = resolve_name(value or _installed(name))
    if not isinstance(cls, type) or not isinstance(getattr(cls, "manifest", None), Manifest):
        raise ManifestError(f"{value} is no class with `manifest = Manifest(...)`")
    return cls


def _installed(name: str) -> str:
    """The entry point that this interpreter has under that name."""
    from importlib.metadata import entry_points  # noqa: PLC0415  2 MB that only another interpreter's plugins need

    for point in entry_points(group=ENTRY_POINTS, name=name):
        return point.value
    raise ManifestError(f"{sys.executable} has no plugin of that name: install it there")


def _load_file(name: str, path: str) -> type[Any]:
    """The one class with a manifest that a file defines."""
    module = ModuleType(f"rosey_file_{name}")
    module.__file__ = path
    try:
        with open(path, "rb") as file:  # noqa: PTH123  `Path` is another one here
            code = compile(file.read(), path, "exec")
    except SyntaxError as error:
        raise ManifestError(f"{path}:{error.lineno}: {error.msg}") from None
    except OSError as error:
        raise ManifestError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:  # a null byte, until Python 3.12
        raise ManifestError(f"{path}: {error}") from None
    sys.modules[module.__name__] = module  # annotations are looked up there
    exec(code, vars(module))  # noqa: S102  it is what the owner named, and an import would leave files beside it
    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and thing.__module__ == module.__name__
        and isinstance(getattr(thing, "manifest", None), Manifest)
    ]
    if not found:
        raise ManifestError(f"{path} has no class with `manifest = Manifest(...)`")
    if len(found) > 1:
        both = " and ".join(cls.__name__ for cls in found)
        raise ManifestError(f"{path} has the classes {both}; each plugin needs a file of its own")
    return found[0]


class _Written(Description, frozen=True, forbid_unknown_fields=True):
    """A description that somebody wrote, and may have misspelt."""


def read(name: str, path: str) -> Description:
    """The description of a plugin that is no Python, as JSON in a file.

    Raises:
        ManifestError: for whatever in it is wrong, in a sentence.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123  `Path` is another one here
            manifest = msgspec.json.decode(file.read(), type=_Written)
    except OSError as error:
        raise ManifestError(f"{path} can't be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is no description of a plugin: {error}") from None
    for hook in manifest.hooks:
        if hook not in HOOK_NAMES:
            near = nearest(hook, HOOK_NAMES)
            raise ManifestError(f"{path}: {hook} is no hook{f'; did you mean {near}?' if near else ''}")
    _check(name, manifest)
    _check_durable(manifest, manifest.hooks)
    _check_names(manifest.commands, manifest.queries)
    return manifest


def describe(name: str, cls: type[Any]) -> Description:
    """The class seen from outside.

    Raises:
        ManifestError: for whatever in it is wrong, in a sentence.
    """
    manifest: Manifest = cls.manifest
    _check(name, manifest)
    kind: object = manifest.settings
    if not isinstance(kind, type) or not issubclass(kind, Settings):
        raise ManifestError("its settings are no subclass of Settings")
    commands, queries = tuple(marked(cls, COMMAND).values()), tuple(marked(cls, QUERY).values())
    _check_names(commands, queries)
    for method in marked(cls, QUERY):
        arguments_of(getattr(cls, method))
    hooks = tuple(sorted(examine(cls)))
    _check_durable(manifest, hooks)
    _check_constructor(cls)
    return Description(
        name=name,
        summary=manifest.summary,
        api=manifest.api,
        asks=manifest.asks,
        may=manifest.may,
        keeps=manifest.keeps,
        shared=manifest.shared,
        durable=manifest.durable,
        hooks=hooks,
        commands=commands,
        queries=queries,
        schema=msgspec.json.schema(kind),
    )


def _check(name: str, manifest: Manifest | Description) -> None:
    if manifest.name != name:
        raise ManifestError(f"its name is {name} here and {manifest.name} in its manifest; they must agree")
    if not PLUGIN_NAME.fullmatch(name):
        raise ManifestError(f"{name} is no plugin name: a lower-case letter, then up to 29 of a-z 0-9 _ -")
    if manifest.api != API:
        raise ManifestError(f"it was written for plugin interface {manifest.api}; this rosey speaks {API}")
    for ask in (*manifest.asks, *manifest.may):
        if not is_grant(ask):
            near = nearest(ask, ALL_GRANTS)
            raise ManifestError(f"it asks for {ask}, which is no grant{f'; did you mean {near}?' if near else ''}")


def _check_durable(manifest: Manifest | Description, hooks: Iterable[str]) -> None:
    """A durable plugin hears what happened, maybe long ago: there are no states in it, past or present."""
    if not manifest.durable:
        return
    for hook in hooks:
        if hook == "on_raw" or (hook in EVENT_HOOKS and EVENT_HOOKS[hook] not in KEPT):
            raise ManifestError(f"it is durable, and {hook} is about what the event log does not keep")
    if "channel.state" in (*manifest.asks, *manifest.may):
        raise ManifestError("it is durable and asks for channel.state, which is of now and not of its events")


def _check_constructor(cls: type[Any]) -> None:
    try:
        inspect.signature(cls).bind("settings")
    except TypeError:
        raise ManifestError(
            f"{cls.__name__} is made with its settings: give it `def __init__(self, settings)`"
        ) from None
    except ValueError:  # it is made in C, and says nothing
        return


def _check_names(commands: tuple[CommandSpec, ...], queries: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for spec in commands:
        for word in (spec.name, *spec.aliases):
            if not re.fullmatch(r"[^\sA-Z]{1,30}", word):
                raise ManifestError(f"{word!r} is no name for a command: one lower-case word")
            if word in seen:
                raise ManifestError(f"it has the command {word} twice")
            seen.add(word)
    for name in queries:
        if not QUERY_NAME.fullmatch(name):
            raise ManifestError(f"{name!r} is no name for a query: a-z, 0-9 and _")


def check_settings(path: Path, value: dict[str, Any], kind: type[Settings]) -> list[Problem]:
    """Everything that is wrong with settings that stand at `path`."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # What spans several fields, as a plugin's own __post_init__ does, is in msgspec's words alone.
        return list(mismatches(value, kind, path)) or [refusal(path, str(error), value)]
    except Exception as error:
        return [Problem(path, f"{type(error).__name__}: {error}", on_key=True)]
    return []


def look(inquiry: Inquiry) -> Finding:
    """Import, describe, check; every fault becomes a sentence."""
    try:
        if inquiry.value.endswith(".json"):
            # Its settings are its own: it gets them as they are written.
            return Finding(description=read(inquiry.name, inquiry.value))
        cls = load(inquiry.name, inquiry.value)
        description = describe(inquiry.name, cls)
    except ManifestError as error:
        return Finding(reason=str(error))
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
        where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
        return Finding(reason=f"it can't be imported: {type(error).__name__}: {error}{where}")
    kind = cls.manifest.settings
    settings = inquiry.settings if inquiry.alone or cls.manifest.shared else inquiry.settings[1:]
    faults = [fault for path, value in settings for fault in check_settings(path, value, kind)]
    return Finding(description=description, faults=tuple(faults))


def main() -> None:
    """Run as the child."""
    out = int(sys.argv[1])
    # What a plugin prints goes into a file: not without end.
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN, MOST_WRITTEN))
    inquiry = msgspec.json.decode(sys.stdin.buffer.read(), type=Inquiry)
    answer = msgspec.json.encode(look(inquiry))
    with os.fdopen(out, "wb") as pipe:
        pipe.write(answer)
    # Threads that an import started must not keep the child alive.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
