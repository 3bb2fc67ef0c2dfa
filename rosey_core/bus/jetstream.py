"""The words of JetStream, NATS' store: how a stream is made, and what may be asked of it. Pure.

Whoever may ask JetStream anything names where the answer goes, and the server sends it there without a question:
an acknowledgement with `$JS.API.STREAM.DELETE.rosey` for its reply deletes the stream, and one with the subject of an
action does that action. So nobody asks in the account where the daemon and the stream are. A reader has an account of
its own, into which only these services come, and where nothing else is that an answer could reach.
"""

from __future__ import annotations

from typing import Any

from rosey_core import subjects
from rosey_core.config import NatsStream

API = "$JS.API"
DOMAIN = "rosey"
"""In a reader's account the services have the names of a JetStream domain: `$JS.API` is that account's own store."""
READER_API = f"$JS.{DOMAIN}.API"

NO_CONSUMER, NO_STREAM, NOT_ENABLED = 10014, 10059, 10039
"""JetStream's numbers of errors."""

PULL_SECONDS = 60
"""For so long a reader may wait in one request. The server forgets after two minutes where an answer goes."""

_SECOND = 1_000_000_000
_DUPLICATES = 120


def services(stream: str, reader: str) -> dict[str, bool]:
    """What a reader may ask, without the prefix of the API; whether it has several answers."""
    return {
        f"STREAM.INFO.{stream}": False,
        f"STREAM.MSG.GET.{stream}": False,
        f"DIRECT.GET.{stream}": True,
        f"DIRECT.GET.{stream}.>": False,
        f"CONSUMER.INFO.{stream}.{reader}": False,
        f"CONSUMER.MSG.NEXT.{stream}.{reader}": True,
    }


def acks(stream: str, reader: str) -> str:
    """Where a reader says what it handled."""
    return f"$JS.ACK.{stream}.{reader}.>"


def bounds(stream: NatsStream) -> dict[str, Any]:
    """What of a stream's configuration is the owner's in ours: these are changed when they differ."""
    seconds = stream.max_days * 86400
    return {
        "discard": "old",
        "max_bytes": stream.max_mib << 20,
        "max_age": round(seconds * _SECOND),
        "duplicate_window": round(min(seconds, _DUPLICATES) * _SECOND),
        "allow_direct": True,
        "no_ack": True,  # else it answers whoever publishes a request below its subjects
    }


def created(stream: NatsStream) -> dict[str, Any]:
    """The whole configuration, for one that is not there."""
    kept = [f"{subjects.PLATFORM}.>"]
    return {"name": stream.name, "subjects": kept, "storage": "file", "retention": "limits", **bounds(stream)}


def consumer(stream: str, reader: str) -> dict[str, Any]:
    """The request that makes a reader's consumer: each event at least once, from where it stopped."""
    config = {
        "name": reader,
        "durable_name": reader,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "max_expires": PULL_SECONDS * _SECOND,
    }
    return {"stream_name": stream, "config": config, "action": "create"}
