"""Events of a plugin's own: the same from the daemon and from a worker."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
import structlog

from rosey_core.bus.bus import USUAL_MAX_PAYLOAD, Bus, Login
from rosey_core.clock import wall
from rosey_core.errors import BusError, PluginError
from rosey_core.host.door import Door
from rosey_core.host.own_events import publish


async def _away() -> Login:
    raise BusError("NATS is away")


@pytest.fixture
def bus() -> Bus:
    """One that is not connected: what is published waits."""
    return Bus(_away, name="x", gap=lambda *_: ("", b""), log=structlog.get_logger())


@pytest.mark.parametrize("name", ("", "a.b", "Two", "two words", ">", "*", "1st"))
def test_names(bus: Bus, name: str) -> None:
    """What is no single token is refused, with the name and what it should be."""
    with pytest.raises(PluginError, match="is no name for an event of quotes: a-z, 0-9 and _, one word"):
        publish(bus, "quotes", name, b"{}")
    assert bus.counts()["published"] == 0


async def test_from_a_worker(bus: Bus) -> None:
    """A worker's door says the same about a name, and publishes what is a good one."""
    door = Door("quotes", bus, wall, cast("Any", None))
    with pytest.raises(PluginError, match="is no name for an event of quotes"):
        door.publish("quotes", "a.b", {})
    door.publish("quotes", "told", {"by": "alice"})
    (command,) = bus._outbox.batch(9, 1 << 20)
    head, payload, _ = command.split(b"\r\n")
    assert head.split()[1] == b"rosey.events.quotes.told"
    assert json.loads(payload) == {"by": "alice"}


def test_too_big(bus: Bus) -> None:
    """What the bus refuses is told with the plugin and the event."""
    with pytest.raises(PluginError, match=r"quotes can't publish told: its \d+ bytes are more than NATS takes"):
        publish(bus, "quotes", "told", b"x" * (USUAL_MAX_PAYLOAD + 1))
