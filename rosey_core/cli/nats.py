"""`rosey nats`: what a NATS server of the owner's has to know of rosey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rosey_core.cli.options import configured, load

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HEAD = """\
# Who of rosey may connect, for the configuration of a nats-server of your own: copy it there, or keep it in a file of
# its own that yours includes. Other accounts may stand beside this one. Long playlists need  max_payload: 8MB
#
# Passwords are not in it: nats-server reads each from its environment. There it has to stand in double quotes, which
# are a part of the value, as in an EnvironmentFile of systemd's:  {example}='"the password"'
# A " or \\ inside a password needs a \\ before it. The same passwords are for rosey, where its configuration says:
#"""

STREAM = """\
#
# [nats.stream] needs a store beside this:  jetstream { store_dir: "/var/lib/nats" }  Who reads the stream can do so
# once nats-server was started with this; a reload does not bring an account its first imports."""


@click.group()
def nats() -> None:
    """Show what a NATS server of your own has to know."""


@nats.command()
@configured
def conf(config_path: Path | None, overrides: tuple[str, ...]) -> None:
    """Print the users that a nats-server of your own needs, as its configuration.

    Passwords are not printed: each is a variable that nats-server reads from its environment. The same passwords
    have to stand where the configuration of rosey says.
    """
    import msgspec

    from rosey_core.bus.access import stream_name, users
    from rosey_core.bus.conf import accounts
    from rosey_core.logins import passwords_of, workers_of
    from rosey_core.settings.toml_text import text

    config = load(config_path, overrides).config
    places = passwords_of(config)
    named = variables(places)
    width = max(map(len, named.values()))
    click.echo(HEAD.format(example=next(iter(named.values()))))
    for name, (key, secret) in places.items():
        sources = msgspec.to_builtins(secret) or {}
        where = text({source: value for source, value in sources.items() if value}) if sources else "(not set yet)"
        click.echo(f"#   {named[name]:{width}}  {key} = {where}")
    if stream := stream_name(config):
        click.echo(STREAM)
    everybody = users(config, workers_of(config), named.__getitem__)
    click.echo(accounts(everybody, stream=stream, written="${}".format), nl=False)


def variables(names: Iterable[str]) -> dict[str, str]:
    """For each user the variable with its password, another for each: `NATS_PASSWORD_MY_SCRIPT`."""
    taken: dict[str, str] = {}
    for name in names:
        variable = "NATS_PASSWORD_" + name.upper().replace("-", "_")
        while variable in taken.values():
            variable += "_2"
        taken[name] = variable
    return taken
