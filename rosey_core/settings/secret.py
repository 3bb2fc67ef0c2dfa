"""Reads secrets from where the configuration says they are, when they are needed.

No text here ever holds a secret. What is written about secrets in rosey.toml is checked by `checks`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rosey_core.config import Loaded, Secret
from rosey_core.errors import ConfigError
from rosey_core.settings.problems import Problem, render
from rosey_core.settings.toml_positions import Path as Keys

LARGEST = 64 * 1024
"""A secret has fewer bytes than this; a longer file is another file."""

CREDENTIALS = "CREDENTIALS_DIRECTORY"


def read_secret(secret: Secret | str | None, loaded: Loaded, *, environ: Mapping[str, str] = os.environ) -> str:
    """The secret itself; empty for `None`. A text is returned as it is (`proxy` may be one).

    One line end at the end of a file is no part of the secret. Raises `ConfigError` that says which key and what
    to do, and never the value.
    """
    if secret is None or isinstance(secret, str):
        return secret or ""
    keys = next((keys for keys, one in secrets_in(loaded.config) if one is secret), ())
    try:
        value = _read(secret, loaded.path.parent, environ)
    except ConfigError as error:
        if not keys:
            raise
        raise ConfigError(render(Problem(keys, f'"{keys[-1]}": {error}', hidden=True), loaded.layers)) from None
    return value


def secrets_in(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Secret]]:
    """Every secret of a configuration, with its keys. Plugins' own settings are theirs and are not looked into."""
    if isinstance(value, Secret):
        yield keys, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from secrets_in(getattr(value, name), (*keys, name))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from secrets_in(item, (*keys, name))


def check_secrets(
    loaded: Loaded, *, start: bool = False, environ: Mapping[str, str] = os.environ
) -> tuple[list[str], list[str]]:
    """Try every secret: what is wrong, and what could not be tried here because only systemd hands it out.

    At a `start` systemd's have to be there like others.
    """
    wrong, untried = [], []
    for keys, secret in secrets_in(loaded.config):
        if secret.credential and not start and not environ.get(CREDENTIALS):
            untried.append(f"{'.'.join(map(str, keys))}: credential {secret.credential} is there under systemd only")
            continue
        if is_pipe(secret, loaded):
            continue
        try:
            read_secret(secret, loaded, environ=environ)
        except ConfigError as error:
            wrong.append(str(error))
    return wrong, untried


def is_pipe(secret: Secret | str, loaded: Loaded) -> bool:
    """Whether a secret comes through a pipe, as from `<(pass show bot)`: that can be read once, and may wait."""
    if isinstance(secret, str) or not secret.file:
        return False
    with contextlib.suppress(OSError):
        return stat.S_ISFIFO((loaded.path.parent / secret.file).stat().st_mode)
    return False


def _read(secret: Secret, base: Path, environ: Mapping[str, str]) -> str:
    given = [name for name in secret.__struct_fields__ if getattr(secret, name)]
    if len(given) != 1:
        raise ConfigError("needs exactly one of credential, env and file")
    if secret.env:
        value = environ.get(secret.env, "")
        if not value:
            state = "is empty" if secret.env in environ else "is not set"
            raise ConfigError(f"the variable {secret.env} {state}; set it where rosey is started")
        return value
    if secret.file:
        return _read_file(base / secret.file, private=True)
    directory = environ.get(CREDENTIALS, "")
    if not directory:
        raise ConfigError(
            f"${CREDENTIALS} is not set, so there are no credentials: "
            f"add LoadCredential={secret.credential}:/PATH to the unit, or use file or env"
        )
    return _read_file(Path(directory) / secret.credential, private=False)


def _read_file(path: Path, *, private: bool) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if private and stat.S_ISREG(mode) and mode & 0o077:
                raise ConfigError(f"{path} can be read by others; run: chmod 600 {path}")
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise ConfigError(f"{path} is too big for a secret")
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise ConfigError(f"{path} is empty")
    return value
