"""Requests of ours over the bus: each gets a reply subject of its own, and ends with an answer or for a reason."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable

from rosey_core.errors import BusError, Unavailable


class Questions:
    """The requests that are under way.

    Args:
        publish: sends one: subject, payload, reply subject. Raises `BusError` when it can't go out now.
    """

    def __init__(self, publish: Callable[[str, bytes, str], None]) -> None:
        self._publish = publish
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        # Nobody may guess it: where others may publish there, they could answer.
        self._tokens = (f"{secrets.token_hex(8)}-{number}" for number in itertools.count())

    async def ask(self, subject: str, payload: bytes, *, replies: str, seconds: float | None) -> bytes:
        """Send a request and wait for its answer, as bytes; empty when nobody listens to that subject.

        Args:
            subject: where to.
            payload: what.
            replies: the subject below which the answer comes.
            seconds: for how long to wait; `None` waits until an answer comes, or the connection breaks.

        Raises:
            Unavailable: NATS is away, or no answer came in time.
        """
        reply = f"{replies}.{next(self._tokens)}"
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = future
        try:
            self._publish(subject, payload, reply)
            async with asyncio.timeout(seconds):
                return await future
        except BusError as error:
            raise Unavailable(f"NATS is away: {error}") from None
        except TimeoutError:
            raise Unavailable(f"no answer within {seconds:g} s") from None
        finally:
            del self._waiting[reply]

    def take(self, subject: str, payload: bytes, _reply: str) -> None:
        """Take an answer; one that comes too late, or twice, or on another's subject, is nobody's."""
        future = self._waiting.get(subject)
        if future is not None and not future.done():
            future.set_result(payload)

    def lost(self, reason: str) -> None:
        """The connection broke: no answer will come to what is under way."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable(f"the connection to NATS broke: {reason}"))
