"""`rosey run`: the daemon, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rosey_core.cli.options import configured, load

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path


@click.command()
@configured
def run(config_path: Path | None, overrides: tuple[str, ...]) -> None:
    """Join the channels and run the plugins, until SIGTERM or Ctrl-C.

    Exit code 0 after a signal, 78 for a configuration that can't be used, 1 for anything else that ends it.
    """
    import asyncio

    from rosey_core import log

    loaded = load(config_path, overrides)
    log.configure(loaded.config.log)

    from rosey_core.daemon import Daemon

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(Daemon(loaded).run())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where the extra `uvloop` is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
