"""A nats-server of the owner's, with what `rosey nats conf` prints and over TLS: workers and grants as on our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rosey_core.bus.client import Client, errors
from rosey_core.testing.cytube import SimulatedCytube
from rosey_core.testing.process import RoseyProcess
from rosey_core.testing.viewer import Viewer
from tests.servers import certificates, nats_server

SECRETS = {"CORE": 'core " $HOME \\ # canary', "ECHO": "12k-canary", "READER": "#reader-canary"}

CONFIG = """\
version = 1
[channels.cytube]
server = "{site}"
room = "movienight"
username = "Rosey"
password = {{ env = "TEST_PASSWORD" }}
[nats]
mode = "external"
url = "{url}"
password = {{ env = "CORE" }}
{ca}
[nats.users.reader]
password = {{ env = "READER" }}
[plugins.echo]
enabled = true
run = "process"
nats_password = {{ env = "ECHO" }}
grant = ["chat.read", "chat.send"]
"""


async def printed(directory: Path) -> str:
    """What `rosey nats conf` prints there."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rosey_core", "nats", "conf"), cwd=directory, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    assert child.returncode == 0
    return output.decode()


@pytest.mark.parametrize("scheme", ("nats", "tls"))
async def test_a_server_of_the_owners(cytube: SimulatedCytube, home: Path, alice: Viewer, scheme: str) -> None:
    """The daemon and a worker log in, echo answers, and the plugin's user may do there what it may on our own."""
    tls = certificates(home / "certificates") if scheme == "tls" else ""
    ca = 'ca = "certificates/ca.pem"' if tls else ""
    environ = SECRETS | {"TEST_PASSWORD": "canary-of-the-account"}
    process = RoseyProcess(home, CONFIG.format(site=cytube.url, url=f"{scheme}://x:1", ca=ca), environ=environ)
    conf = await printed(home)
    assert "canary" not in conf
    variables = {f"NATS_PASSWORD_{name}": json.dumps(value) for name, value in SECRETS.items()}
    async with nats_server(home / "theirs", tls + conf, variables) as where:
        text = CONFIG.format(site=cytube.url, url=f"{scheme}://{where}", ca=ca)
        process = RoseyProcess(home, text, environ=environ)
        async with process:
            await cytube.wait_for(lambda: cytube.room.find("Rosey"))
            await process.until("echo runs", lambda s: s["plugins"][0]["state"] == "running")
            await alice.say("!echo over a server of yours")
            assert await alice.expect_line(lambda name, _: name == "Rosey") == "over a server of yours"
            if scheme == "nats":
                await intrude(f"nats://{where}")
            status = await process.ask()
            assert status["nats"]["mode"] == "external"
            assert status["nats"]["connected"]
        assert "canary" not in process.log.read_text()
        assert not (process.state / "nats" / "nats.conf").exists()


@pytest.mark.parametrize("store", ('jetstream {{ store_dir: "{}" }}\n', ""), ids=("on", "off"))
async def test_a_stream_there(cytube: SimulatedCytube, home: Path, alice: Viewer, store: str) -> None:
    """Where JetStream is on, the stream is made there and read; where not, the bot goes on and says what it needs."""
    rest = 'stream = true\n[nats.stream]\nname = "EVENTS"\n[plugins.echo]'
    environ = SECRETS | {"TEST_PASSWORD": "canary-of-the-account"}

    def text(where: str) -> str:
        return CONFIG.format(site=cytube.url, url=f"nats://{where}", ca="").replace("[plugins.echo]", rest)

    RoseyProcess(home, text("x:1"), environ=environ)
    conf = await printed(home)
    assert "[nats.stream] needs a store" in conf
    if not store:
        conf = conf.replace("jetstream: enabled, ", "")
    variables = {f"NATS_PASSWORD_{name}": json.dumps(value) for name, value in SECRETS.items()}
    async with (
        nats_server(home / "theirs", store.format(home / "theirs") + conf, variables) as where,
        RoseyProcess(home, text(where), environ=environ) as process,
    ):
        await cytube.wait_for(lambda: cytube.room.find("Rosey"))
        await process.until("echo runs", lambda s: s["plugins"][0]["state"] == "running")
        if not store:
            status = await process.until("it is told", lambda s: "JetStream is off" in s["nats"]["stream"]["reason"])
            _, page = await process.command("status")
            assert "stream EVENTS: NOT KEPT: JetStream is off there" in " ".join(page.split())
            assert '"stream.missing"' in process.log.read_text()
        else:
            status = await process.until("it is kept", lambda s: s["nats"]["stream"]["reason"] == "")
        await alice.say("!echo all the same")
        assert await alice.expect_line(lambda name, _: name == "Rosey") == "all the same"
        if store:
            client = Client()
            await client.connect(
                f"nats://{where}",
                user="reader",
                password=SECRETS["READER"],
                inbox_prefix="_INBOX_reader",
                allow_reconnect=False,
            )
            subscription = await client.jetstream(domain="rosey").pull_subscribe_bind("reader", "EVENTS")
            heard: list[bytes] = []
            async with asyncio.timeout(20):
                while not any(b"!echo all the same" in data for data in heard):
                    with contextlib.suppress(errors.TimeoutError):
                        heard += [message.data for message in await subscription.fetch(100, timeout=0.5)]
            await client.close()
        assert status["nats"]["connected"]


async def intrude(url: str) -> None:
    """Try what the plugin's user may not, and come without its password."""
    told: list[str] = []

    async def note(error: Exception) -> None:
        told.append(str(error))

    client = Client()
    options: dict[str, Any] = {"allow_reconnect": False, "max_reconnect_attempts": 1, "error_cb": note}
    await client.connect(url, user="echo", password=SECRETS["ECHO"], inbox_prefix="_INBOX_echo", **options)
    for subject in ("rosey.commands.cytube.chat.send_message", "_INBOX_core.heartbeat", "$JS.API.INFO"):
        await client.publish(subject, b"{}")
    await client.subscribe("rosey.>")
    reply = await client.request("rosey.plugins.echo.do.cytube.user.kick", b'{"name": "alice"}', timeout=10)
    assert json.loads(reply.data)["error"]["message"] == "echo was not granted user.kick"
    assert len(told) == 4
    await client.close()
    for user, password in (("echo", ""), ("core", SECRETS["ECHO"]), ("reader", "")):
        stranger = Client()
        with pytest.raises(errors.Error):
            await stranger.connect(url, user=user, password=password, **options)
        await stranger.close()
