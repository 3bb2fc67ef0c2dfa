"""What has to be so on this machine before rosey can run.

`rosey check` and every start ask the same function, so that what the one calls right the other takes. What is
written in rosey.toml is checked when it is loaded; what plugins say of their settings is `host.check`'s.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rosey_core.bus.broker import LOG_FILE
from rosey_core.bus.finding import find_server
from rosey_core.config import Loaded
from rosey_core.control import LOCK, socket_path
from rosey_core.cytube.proxy import read as read_proxy
from rosey_core.errors import BrokerError, ConfigError
from rosey_core.logins import read_ca, read_credentials
from rosey_core.sequence import reserved
from rosey_core.settings.problems import tell
from rosey_core.settings.secret import check_secrets, is_pipe, read_secret


def preflight(loaded: Loaded, *, start: bool, environ: Mapping[str, str] = os.environ) -> tuple[list[str], list[str]]:
    """What keeps rosey from running here, and notes on what could not be tried; each with its place.

    Args:
        loaded: a configuration that passed its checks.
        start: whether it is about to run. If so, the state directory is made, and credentials have to be there.
        environ: the variables in which secrets and a nats-server may be.
    """
    secrets, untried = check_secrets(loaded, start=start, environ=environ)
    return [*_state(loaded, make=start), *_broker(loaded, environ), *secrets, *_proxies(loaded, environ)], untried


def _state(loaded: Loaded, *, make: bool) -> Iterator[str]:
    state = directory = loaded.state
    try:
        socket_path(state)
        _try_to_write(state)
        if make:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
        for directory in (state, state / "seq", state / "nats"):
            _try_to_write(directory)
        for directory in (state / LOCK, state / "nats" / LOG_FILE):
            if directory.exists() and not os.access(directory, os.W_OK):
                raise PermissionError(errno.EACCES, "it belongs to another user, who may have run rosey here")
        for channel in loaded.config.channels:
            reserved(state / "seq" / channel)
    except OSError as error:
        message = (
            f"the state directory {directory} can't be used: {error.strerror}; "
            "set state_directory to one that this user may write"
        )
        yield tell(loaded, ("state_directory",), message)
    except ConfigError as error:
        yield tell(loaded, ("state_directory",), str(error))


def _try_to_write(directory: Path) -> None:
    """Make a file without a name in a directory, or where it would be made. It leaves nothing behind."""
    there = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    with tempfile.TemporaryFile(dir=there):
        pass


def _broker(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[str]:
    nats = loaded.config.nats
    if nats.mode == "embedded":
        try:
            find_server(nats.server, environ)
        except BrokerError as error:
            yield tell(loaded, ("nats", "server"), str(error))
        return
    try:
        read_ca(loaded)
    except ConfigError as error:
        yield str(error)
    if nats.credentials is None:
        return
    if importlib.util.find_spec("nkeys") is None:
        message = "credentials need a library that is not installed: pip install 'rosey-bot[credentials]'"
        yield tell(loaded, ("nats", "credentials"), message)
    elif not is_pipe(nats.credentials, loaded):
        try:
            text = read_secret(nats.credentials, loaded, environ=environ)
        except ConfigError:
            return  # `check_secrets` tells it
        try:
            read_credentials(loaded, lambda _: text)
        except ConfigError as error:
            yield str(error)


def _proxies(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[str]:
    for name, channel in loaded.config.channels.items():
        if is_pipe(channel.proxy, loaded):
            continue
        try:
            address = read_secret(channel.proxy, loaded, environ=environ)
        except ConfigError:
            continue  # `check_secrets` tells it
        try:
            read_proxy(address)
        except ConfigError as error:
            yield tell(loaded, ("channels", name, "proxy"), str(error))
