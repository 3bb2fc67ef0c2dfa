"""The options that verbs share, and the configuration that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rosey_core.config import Loaded

F = TypeVar("F", bound=Callable[..., Any])


def configured(function: F) -> F:
    """Add `--config PATH` and `--set KEY=VALUE`; the verb gets them as `config_path` and `overrides`, for `load`."""
    function = click.option(
        "overrides",
        "--set",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set one key, such as channels.cytube.room=lobby; may be given more than once.",
    )(function)
    return click.option(
        "config_path",
        "--config",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The configuration file. Default: $ROSEY_CONFIG, else ./rosey.toml, else /etc/rosey/rosey.toml.",
    )(function)


def load(config_path: Path | None, overrides: tuple[str, ...]) -> Loaded:
    """Find and load the configuration. Raises `ConfigError`."""
    from rosey_core import settings

    return settings.load(settings.find(config_path), overrides=overrides)
