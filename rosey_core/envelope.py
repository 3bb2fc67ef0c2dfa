"""The envelope around every event, and its JSON on the wire.

Its first five fields are the wire contract of old; unknown fields are ignored and new ones have defaults, so
that readers and writers of different versions understand each other. The shapes of `data` are in `events`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rosey_core.events import EVENT_TYPES, CoreGap, Data, Raw


class Verdict(Data):
    """What a judge said of a line. `stop`: no command, and only hooks that ask for stopped lines hear it."""

    stop: bool
    reason: str = ""
    judge: str = ""


class Metadata(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What rosey knows of an event beside its data.

    `history`: CyTube repeated it at a join. `own`: the bot's own line. `server`: from the server, not from a
    user. `shadow`: from a shadow-muted user, whom others do not see. `verdict`: a judge's.
    """

    history: bool = False
    own: bool = False
    server: bool = False
    shadow: bool = False
    verdict: Verdict | None = None


NOTHING = Metadata()


class NormalizedEvent(msgspec.Struct, frozen=True, gc=False):
    """The envelope. Its first five fields are the wire contract of old; readers ignore what they do not know.

    `seq` counts one channel's events and never repeats. `id` is `{channel}-{seq}`, or for a chat line a hash
    that is the same after a rejoin.
    """

    event_type: str
    platform: str
    data: Any
    timestamp: float
    metadata: Metadata
    id: str
    channel: str
    seq: int


def gap_event(channel: str, gap: CoreGap, now: float, platform: str = "cytube") -> NormalizedEvent:
    """The event that stands where others are missing; its `seq` is the last one's, so order by `seq` holds."""
    return NormalizedEvent("core.gap", platform, gap, now, NOTHING, f"{channel}-gap-{gap.last}", channel, gap.last)


class _Undecoded(msgspec.Struct, gc=False):
    """The envelope before its data is known by type."""

    event_type: str
    data: msgspec.Raw
    timestamp: float
    id: str
    channel: str
    seq: int
    platform: str = "cytube"
    metadata: Metadata = NOTHING


_undecoded = msgspec.json.Decoder(_Undecoded)
_data = {name: msgspec.json.Decoder(struct) for name, struct in EVENT_TYPES.items()}
_raw = msgspec.json.Decoder(Raw)
encode = msgspec.json.Encoder().encode


def decode(payload: bytes) -> NormalizedEvent:
    """The envelope in `payload`, with its data typed. `data` of an unknown type is plain JSON.

    Raises `msgspec.ValidationError` or `msgspec.DecodeError` for what is no event.
    """
    raw = _undecoded.decode(payload)
    decoder = _data.get(raw.event_type) or (_raw if raw.event_type.startswith("raw.") else None)
    data = decoder.decode(raw.data) if decoder else msgspec.json.decode(raw.data)
    return NormalizedEvent(
        event_type=raw.event_type,
        platform=raw.platform,
        data=data,
        timestamp=raw.timestamp,
        metadata=raw.metadata,
        id=raw.id,
        channel=raw.channel,
        seq=raw.seq,
    )
