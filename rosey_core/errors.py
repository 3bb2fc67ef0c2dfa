"""Every exception that rosey raises on purpose, in one tree.

    RoseyError
    ├── ConfigError              a setting that can't be used; has file, line and a hint
    ├── CytubeError              anything that goes wrong with CyTube
    │   ├── SocketIOError        the wire: bytes that are no Engine.IO or Socket.IO, silence, refusal
    │   ├── LoginError           CyTube refused the name or the password
    │   ├── ChannelError         the room can't be entered
    │   └── Kicked               CyTube or a moderator threw the bot out
    ├── BusError                 NATS can't be reached or refused us
    │   └── BrokerError          nats-server can't be found or started
    ├── EventLogError            the event log can't be written or read now
    └── PluginError              a plugin is at fault
        ├── ManifestError        what it says of itself is wrong
        ├── NotReady             it can't start yet; try again later
        ├── Taken                another process of it runs already
        └── Unavailable          it was asked, and can't answer now
            └── NoAnswer         a daemon is there and silent

Each text says what, where, and what to do next. None of them ever holds a secret.
"""

from __future__ import annotations

import math


class RoseyError(Exception):
    """The root: `except RoseyError` catches what rosey raises on purpose."""


class ConfigError(RoseyError):
    """A setting that can't be used. `str()` is the whole message, with line and caret where they are known."""


class CytubeError(RoseyError):
    """Anything that goes wrong with CyTube."""


class SocketIOError(CytubeError):
    """The wire: bytes that are no Engine.IO or Socket.IO, silence, or a refused connection."""


class LoginError(CytubeError):
    """CyTube refused the name or the password; the text is CyTube's own."""


class ChannelError(CytubeError):
    """The room can't be entered: it does not exist, or wants another password."""


class Kicked(CytubeError):  # noqa: N818  the older system's name, which plugin authors know
    """The bot was thrown out.

    Attributes:
        reason: CyTube's text; empty when it gave none.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(f"kicked: {reason}" if reason else "kicked, with no reason given")
        self.reason = reason


class BusError(RoseyError):
    """NATS can't be reached or refused us."""


class BrokerError(BusError):
    """nats-server can't be found or started."""


class EventLogError(RoseyError):
    """The event log can't be written or read now: the disk is full, read-only or broken. The text says what."""


class PluginError(RoseyError):
    """A plugin is at fault."""


class ManifestError(PluginError):
    """What a plugin says of itself is wrong."""


class NotReady(PluginError):  # noqa: N818  raised by plugins: `raise NotReady("no disk yet", retry=30)`
    """A plugin can't start yet.

    Attributes:
        retry: seconds until the host tries again; above 0.
    """

    def __init__(self, reason: str, *, retry: float = 30.0) -> None:
        super().__init__(reason)
        if not 0 < retry < math.inf:
            raise ValueError(f"the retry of NotReady is {retry!r}, and should be seconds above 0")
        self.retry = retry


class Taken(PluginError):  # noqa: N818  an answer, as the next one is
    """Another process of this plugin runs already, and answers."""


class Unavailable(PluginError):  # noqa: N818  an answer, not a fault of the asker
    """A plugin was asked and can't answer now: not running, parked, or out of time."""


class NoAnswer(Unavailable):
    """A daemon runs, and does not answer in time."""


def told(error: BaseException) -> str:
    """An exception as `ValueError: its text`, 500 characters at most; also one whose own text fails."""
    try:
        text = str(error)
    except BaseException:  # a plugin's own `__str__` may raise anything
        text = "(its text can't be told)"
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__
