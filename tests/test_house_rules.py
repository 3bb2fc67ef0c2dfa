"""The floors of the house, held by a walk over its imports.

A file imports its own floor and lower ones, without cycles; the rooms of one floor do not know each other; the pure
part has no loop, no files, no clock and no log; plugins stand on `api` alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rosey_core
from rosey_core import subjects

ROOT = Path(rosey_core.__file__).parent
PLUGINS = ROOT.parent / "rosey_plugins"

FLOORS = (
    {"rosey_core", "errors", "subjects", "redact", "hidden", "threads"},
    {"events", "media", "grants", "receipt", "charge", "clock", "envelope", "actions", "manifest"}
    | {"config", "settings", "journal", "log", "difference", "cause"},
    {"channel", "cytube", "bus", "storage", "service", "sequence", "control", "eventlog"},
    {"host"},
    {"pipeline", "requests", "site", "preflight", "logins", "reload", "verbs", "once", "letters", "privacy", "api"},
    {"daemon"},
    {"testing"},
    {"cli", "__main__"},
)
ROOMS = FLOORS[2]
PURE = (
    *(
        "errors",
        "events",
        "envelope",
        "actions",
        "grants",
        "subjects",
        "manifest",
        "media",
        "receipt",
        "redact",
        "charge",
        "cause",
    ),
    *("channel/*", "cytube/wire", "cytube/protocol", "cytube/translate", "cytube/memory", "cytube/convert"),
    *("cytube/text", "cytube/addresses", "cytube/lines", "cytube/outgoing", "cytube/spoken", "cytube/upkeep"),
    *("cytube/rule", "cytube/ending", "bus/access", "bus/conf", "bus/jetstream"),
    *("storage/items", "eventlog/kept", "eventlog/history", "eventlog/privacy"),
)
IMPURE = {"asyncio", "threading", "socket", "os", "io", "time", "datetime", "random", "subprocess", "logging"}
# A receipt is awaited, so it holds a future, and a call its task; nothing in them does anything by itself.
ALLOWED = {"receipt": {"asyncio"}, "charge": {"asyncio"}}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the core: its dotted name without the package, and its file."""
    for path in sorted(ROOT.rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def imports(path: Path, *, types: bool = True) -> Iterator[str]:
    """What a file imports, inside functions too, as dotted names; `from a import b` gives `a.b`.

    Without `types`, what only type checkers import is left out.
    """
    tree = ast.parse(path.read_text())
    skipped = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skipped |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in skipped and not types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(path: Path, *, types: bool = True) -> Iterator[str]:
    """The modules of the core that a file imports, as dotted names without the package."""
    known = {name for name, _ in modules()}
    for name in imports(path, types=types):
        if not name.startswith("rosey_core."):
            continue
        parts = name.removeprefix("rosey_core.").split(".")
        while parts and ".".join(parts) not in known and ".".join([*parts, "__init__"]) not in known:
            parts.pop()
        yield ".".join(parts) or "__init__"


def room(module: str) -> str:
    """The first part of a module's name: the room it is in."""
    first = module.partition(".")[0]
    return "rosey_core" if first == "__init__" else first


def floor(module: str) -> int:
    """The floor a module is on."""
    for number, rooms in enumerate(FLOORS):
        if room(module) in rooms:
            return number
    raise AssertionError(f"{module} is on no floor: give it one in this test")


@pytest.mark.parametrize(("module", "path"), tuple(modules()), ids=[name for name, _ in modules()])
def test_floors(module: str, path: Path) -> None:
    """A file imports its own floor and lower ones, and no other room of the third floor."""
    for other in own(path):
        assert floor(other) <= floor(module), f"{module} imports {other}, which is on a higher floor"
        if room(module) in ROOMS and room(other) in ROOMS:
            assert room(module) == room(other), f"{module} imports {other}: rooms of one floor do not know each other"


def test_no_cycles() -> None:
    """No module is imported, over others, by what it imports itself; a type may be known on both sides."""
    graph = {name: {other for other in own(path, types=False) if other != name} for name, path in modules()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a cycle: {' -> '.join((*way[way.index(name) :], name))}"
        if name in done:
            return
        for other in graph.get(name, ()):
            visit(other, (*way, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("pattern", PURE)
def test_the_pure_part(pattern: str) -> None:
    """No loop, no files, no clock, no log."""
    paths = sorted(ROOT.glob(f"{pattern}.py"))
    assert paths, f"{pattern} names nothing"
    for path in paths:
        for name in imports(path):
            top = name.partition(".")[0]
            assert top not in IMPURE - ALLOWED.get(path.stem, set()), f"{path.name} imports {name}"


def test_subjects_are_spelt_in_one_file() -> None:
    """No other file, of the core or of a plugin, has a text that begins like a subject; docstrings may."""
    start = subjects.PLATFORM.partition(".")[0] + "."
    for path in (*(path for _, path in modules()), *PLUGINS.rglob("*.py")):
        if path.name == "subjects.py" and path.parent == ROOT:
            continue
        tree = ast.parse(path.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                spelt = node.value.startswith(start) and node.value not in FILES
                assert not spelt, f"{path}:{node.lineno} spells {node.value!r}"


FILES = frozenset(("rosey.toml", "rosey.toml.example", "rosey.log"))
"""Names of files, which only look like subjects."""


def test_plugins_stand_on_api_alone() -> None:
    """What is bundled imports of rosey what any plugin may.

    A verb of a plugin's own, in its `cli.py`, takes the options and has the exit codes of all other verbs.
    """
    paths = sorted(PLUGINS.rglob("*.py"))
    assert len(paths) > 2
    for path in paths:
        verbs = ("rosey_core.cli.options.", "rosey_core.errors.") if path.name == "cli.py" else ()
        known = ("rosey_core.api.", "rosey_plugins.", *verbs)
        for name in imports(path, types=path.name != "cli.py"):
            if name.startswith("rosey_"):
                assert name.startswith(known), f"{path.name} imports {name}"


def test_long_files() -> None:
    """A file has one idea, so it is not long; tables of types are the exception."""
    tables = {"actions", "events", "cytube.protocol"}
    for name, path in modules():
        lines = len(path.read_text().splitlines())
        assert lines <= 370 or name in tables, f"{name} has {lines} lines: which two ideas are in it?"
