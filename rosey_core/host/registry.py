"""Finds plugins by their entry points and learns about each in a child process, with a cache on disk.

It owns what is known about plugins before they run: installed or not, described or why not, settings right or
wrong, grants given or missing. It runs none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import hashlib
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import msgspec

from rosey_core.config import Config, PluginConfig
from rosey_core.host.describe import Finding, Inquiry, is_file
from rosey_core.manifest import Description
from rosey_core.settings.layers import merge
from rosey_core.settings.toml_positions import Path as Keys
from rosey_core.subjects import ENTRY_POINTS

SECONDS = 30.0
LAST_WORDS = 4096
_AT_ONCE = asyncio.Semaphore(8)
"""Children at a time: many more on a small machine would time each other out."""
BUNDLE = "rosey-bot"
"""The package whose plugins run inside by default."""
FORMAT = 3


class Known(msgspec.Struct, frozen=True):
    """What is known of one plugin.

    `state` is `ready`, `disabled`, `missing` (enabled, and not installed), `broken` (with its reason) or `held`
    (grants are missing, with the line to add).
    """

    name: str
    state: str
    reason: str = ""
    package: str = ""
    version: str = ""
    value: str = ""
    run: str = "inside"
    finding: Finding = Finding()

    @property
    def description(self) -> Description | None:
        """What the plugin says of itself, where it could be read."""
        return self.finding.description


class _Cached(msgspec.Struct, frozen=True):
    key: str
    finding: Finding


def offered(config: Config) -> dict[str, EntryPoint]:
    """Every plugin there is, by name: those installed, and those that the configuration names a file for."""
    # Which plugins another interpreter has, only that one knows.
    elsewhere = {name: "" for name, plugin in config.plugins.items() if plugin.python}
    files = {name: str(Path(plugin.path).absolute()) for name, plugin in config.plugins.items() if plugin.path}
    return installed() | {name: EntryPoint(name, value, ENTRY_POINTS) for name, value in (elsewhere | files).items()}


def installed() -> dict[str, EntryPoint]:
    """Every plugin that is installed, by name. Nothing is imported."""
    return {point.name: point for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda p: p.name)}


def settings_of(plugin: PluginConfig, channel: str) -> dict[str, Any]:
    """A plugin's settings in one channel, not yet typed."""
    own = plugin.channels.get(channel)
    return merge(plugin.settings, own.settings) if own else dict(plugin.settings)


def enabled_in(plugin: PluginConfig, channel: str) -> bool:
    """Whether a plugin is switched on in a channel."""
    own = plugin.channels.get(channel)
    return plugin.enabled if own is None or own.enabled is None else own.enabled


def runs(config: Config, name: str, point: EntryPoint | None) -> str:
    """Where a plugin runs: `inside`, `process` or `unit`."""
    chosen = config.plugins[name].run if name in config.plugins else ""
    bundled = point is not None and point.dist is not None and point.dist.name == BUNDLE
    return chosen or ("inside" if bundled else "process")


def is_enabled(config: Config, name: str) -> bool:
    """Whether a plugin is switched on in any channel."""
    plugin = config.plugins.get(name)
    return plugin is not None and any(enabled_in(plugin, channel) for channel in config.channels)


def _inquiry(config: Config, point: EntryPoint) -> Inquiry:
    plugin = config.plugins.get(point.name, PluginConfig())
    # The general settings are checked first, so that a fault in them is told where it stands.
    path: Keys = ("plugins", point.name)
    checks: list[tuple[Keys, dict[str, Any]]] = [((*path, "settings"), dict(plugin.settings))]
    for channel, own in plugin.channels.items():
        if own.settings:
            checks.append(((*path, "channels", channel, "settings"), settings_of(plugin, channel)))
    here = [name for name in config.channels if enabled_in(plugin, name)]
    alone = not here or any(name not in plugin.channels or not plugin.channels[name].settings for name in here)
    return Inquiry(point.name, point.value, tuple(checks), alone)


def _key(point: EntryPoint, inquiry: Inquiry) -> str:
    """Changes whenever the plugin's code, its settings or this interpreter does."""
    digest = hashlib.sha256(repr((FORMAT, sys.version, sys.path)).encode())
    digest.update(msgspec.json.encode(inquiry))
    if point.dist is not None:
        digest.update(f"{point.dist.name} {point.dist.version}".encode())
    for code in [Path(point.value)] if is_file(point.value) else _code(point.module.partition(".")[0]):
        with contextlib.suppress(OSError):
            stat = code.stat()
            digest.update(f"{code} {stat.st_mtime_ns} {stat.st_size}".encode())
    return digest.hexdigest()


def _code(top: str) -> list[Path]:
    """The files of a top-level module, wherever this interpreter finds it; it is not imported for that."""
    try:
        spec = importlib.util.find_spec(top)
    except Exception:  # a finder of some package may raise anything; the child will tell
        return []
    if spec is None:
        return []
    inside = [path for place in spec.submodule_search_locations or () for path in sorted(Path(place).rglob("*.py"))]
    return inside if spec.origin is None else [Path(spec.origin), *inside]


def environment(python: str) -> dict[str, str]:
    """The variables of a plugin's process: where another interpreter is to find modules is its own business."""
    return {key: value for key, value in os.environ.items() if not (python and key in {"PYTHONPATH", "PYTHONHOME"})}


async def _ask_child(inquiry: Inquiry, python: str = "") -> Finding:
    """Run the child that looks at one plugin, and end whatever it left running."""
    # Files and no pipes: nobody has to read along, and what the plugin starts can't keep them open.
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as errors:
        asked.write(msgspec.json.encode(inquiry))
        asked.flush()
        asked.seek(0)
        try:
            async with _AT_ONCE:
                child = await asyncio.create_subprocess_exec(
                    python or sys.executable,
                    "-m",
                    "rosey_core.host.describe",
                    str(answer.fileno()),
                    stdin=asked,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=(answer.fileno(),),
                    env=environment(python),
                    start_new_session=True,
                )
                try:
                    async with asyncio.timeout(SECONDS):
                        await child.wait()
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child.pid, signal.SIGKILL)
                    await child.wait()
        except OSError as error:
            if isinstance(error, TimeoutError):
                return Finding(reason=f"it did not describe itself within {SECONDS:g} s")
            return Finding(reason=f"the process that describes it did not start: {error}")
        answer.seek(0)
        try:
            return msgspec.json.decode(answer.read(), type=Finding)
        except msgspec.DecodeError:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - LAST_WORDS))
            last = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            return Finding(reason=f"the process that describes it ended with code {child.returncode}: {last}")


async def _find(config: Config, point: EntryPoint, cache: Path | None) -> Finding:
    inquiry = _inquiry(config, point)
    python = config.plugins[point.name].python if point.name in config.plugins else ""
    if cache is None or python:  # what another interpreter imports, nobody sees from here
        return await _ask_child(inquiry, python)
    key = _key(point, inquiry)
    path = cache / f"{point.name}.json"
    cached = _read(path)
    if cached is not None and cached.key == key:
        return cached.finding
    finding = await _ask_child(inquiry)
    if finding.description is not None:
        # A failure is asked for again each time: what it lacks may be there by then.
        _write(path, _Cached(key, finding))
    return finding


def _read(path: Path) -> _Cached | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Cached)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(path: Path, cached: _Cached) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    # The cache saves time and nothing else: without it the next start asks again.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.json.encode(cached))
        temporary.replace(path)


def _known(config: Config, name: str, point: EntryPoint | None, finding: Finding) -> Known:
    if point is None:
        near = difflib.get_close_matches(name, installed(), 1)
        hint = f"did you mean {near[0]}? Else " if near else ""
        return Known(
            name,
            "missing",
            f"it is enabled, and no installed package offers it; {hint}pip install rosey-plugin-{name}, or remove "
            f"[plugins.{name}]",
        )
    package = point.dist.name if point.dist else ""
    version = point.dist.version if point.dist else ""

    def known(state: str, reason: str = "") -> Known:
        return Known(name, state, reason, package, version, point.value, runs(config, name, point), finding)

    if finding.description is None:
        return known("broken" if is_enabled(config, name) else "disabled", finding.reason)
    if not is_enabled(config, name):
        return known("disabled")
    asks = finding.description.asks
    granted = set(config.plugins[name].grant)
    if missing := [ask for ask in asks if ask not in granted]:
        line = ", ".join(f'"{grant}"' for grant in sorted(granted | set(asks)))
        return known("held", f"not granted: {', '.join(missing)}; under [plugins.{name}] write  grant = [{line}]")
    return known("ready")


async def survey(config: Config, cache: Path | None, *, only: Iterable[str] | None = None) -> dict[str, Known]:
    """What is known of every plugin: those installed, and those that the configuration names.

    Args:
        config: says which are enabled and with which settings.
        cache: the directory of cached findings; `None` asks anew and keeps nothing.
        only: look at these names instead of all.
    """
    points = offered(config)
    names = sorted(set(only) if only is not None else points.keys() | config.plugins.keys())
    findings = await asyncio.gather(
        *(_find(config, points[name], cache) if name in points else _none() for name in names)
    )
    return {
        name: _known(config, name, points.get(name), finding)
        for name, finding in zip(names, findings, strict=True)
        if name in points or is_enabled(config, name)
    }


async def _none() -> Finding:
    return Finding()
