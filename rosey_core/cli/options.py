"""What verbs share: options, the configuration that they name, and how they print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rosey_core.errors import ConfigError

if TYPE_CHECKING:
    from rosey_core.config import Loaded

GAP = 2
"""Columns of the terminal between two of a table."""
LONG_WORD = 30
"""A longer word, such as a path, may be broken."""

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


def load(config_path: Path | None, overrides: tuple[str, ...], *, needed: bool = True) -> Loaded:
    """Find and load the configuration. Raises `ConfigError`.

    Where it is not `needed`, and there is none, everything is at its default.
    """
    from rosey_core.config import Config, Loaded
    from rosey_core.settings.load import STATE_DIRECTORY, find
    from rosey_core.settings.load import load as load_from

    try:
        path = find(config_path)
    except ConfigError:
        if needed:
            raise
        return Loaded(Config(version=1, channels={}), Path("rosey.toml"), Path(STATE_DIRECTORY).absolute())
    return load_from(path, overrides=overrides)


def print_json(value: Any) -> None:
    """Print JSON as people like to read it."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned columns; a column that is empty in every row is left out.

    Cells wrap at words, as wide as the terminal, `$COLUMNS`, or 200. Where that is too narrow for the words, each
    row is a paragraph instead.
    """
    import io
    import shutil

    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from rosey_core.redact import visible

    columns = [key for key in rows[0] if any(row[key] not in ("", None) for row in rows)]
    cells = [[visible(str(row[key])) for key in columns] for row in rows]
    texts = list(zip(columns, *cells, strict=True))
    least = [min(LONG_WORD, max(map(cell_len, " ".join(column).split()))) for column in texts]
    widths = [max(map(cell_len, column)) for column in texts]
    total = shutil.get_terminal_size((200, 0)).columns
    if sum(least) + GAP * (len(columns) - 1) > total:
        told = (zip(columns, row, strict=True) for row in cells)
        return "\n\n".join("\n".join(f"{key}: {cell}" for key, cell in row if cell) for row in told)
    while sum(widths) + GAP * (len(columns) - 1) > total:
        widest = max((i for i in range(len(columns)) if widths[i] > least[i]), key=widths.__getitem__)
        widths[widest] -= 1
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        made.add_column(column, overflow="fold", width=width)
    for row in cells:
        made.add_row(*map(Text, row))
    out = io.StringIO()
    Console(file=out, width=total).print(made)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())
