"""`ctx.store`: a plugin's values under keys, as the plugin sees them.

It owns types and sentences, and a worker's way to the daemon. Where the values are kept is `storage`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

import msgspec

from rosey_core.charge import waiting
from rosey_core.errors import PluginError, Unavailable
from rosey_core.host import messages
from rosey_core.storage.items import ACROSS, AT_ONCE, LIST, NULL, SECONDS, Operation, checked, encoded, shown

T = TypeVar("T")
Keep = Callable[[str, Operation], Coroutine[Any, Any, msgspec.Raw]]
"""Does what a plugin wants of the store: its name, the operation; the result as JSON."""
Keys = list[str]


Ask = Callable[[str, msgspec.Struct, float], Coroutine[Any, Any, bytes]]
"""A worker's way to ask the daemon: what, the message, for how many seconds to wait. Raises `Unavailable`."""
WAY = 2.0
"""Seconds that a question and its answer may be under way beside the store's own time."""


class _Found(msgspec.Struct):
    value: msgspec.Raw


_found = msgspec.json.Decoder(_Found | None).decode
_yes = msgspec.json.Decoder(bool).decode
_keys = msgspec.json.Decoder(list[str]).decode
_number = msgspec.json.Decoder(int | float).decode


class Store:
    """What a plugin keeps in one channel, or across all: values under keys.

    A value is whatever msgspec can write as JSON: numbers, text, lists, dicts, Structs, dates ...; 65,536 bytes at
    most. A key is a text of 1 to 512 bytes. A plugin may keep 64 MiB in all, and sees no other plugin's values. They
    survive restarts. What waits here is not charged to the call.

    Every method raises `PluginError` when what is asked is wrong, and `Unavailable` when the store can't be used now
    (no space, a file that can't be written). Nothing was changed then, but for one that says that it is not known
    whether it was done: nothing is tried twice for you, since an `add` would count twice.
    """

    def __init__(self, keep: Keep, plugin: str, channel: str) -> None:
        self._keep = keep
        self._plugin = plugin
        self._channel = channel

    @property
    def shared(self) -> Store:
        """The same across all channels: values of their own, whatever the keys."""
        return Store(self._keep, self._plugin, ACROSS)

    @overload
    async def get(self, key: str, type: type[T], default: None = None) -> T | None: ...

    @overload
    async def get(self, key: str, type: type[T], default: T) -> T: ...

    @overload
    async def get(self, key: str, type: Any = Any, default: Any = None) -> Any: ...

    async def get(self, key: str, type: Any = Any, default: Any = None) -> Any:  # noqa: A002  as msgspec calls it
        """The value under a key, as a `type` that msgspec knows; `default` when there is none.

        Raises `PluginError` when what is there is no such type.
        """
        found = await self._get(key)
        return default if found is None else self._typed(found, type, key)

    async def put(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        """Keep a value under a key, in place of what was there; for `ttl` seconds, or until it is deleted."""
        await self._ask("put", key, value=encoded(value, key), ttl=ttl)

    async def delete(self, key: str) -> bool:
        """Remove what is under a key; whether there was something."""
        return _yes(await self._ask("delete", key))

    async def list(self, prefix: str = "", *, after: str = "", limit: int = LIST) -> Keys:
        """The keys that begin with `prefix`, in the order of their characters; 1,000 at most.

        For more, call it again with `after`, the last key that it told.
        """
        return _keys(await self._ask("list", prefix, after=after, limit=limit))

    async def swap(self, key: str, old: Any, new: Any, *, ttl: float | None = None) -> bool:
        """Put `new` in place of `old`, if that is what is there; whether it was.

        `old` is equal to what is there when both are the same JSON, or when what is there, read as the Struct that
        `old` is, equals it. `None` is nothing: as `old` that there is no value (or null), as `new` it removes.
        """
        value = encoded(new, key)
        if _yes(await self._ask("swap", key, old=encoded(old, key), value=value, ttl=ttl)):
            return True
        if not isinstance(old, msgspec.Struct):
            return False
        # A Struct that has got a field with a default since is another JSON: `get` and `swap` would never agree.
        found = await self._get(key)
        try:
            if found is None or msgspec.json.decode(found, type=type(old)) != old:
                return False
        except msgspec.MsgspecError:
            return False
        return _yes(await self._ask("swap", key, old=found, value=value, ttl=ttl))

    async def add(self, key: str, amount: float = 1, *, ttl: float | None = None) -> int | float:
        """Add to the number under a key, 0 where there is none; the sum. However many do so at once, each counts.

        With `ttl` it is gone so many seconds from now; without, when it would have been before.
        """
        total: int | float = _number(await self._ask("add", key, value=encoded(amount, key), ttl=ttl))
        return total

    async def _get(self, key: str) -> msgspec.Raw | None:
        found = _found(await self._ask("get", key))
        return None if found is None else found.value

    def _typed(self, value: msgspec.Raw, kind: Any, key: str) -> Any:
        try:
            return msgspec.json.decode(value, type=kind)
        except msgspec.MsgspecError as error:
            name = getattr(kind, "__name__", kind)
            raise PluginError(
                f"{self._plugin}: what the store has under {shown(key)} is no {name}: {error}"
            ) from None

    async def _ask(
        self,
        do: Any,
        key: str,
        *,
        value: msgspec.Raw = NULL,
        old: msgspec.Raw = NULL,
        ttl: float | None = None,
        after: str = "",
        limit: int = LIST,
    ) -> msgspec.Raw:
        operation = Operation(do, self._channel, key, value, old, ttl, after, limit)
        with waiting():
            return await self._keep(self._plugin, operation)


def through(ask: Ask) -> Keep:
    """The store as a worker has it, by asking the daemon; once, since an `add` that is repeated may count twice."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def keep(_: str, operation: Operation) -> msgspec.Raw:
        asked = checked(operation)
        async with slots:
            try:
                answer = await ask("store", asked, SECONDS + WAY)
            except Unavailable as error:
                raise Unavailable(f"the store did not answer ({error}): whether it was done, is not known") from None
        return messages.raw_result_of(answer)

    return keep
