"""Events of a plugin's own on their way to the bus, from the daemon and from a plugin's process alike."""

from __future__ import annotations

from rosey_core import subjects
from rosey_core.bus.bus import Bus
from rosey_core.errors import BusError, PluginError


def publish(bus: Bus, plugin: str, name: str, payload: bytes) -> None:
    """Publish an event of a plugin's own.

    Args:
        bus: the connection of the process in which the plugin is.
        plugin: its name.
        name: the event's, one token of the subject.
        payload: JSON.

    Raises:
        PluginError: that is no name for one, or it can't be sent.
    """
    if not subjects.QUERY_NAME.fullmatch(name):
        raise PluginError(f"{name!r} is no name for an event of {plugin}: a-z, 0-9 and _, one word")
    try:
        bus.publish_own(subjects.plugin_event(plugin, name), payload)
    except BusError as error:
        raise PluginError(f"{plugin} can't publish {name}: {error}") from None
