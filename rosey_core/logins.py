"""Who logs in to NATS and with what: the daemon, the owner's clients, and each plugin's process.

It owns their passwords. On a server of the owner's each stands in the configuration; the embedded one is told those
that do, and random ones for the rest, at each start.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from secrets import token_urlsafe

from structlog.typing import FilteringBoundLogger

from rosey_core import log
from rosey_core.bus.access import core_name, users
from rosey_core.bus.broker import Broker
from rosey_core.bus.bus import Login
from rosey_core.config import Config, Loaded, Secret
from rosey_core.errors import BrokerError, ConfigError, PluginError
from rosey_core.host.registry import is_enabled, offered, runs
from rosey_core.settings.problems import tell

AGAIN = 1.0
"""Seconds until a worker's login looks again for a broker that does not run."""

CREDENTIALS = "this is no credentials file: it should hold a NATS USER JWT and a USER NKEY SEED, as nsc writes it"


def workers_of(config: Config) -> list[str]:
    """The plugins that run in processes of their own."""
    enabled, points = (name for name in config.plugins if is_enabled(config, name)), offered(config)
    return [name for name in enabled if runs(config, name, points.get(name)) != "inside"]


def passwords_of(config: Config) -> dict[str, tuple[str, Secret | None]]:
    """For each user of NATS the key of its password in the configuration, and what stands there."""
    tools, plugins = config.nats.users, config.plugins
    return {
        core_name(config): ("nats.password", config.nats.password),
        **{name: (f"nats.users.{name}.password", tool.password) for name, tool in tools.items()},
        **{name: (f"plugins.{name}.nats_password", plugins[name].nats_password) for name in workers_of(config)},
    }


def read_ca(loaded: Loaded) -> str:
    """The certificates that `[nats] ca` names; empty for none. Raises `ConfigError`."""
    if not loaded.config.nats.ca:
        return ""
    path = loaded.path.parent / loaded.config.nats.ca
    try:
        text = path.read_text(encoding="ascii")
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, UnicodeDecodeError):
        fault = f"{path} holds no certificate in PEM"
    except OSError as error:
        fault = f"{path} can't be read: {error.strerror}"
    else:
        return text
    raise ConfigError(tell(loaded, ("nats", "ca"), fault))


def read_credentials(loaded: Loaded, read_secret: Callable[[Secret | None], str]) -> str:
    """The text of the credentials file; empty for none. Raises `ConfigError`, also for what is none."""
    text = read_secret(loaded.config.nats.credentials)
    if text and not all(part in text for part in ("BEGIN NATS USER JWT", "BEGIN USER NKEY SEED")):
        raise ConfigError(tell(loaded, ("nats", "credentials"), CREDENTIALS))  # nats-py would look for them for ever
    return text


class Logins:
    """The logins of one daemon.

    Args:
        loaded: the configuration.
        read_secret: reads what it names; raises `ConfigError`.
    """

    def __init__(self, loaded: Loaded, read_secret: Callable[[Secret | None], str]) -> None:
        self._loaded = loaded
        self._read_secret = read_secret
        self._broker: Broker | None = None
        self._passwords: dict[str, str] = {}
        self._credentials = self._ca = ""

    def start(self, logger: FilteringBoundLogger) -> Broker | None:
        """Read all passwords, once, and start the embedded nats-server if there is to be one.

        Raises:
            ConfigError: when it can't be started, or something can't be read.
        """
        config = self._loaded.config
        embedded = config.nats.mode == "embedded"
        for name, (_, secret) in passwords_of(config).items():
            self._passwords[name] = self._read_secret(secret) or (token_urlsafe(32) if embedded else "")
            log.add_secret(self._passwords[name])
        if not embedded:
            self._credentials = read_credentials(self._loaded, self._read_secret)
            self._ca = read_ca(self._loaded)
            return None
        everybody = users(config, workers_of(config), self._passwords.__getitem__)
        self._broker = Broker(config.nats, self._loaded.state / "nats", everybody, logger)
        try:
            self._broker.spawn()
        except BrokerError as error:  # another start would find the same
            raise ConfigError(str(error)) from error
        return self._broker

    def change(self, loaded: Loaded) -> None:
        """Know the users of another configuration; those that stay keep their passwords.

        Raises:
            ConfigError: a password can't be read, or the embedded server's configuration can't be written. Nothing
                changed then.
        """
        config = loaded.config
        passwords: dict[str, str] = {}
        for name, (_, secret) in passwords_of(config).items():
            fresh = self._passwords.get(name) or (token_urlsafe(32) if self._broker is not None else "")
            passwords[name] = self._read_secret(secret) or fresh
            log.add_secret(passwords[name])
        if self._broker is not None:
            try:
                self._broker.change(users(config, workers_of(config), passwords.__getitem__))
            except OSError as error:
                raise ConfigError(f"nats.conf can't be written: {error}") from error
        self._loaded, self._passwords = loaded, passwords

    async def own(self) -> Login:
        """The daemon's. Raises `BrokerError` while the embedded server does not run."""
        name = core_name(self._loaded.config)
        if self._broker is not None:
            return Login(await self._broker.ready(), name, self._passwords[name])
        nats, password = self._loaded.config.nats, self._passwords[name]
        return Login(nats.url, name if password else nats.user, password, self._credentials, self._ca)

    async def worker(self, plugin: str) -> Login:
        """The login of a plugin's process; waits for the embedded server.

        Raises:
            PluginError: on a server of the owner's, when there is no password for it.
        """
        while self._broker is not None:
            try:
                return Login(await self._broker.ready(), plugin, self._passwords[plugin])
            except BrokerError:  # it is told by whoever keeps it running
                await asyncio.sleep(AGAIN)
        if not self._passwords[plugin]:
            raise PluginError(
                f"its process has no password for NATS: write its user into the server's configuration, as "
                f'rosey nats conf shows it, and under [plugins.{plugin}]  nats_password = {{ file = "PATH" }}'
            )
        return Login(self._loaded.config.nats.url, plugin, self._passwords[plugin], ca=self._ca)
