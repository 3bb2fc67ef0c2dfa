"""A nats-server of an owner's for tests, started with a configuration of theirs, and certificates for it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rosey_core.bus.finding import find_server


@asynccontextmanager
async def nats_server(directory: Path, conf: str, environ: dict[str, str] | None = None) -> AsyncIterator[str]:
    """A nats-server with this configuration, at a free port: its host and port."""
    path = _written(directory, conf)
    with (directory / "their.log").open("wb") as out:
        child = await asyncio.create_subprocess_exec(
            *(str(find_server()), "-c", str(path)), env=os.environ | (environ or {}), stdout=out, stderr=out
        )
    ports = directory / f"nats-server_{child.pid}.ports"
    try:
        async with asyncio.timeout(10):
            while not (ports.exists() and ports.read_text().endswith("}")):
                assert child.returncode is None, (directory / "their.log").read_text()
                await asyncio.sleep(0.01)
        yield json.loads(ports.read_text())["nats"][0].rpartition("/")[2]
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


def _written(directory: Path, conf: str) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "their.conf"
    path.write_text(f'listen: "127.0.0.1:-1"\nports_file_dir: "{directory}"\n{conf}', encoding="utf-8")
    return path


def certificates(directory: Path) -> str:
    """Make `ca.pem`, an authority of our own, and a certificate of its for 127.0.0.1; nats-server's `tls` block."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make certificates with")
    directory.mkdir(exist_ok=True)
    key = "-newkey rsa:2048 -nodes -days 2 -batch"
    (directory / "san").write_text("subjectAltName = IP:127.0.0.1\n")
    for line in (
        f"req -x509 {key} -subj /CN=test -keyout ca.key -out ca.pem",
        f"req -new {key} -subj /CN=127.0.0.1 -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 2 -extfile san -out server.pem",
    ):
        subprocess.run((openssl, *line.split()), cwd=directory, check=True, capture_output=True)
    return f'tls {{ cert_file: "{directory}/server.pem", key_file: "{directory}/server.key" }}\n'
