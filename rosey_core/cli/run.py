"""`rosey run`: the daemon, in the foreground."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from rosey_core.cli.errors import exit_codes
from rosey_core.cli.options import configured, load
from rosey_core.errors import ConfigError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from rosey_core.config import Loaded

END_SECONDS = 0.3
"""How long tasks that are left may take to end."""


@click.command()
@click.option("--without", multiple=True, metavar="NAME", help="Leave this plugin out; may be given more than once.")
@click.option("--safe", is_flag=True, help="Leave all plugins out.")
@configured
def run(config_path: Path | None, overrides: tuple[str, ...], *, without: tuple[str, ...], safe: bool) -> None:
    """Join the channels and run the plugins, until SIGTERM or Ctrl-C; a second signal ends it at once.

    SIGHUP, and `rosey ctl reload`, read the configuration again.

    Exit code 0 after a signal, 78 for a configuration that can't be used, 1 for anything else that ends it.
    """
    import asyncio

    from rosey_core import log

    def again() -> Loaded:
        return leave_out(load(config_path, overrides), without, everything=safe)

    loaded = again()
    log.configure(loaded.config.log)
    # What rosey and its plugins write is their owner's only: it is chat, and may be secrets.
    os.umask(0o077)

    from rosey_core.daemon import Daemon

    code = 0
    runner = asyncio.Runner(loop_factory=_loop_factory())
    try:
        with exit_codes():
            runner.run(Daemon(loaded, again).run())
            if stubborn := runner.run(_end_the_rest()):
                log.get("rosey").warning("tasks.left", tasks=stubborn)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    # Everything of ours is written and closed. Closing the loop and the interpreter would wait for what plugins
    # left behind: tasks that swallow their cancellation, and threads.
    os._exit(code)


def leave_out(loaded: Loaded, names: tuple[str, ...], *, everything: bool) -> Loaded:
    """The configuration with these plugins switched off, or all. Raises `ConfigError` for one that is not in it."""
    import difflib

    from msgspec.structs import replace

    from rosey_core.config import PluginConfig

    plugins = dict(loaded.config.plugins)
    for name in names:
        if name not in plugins:
            near = difflib.get_close_matches(name, plugins, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(plugins) or 'none'}"
            raise ConfigError(f"--without {name}: {loaded.path} has no plugin of that name; {hint}")
    for name in plugins if everything else names:
        plugins[name] = PluginConfig()
    return replace(loaded, config=replace(loaded.config, plugins=plugins))


async def _end_the_rest() -> list[str]:
    """Cancel every task that is left, a plugin's mostly; the names of those that would not end."""
    import asyncio

    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    alive = (await asyncio.wait(rest, timeout=END_SECONDS))[1] if rest else set()
    return sorted(task.get_name() for task in alive)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The loop of uvloop where the extra `uvloop` is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        from rosey_core.threads import Loop

        return Loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
