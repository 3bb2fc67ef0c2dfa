"""The control socket: a question, an answer, over a real socket."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from rosey_core import log
from rosey_core.control import LOCK, SOCKET, Control, ask, socket_path
from rosey_core.errors import ConfigError, RoseyError, Unavailable


@pytest.fixture
def state() -> Iterator[Path]:
    """A directory with a short path: sockets have to fit."""
    with tempfile.TemporaryDirectory(prefix="rosey-") as directory:
        yield Path(directory)


async def hello(request: dict[str, Any]) -> str:
    """A verb."""
    return f"hello {request['name']}"


async def refuse(_: dict[str, Any]) -> None:
    """A verb that says no."""
    raise RoseyError("not today")


async def fail(_: dict[str, Any]) -> None:
    """A verb with a fault."""
    raise ValueError("a fault")


@pytest.fixture
async def control(state: Path) -> AsyncIterator[Control]:
    """A socket that listens."""
    with structlog.testing.capture_logs():
        made = Control(state, {"hello": hello, "refuse": refuse, "fail": fail}, structlog.get_logger())
        await made.start()
        yield made
        await made.stop()
        made.release()


async def test_ask(control: Control, state: Path) -> None:
    """The answer is the verb's; only the owner may ask, and a stopped one leaves nothing behind."""
    path = socket_path(state)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await ask(path, "hello", name="you") == "hello you"
    await control.stop()
    assert not path.exists()
    with pytest.raises(Unavailable, match="rosey is not running"):
        await ask(path, "hello", name="you")


async def test_what_goes_wrong_is_said(control: Control, state: Path) -> None:
    """A refusal in its own words, a fault by its type, nonsense as nonsense; the socket goes on."""
    path = socket_path(state)
    with pytest.raises(RoseyError, match="not today"):
        await ask(path, "refuse")
    with pytest.raises(RoseyError, match="ValueError; the log says more"):
        await ask(path, "fail")
    with pytest.raises(RoseyError, match="no such verb"):
        await ask(path, "dance")
    for junk in (b"\n", b"[]\n", b"\xff\xfe\n", b'{"verb": 1}\n', b'{"verb": []}\n', b"no line end"):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(junk)
        writer.write_eof()
        assert b"no such verb" in await reader.read()
        writer.close()
    assert await ask(path, "hello", name="again") == "hello again"


async def test_secrets_stay_inside(control: Control, state: Path) -> None:
    """What is known as a secret is taken out of answers."""
    log.add_secret("canary-of-control")
    assert await ask(socket_path(state), "hello", name="canary-of-control") == "hello [secret]"
    log.redact.clear()


HOLDER = """
import fcntl, os, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print(os.getpid(), file=file, flush=True)
print("held", flush=True)
sys.stdin.read()
"""


async def test_only_one(state: Path) -> None:
    """A state directory is one process's until that ends, however it ends; what it left is in nobody's way."""
    socket_path(state).touch()
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        str(state / LOCK),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    control = Control(state, {"hello": hello}, structlog.get_logger())
    with pytest.raises(RoseyError, match=rf"another rosey \(process {holder.pid}\) runs with the state directory"):
        await control.start()
    assert socket_path(state).exists()
    holder.kill()
    await holder.wait()
    await control.start()
    assert await ask(socket_path(state), "hello", name="you") == "hello you"
    await control.stop()
    control.release()


@pytest.mark.parametrize("name", (LOCK, SOCKET))
async def test_something_else_in_its_place(state: Path, name: str) -> None:
    """What is there and can't be used is named."""
    (state / name).mkdir()
    control = Control(state, {}, structlog.get_logger())
    with pytest.raises(RoseyError, match=rf"{name} can't be used: Is a directory"):
        await control.start()
    control.release()


async def test_stop_again(control: Control, state: Path) -> None:
    """To stop twice removes nothing that another one made since."""
    await control.stop()
    socket_path(state).touch()
    await control.stop()
    assert socket_path(state).exists()


@pytest.mark.parametrize("value", ("half \ud83d a character", {"deep": ["\udc80"]}, float("nan")))
async def test_what_json_can_not_say(state: Path, value: Any) -> None:
    """A status with half a character in it is an answer all the same."""

    async def odd(_: dict[str, Any]) -> Any:
        return value

    control = Control(state, {"odd": odd}, structlog.get_logger())
    await control.start()
    assert str(await ask(socket_path(state), "odd")).encode()
    await control.stop()
    control.release()


async def test_no_answer(state: Path) -> None:
    """A daemon that hangs is told from one that does not run."""
    hold = asyncio.Event()

    async def hang(_: dict[str, Any]) -> None:
        await hold.wait()

    control = Control(state, {"hang": hang}, structlog.get_logger())
    await control.start()
    with pytest.raises(Unavailable, match=rf"rosey .process {os.getpid()}. does not answer"):
        await ask(socket_path(state), "hang", seconds=0.1)
    hold.set()
    await control.stop()
    control.release()


def test_a_long_path() -> None:
    """The error names the setting to change."""
    with pytest.raises(ConfigError, match=r"too long for a socket .* state_directory"):
        socket_path(Path("/x" * 60))
