"""What a plugin may keep, and what it can ask of the store: keys, values, their limits, the operations. Pure."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from rosey_core.errors import PluginError

KEY = 512
"""Bytes that a key may have."""
VALUE = 64 << 10
"""Bytes that a value may have, as JSON."""
MOST = 64 << 20
"""Bytes that one plugin may keep in all: keys, values, and `EACH` for every one of them."""
EACH = 64
"""Bytes that every value counts beside its own; about what it takes on the disk."""
LIST = 1_000
"""Keys that are told at once."""

SECONDS = 5.0
"""How long an operation may take."""
AT_ONCE = 64
"""Operations of one plugin under way; its others wait, and nobody else's."""
BIGGEST = 1e300
"""What `add` makes is below."""

NULL = msgspec.Raw(b"null")
ACROSS = ""
"""The name, in place of a channel's, of what a plugin keeps across all channels."""


class Operation(msgspec.Struct, frozen=True):
    """One thing to do. On the bus it is `ask.store`, from a worker to the daemon.

    Attributes:
        do: what.
        channel: in which channel's values, empty for those across all channels.
        key: the key; of `list` what the keys begin with.
        value: what to `put`, to `swap` in (null removes), or to `add`, which is a number.
        old: what `swap` must find; null for nothing.
        ttl: seconds until the value is gone. Without it, it stays; `add` leaves it as it was.
        after: of `list`: begin behind this key.
        limit: of `list`: how many keys at most.
    """

    do: Literal["get", "put", "delete", "list", "swap", "add"]
    channel: str
    key: str
    value: msgspec.Raw = NULL
    old: msgspec.Raw = NULL
    ttl: float | None = None
    after: str = ""
    limit: int = LIST


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a value is."""

    plugin: str
    channel: str
    key: str


def encoded(value: Any, key: str) -> msgspec.Raw:
    """A value as it is stored. Raises `PluginError` when JSON can't say it."""
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise PluginError(f"what should go under {shown(key)} can't be stored: {error}") from None


def checked(operation: Operation) -> Operation:
    """The same operation with its values as they are stored, or a `PluginError` that says what is wrong with it."""
    _check_key(operation.key, "the beginning of keys" if operation.do == "list" else "a key")
    if operation.do == "list":
        _check_key(operation.after, "the key to begin after")
        if not 1 <= operation.limit <= LIST:
            raise PluginError(f"1 to {LIST} keys are told at once, not {operation.limit}; go on with after=")
    elif not operation.key:
        raise PluginError("a key of the store is a text that is not empty")
    if operation.ttl is not None and not 0 < operation.ttl < math.inf:
        raise PluginError(f"the ttl of {shown(operation.key)} is {operation.ttl!r}, and should be seconds above 0")
    value, old = _as_stored(operation.value, operation.key), _as_stored(operation.old, operation.key)
    if operation.do == "add":
        number_in(value, operation.key, "what should be added to")
    return msgspec.structs.replace(operation, value=value, old=old)


def number_in(value: bytes | msgspec.Raw, key: str, what: str) -> int | float:
    """The number that a value is. Raises `PluginError` when it is none; `what` begins the sentence."""
    number = msgspec.json.decode(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise PluginError(f"{what} {shown(key)} is no number: {bytes(value)[:60].decode(errors='replace')}")
    return number


def total(before: float, amount: float, key: str) -> int | float:
    """The sum. Raises `PluginError` when it is too big."""
    try:
        result = before + amount
    except OverflowError:  # an int that no float can hold, and a float
        result = math.inf
    if not abs(result) < BIGGEST:
        raise PluginError(f"the number under {shown(key)} would be too big")
    return result


def shown(key: str) -> str:
    """A key as errors show it."""
    return repr(key if len(key) <= 60 else f"{key[:60]}...")


def _check_key(key: str, what: str) -> None:
    if not isinstance(key, str):
        raise PluginError(f"{what} of the store is a text, not {type(key).__name__}")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise PluginError(f"{what} of the store can't have half a character in it: {shown(key)}") from None
    if "\0" in key:
        raise PluginError(f"{what} of the store can't have a NUL in it: {shown(key)}")
    if size > KEY:
        raise PluginError(f"{what} of the store has at most {KEY} bytes; {shown(key)} has {size:,}")


def _as_stored(value: msgspec.Raw, key: str) -> msgspec.Raw:
    """The same JSON in its one spelling: what is searched and compared later has no other."""
    if bytes(value) == b"null":
        return NULL
    try:
        result = msgspec.json.encode(msgspec.json.decode(value))
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise PluginError(f"what should go under {shown(key)} is no JSON that can be stored: {error}") from None
    if len(result) > VALUE:
        raise PluginError(
            f"the value for {shown(key)} has {len(result):,} bytes as JSON, and one value may have {VALUE:,}; "
            f"put it into several, or into a file in ctx.directory"
        )
    return msgspec.Raw(result)
