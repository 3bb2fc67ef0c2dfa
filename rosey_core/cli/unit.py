"""`rosey plugins run`: one plugin as a program of its own, for a unit of systemd's, or on another machine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from rosey_core.cli.errors import exit_codes
from rosey_core.cli.options import configured, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rosey_core.bus.bus import Login
    from rosey_core.config import Loaded, Secret
    from rosey_core.host.orders import Orders


@click.command("run")
@click.argument("name")
@configured
def run_plugin(config_path: Path | None, overrides: tuple[str, ...], name: str) -> None:
    """Run one plugin as a program of its own, until SIGTERM or Ctrl-C; a rosey that runs has to expect it.

    That needs run = "unit" in its table. It finds rosey over NATS, and finds it again. Exit code 0 after a signal, 78
    for a configuration that can't be used, 1 when rosey parked the plugin, or has another process of it already.
    """
    import asyncio

    from rosey_core import log
    from rosey_core.threads import Loop

    loaded = load(config_path, overrides)
    log.configure(loaded.config.log)
    os.umask(0o077)  # what a plugin writes is its owner's only
    orders = orders_of(loaded, name)

    from rosey_core.host.unit import Unit

    code = 0
    try:
        with exit_codes():
            asyncio.Runner(loop_factory=Loop).run(Unit(orders).run())
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except asyncio.CancelledError:
        log.get("unit").error("unit.cancelled", plugin=name, reason="its plugin cancelled every task")
        code = 1
    # What the plugin left behind keeps nothing.
    os._exit(code)


def orders_of(loaded: Loaded, name: str, environ: Mapping[str, str] = os.environ) -> Orders:
    """What the daemon would tell a process of this plugin. Raises `ConfigError`."""
    import difflib

    from rosey_core import log
    from rosey_core.errors import ConfigError
    from rosey_core.host.orders import Orders, secrets_of
    from rosey_core.host.registry import offered
    from rosey_core.settings.problems import tell
    from rosey_core.settings.secret import read_secret

    config = loaded.config.plugins.get(name)
    if config is None:
        near = difflib.get_close_matches(name, loaded.config.plugins, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{loaded.path} has no [plugins.{name}]{hint}")
    if config.run != "unit":
        raise ConfigError(tell(loaded, ("plugins", name, "run"), f'rosey runs {name} itself; set run = "unit"'))
    point = offered(loaded.config).get(name)
    if point is None:
        raise ConfigError(f"the plugin {name} is not installed for {sys.executable}")
    if config.path.endswith(".json"):
        message = f"this only describes {name}; start its own program instead, as docs/workers.md says"
        raise ConfigError(tell(loaded, ("plugins", name, "path"), message))

    def read(secret: Secret) -> str:
        value = read_secret(secret, loaded, environ=environ)
        log.add_secret(value)
        return value

    own = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Orders(
        name,
        point.value,
        login(loaded, name, read(config.nats_password)),  # type: ignore[arg-type]  # `checks` wants one for a unit
        directory=own or str(loaded.state / "plugins" / name),
        secrets=secrets_of(config, read),
        level=loaded.config.log.level,
    )


def login(loaded: Loaded, name: str, password: str) -> Login:
    """Where NATS is: the server of the owner's, or where the daemon's own is told to listen."""
    from rosey_core.bus.bus import Login
    from rosey_core.logins import read_ca

    nats = loaded.config.nats
    if nats.mode == "external":
        return Login(nats.url, name, password, ca=read_ca(loaded))
    return Login(f"nats://{nats.listen}", name, password)
