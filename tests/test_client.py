"""nats-py as rosey uses it: without aiohttp, and with a few private names that have to be what they were."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nats.aio.transport import TcpTransport

from rosey_core.bus.client import Client, NatsClient

CHILD = """
import sys
import rosey_core.bus.bus
assert "aiohttp" not in sys.modules, "it was imported"
import aiohttp
print(aiohttp.__file__)
"""


def test_no_aiohttp(tmp_path: Path) -> None:
    """The bus does not import aiohttp where it is installed, and who wants it can import it afterwards."""
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text("")
    (tmp_path / "multidict.py").write_text("")
    path = os.pathsep.join((str(tmp_path), *sys.path))
    done = subprocess.run(
        (sys.executable, "-c", CHILD),
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == str(tmp_path / "aiohttp" / "__init__.py")


def test_nats_py_would_import_it(tmp_path: Path) -> None:
    """The same child without our module shows that the test above can fail."""
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text("ClientWebSocketResponse = ClientSession = None")
    (tmp_path / "multidict.py").write_text("")
    path = os.pathsep.join((str(tmp_path), *sys.path))
    child = "import sys, nats.aio.client; print('aiohttp' in sys.modules)"
    done = subprocess.run(
        (sys.executable, "-c", child),
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "True"


def test_private_names() -> None:
    """What we use and override of nats-py exists, with the arguments that we give."""
    assert list(inspect.signature(NatsClient._close).parameters) == ["self", "status", "do_cbs"]
    assert list(inspect.signature(NatsClient._connect_command).parameters) == ["self"]
    assert "self._connect_command()" in inspect.getsource(NatsClient._process_connect_init)
    assert list(inspect.signature(NatsClient._send_command).parameters)[:2] == ["self", "cmd"]
    assert list(inspect.signature(NatsClient._flush_pending).parameters)[:1] == ["self"]
    client: Any = Client()
    assert client._pending == []
    assert client._pending_data_size == client.pending_data_size == 0
    assert hasattr(client, "_transport")
    assert "self._io_writer" in inspect.getsource(TcpTransport.__init__)


async def test_close_does_not_wait_for_the_server() -> None:
    """A client with unsent bytes closes at once against a server that reads nothing, and its callback comes."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"max_payload":1048576}\r\n')
        while b"PING" not in await reader.readline():
            pass
        writer.write(b"PONG\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport has it
        await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    closed = asyncio.Event()

    async def closing() -> None:
        closed.set()

    client = Client()
    port = server.sockets[0].getsockname()[1]
    await client.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, closed_cb=closing, pending_size=1 << 30)
    for _ in range(64):
        await client.write([b"x" * (1 << 20)])
        await asyncio.sleep(0)
    assert client.unsent > 0
    async with asyncio.timeout(3):
        await client.close()
        await closed.wait()
        over.set()
        server.close()
        await server.wait_closed()
