"""What `rosey plugins run` reads for the plugin that it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rosey_core.bus.bus import Login
from rosey_core.cli.unit import orders_of
from rosey_core.errors import ConfigError
from rosey_core.host.orders import Orders
from tests.servers import certificates
from tests.written import SMALL, loaded

ENVIRON = {"PASSWORD": "pw-canary", "KEY": "key-canary"}
UNIT = """
[plugins.echo]
enabled = true
run = "unit"
nats_password = { env = "PASSWORD" }
settings = { key = { env = "KEY" } }
"""
LISTEN = '[nats]\nlisten = "127.0.0.1:4222"\n'


def orders(text: str) -> Orders:
    """Those of echo."""
    return orders_of(loaded(SMALL + text), "echo", ENVIRON)


def test_beside_the_daemon(home: Path) -> None:
    """NATS is where the daemon's own listens; secrets are read here; files are below the state directory."""
    found = orders(LISTEN + UNIT)
    assert found.value == "rosey_plugins.echo:Echo"
    assert found.login == Login("nats://127.0.0.1:4222", "echo", "pw-canary")
    assert list(found.secrets.values()) == ["key-canary"]
    assert found.directory == str(home / "rosey-state" / "plugins" / "echo")
    assert found.parent == 0


def test_a_directory_of_its_own(home: Path) -> None:
    """What systemd names counts, also where the configuration says where the daemon's is."""
    one = loaded('state_directory = "/var/lib/rosey"\n' + SMALL + LISTEN + UNIT)
    found = orders_of(one, "echo", ENVIRON | {"STATE_DIRECTORY": "/var/lib/rosey-plugin/echo"})
    assert found.directory == "/var/lib/rosey-plugin/echo"


def test_a_server_of_the_owners(home: Path) -> None:
    """NATS is where the configuration says, with the authority to trust; the daemon's password is not looked at."""
    certificates(home / "tls")
    nats = '[nats]\nmode = "external"\nurl = "tls://h:4222"\nca = "tls/ca.pem"\npassword = { env = "NOBODY" }\n'
    ca = (home / "tls" / "ca.pem").read_text()
    assert orders(nats + UNIT).login == Login("tls://h:4222", "echo", "pw-canary", ca=ca)


def test_what_is_not_there(home: Path) -> None:
    """A plugin that is not installed is told with the Python that does not have it."""
    one = loaded(SMALL + LISTEN + UNIT.replace("echo", "absent"))
    with pytest.raises(ConfigError, match=r"the plugin absent is not installed for .*python"):
        orders_of(one, "absent", ENVIRON)
