"""Reads rosey.toml: its layers, its checks, and one error that tells everything that is wrong.

The layers, lowest first: the file, `conf.d/*.toml` beside it in the order of their names, variables
(`ROSEY_LOG__LEVEL=debug`), flags (`--set log.level=debug`). What the keys mean stands in `config`; the texts of
errors are made in `problems`, the checks in `mismatch` and `checks`, secrets are read in `secret`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rosey_core.config import Config, Loaded
from rosey_core.errors import ConfigError
from rosey_core.settings.checks import BESIDE_PLUGINS, checks
from rosey_core.settings.layers import (
    Layer,
    dotted,
    from_flags,
    from_variables,
    leaves,
    merged,
    variables_named_in,
)
from rosey_core.settings.mismatch import mismatches
from rosey_core.settings.problems import Problem, nearest, report, syntax, unknown_key, where
from rosey_core.settings.toml_positions import normalise, places

CONF_D = "conf.d"
USUAL_PLACES = (Path("./rosey.toml"), Path("/etc/rosey/rosey.toml"))
"""Where a configuration is looked for when nobody says where it is."""

STATE_DIRECTORY = "rosey-state"
"""The state directory beside the file, when neither the file nor systemd names one."""


def find(explicit: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file: the one asked for, else `$ROSEY_CONFIG`, else the first of `USUAL_PLACES`."""
    if explicit or environ.get("ROSEY_CONFIG"):
        return explicit or Path(environ["ROSEY_CONFIG"])
    for path in USUAL_PLACES:
        if os.path.exists(path):  # noqa: PTH110  pathlib's raises where a directory may not be looked into
            return path
    tried = ", ".join(map(str, USUAL_PLACES))
    raise ConfigError(
        f"no configuration found: looked for {tried}; "
        "copy rosey.toml.example to rosey.toml, or name a file with --config"
    )


def load(path: Path, *, overrides: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> Loaded:
    """Read, merge and check everything.

    Args:
        path: the configuration file.
        overrides: `key=value` texts, the highest layer.
        environ: the variables, of which those that begin with `ROSEY_` are a layer.

    Raises `ConfigError`; its text is the whole message, all problems with file, line and caret.
    """
    layers, broken = _read_files([path, *_conf_d(path)])
    if broken:
        raise ConfigError("\n".join(broken))
    layers += from_variables(environ, variables_named_in(merged(layers)))
    layers += from_flags(overrides)
    data = merged(layers)
    if problems := _problems(data):
        raise ConfigError(report(problems, layers))
    try:
        config = msgspec.convert(_as_struct(data), Config)
    except msgspec.ValidationError as error:  # a Struct has a check of its own that `mismatches` can't see
        raise ConfigError(f"{path}: {error}") from None
    path = path.absolute()
    return Loaded(
        config=config,
        path=path,
        state=_state(config, path, environ),
        origins={dotted(keys): where(keys, layers) for keys, _ in leaves(data)},
        layers=tuple(layers),
    )


def _conf_d(path: Path) -> list[Path]:
    return sorted(p for p in (path.parent / CONF_D).glob("*.toml") if not p.name.startswith("."))


def _read_files(paths: Iterable[Path]) -> tuple[list[Layer], list[str]]:
    layers, broken = [], []
    for path in paths:
        try:
            layers.append(_read(path))
        except ConfigError as error:
            broken.append(str(error))
    return layers, broken


def _read(path: Path) -> Layer:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file; copy rosey.toml.example there, or name another with --config"
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory; name the file in it") from None
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    if raw.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(f"{path}:1:1: begins with a byte order mark; save it as plain UTF-8")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode()) + 1
        raise ConfigError(f"{path}:{line}:{column}: is not UTF-8 text; save it as UTF-8") from None
    return parse(str(path), text)


def parse(name: str, text: str) -> Layer:
    """A TOML text as a layer that people know as `name`. Raises `ConfigError` with the place."""
    try:
        return Layer(
            name, _anchored(tomllib.loads(text), Path(name).absolute().parent), normalise(text), places(text)
        )
    except (ValueError, RecursionError) as error:
        raise ConfigError(syntax(name, text, error)) from None


def _anchored(data: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The tables of a file, in which the paths of plugins are absolute: other layers may be files elsewhere."""
    plugins = data.get("plugins")
    for plugin in plugins.values() if isinstance(plugins, dict) else ():
        if isinstance(plugin, dict) and isinstance(plugin.get("path"), str) and plugin["path"]:
            plugin["path"] = str(directory / plugin["path"])
    return data


def _problems(data: dict[str, Any]) -> list[Problem]:
    version = data.get("version")
    if type(version) is int and version != 1:  # all other keys may mean something else there
        return [Problem(("version",), f"this rosey reads version 1 of the configuration, not {version}")]
    special = list(checks(data))
    told = {problem.path for problem in special}
    general = [p for p in mismatches(_as_struct(data), Config) if p.on_key or _in_toml(p).path not in told]
    top = [unknown_key((key,), (), f"it stands in [plugins]: plugins.{key}") for key in BESIDE_PLUGINS if key in data]
    return [*special, *map(_in_toml, general), *top]


def _as_struct(data: dict[str, Any]) -> dict[str, Any]:
    """The tables in the shape of `Config`: what stands in `[plugins]` beside the plugins is a field of its own."""
    shaped = {key: value for key, value in data.items() if key not in BESIDE_PLUGINS}
    plugins = data.get("plugins")
    if isinstance(plugins, dict):
        shaped["plugins"] = {key: value for key, value in plugins.items() if key not in BESIDE_PLUGINS}
        shaped |= {key: plugins[key] for key in BESIDE_PLUGINS if key in plugins}
    return shaped


def _in_toml(problem: Problem) -> Problem:
    """A problem of the `Config` shape as one of the file's, with a hint where only the file's shape tells it."""
    path = problem.path
    if path[:1] in [(key,) for key in BESIDE_PLUGINS]:
        return problem._replace(path=("plugins", *path))
    if len(path) == 1 and problem.known:
        return unknown_key(path, (key for key in problem.known if key not in BESIDE_PLUGINS))
    if len(path) == 2 and path[0] in {"plugins", "channels"} and not problem.on_key:
        known = BESIDE_PLUGINS if path[0] == "plugins" else ()
        table = "" if nearest(str(path[1]), known) else f" [{dotted(path)}]"
        message = problem.message.replace(" a table,", f" a table{table},")
        return problem._replace(message=message, word=str(path[1]), known=known)
    if path[:1] == ("plugins",) and len(path) == 3 and problem.on_key:
        return unknown_key(path, problem.known, f"a plugin's own settings stand in [plugins.{path[1]}.settings]")
    return problem


def _state(config: Config, path: Path, environ: Mapping[str, str]) -> Path:
    systemd = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if config.state_directory or not systemd:
        return path.parent / (config.state_directory or STATE_DIRECTORY)
    return Path(systemd)
