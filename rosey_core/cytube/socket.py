"""The websocket, made cheap: whole text frames land in a deque, as bytes.

`websockets` hands over each message by a future and decodes its text, which costs more than all that rosey does
with most lines. Here the protocol's own frames go into a deque, the reader is woken once for a chunk of them, and
nothing is decoded before `wire` looks at it. The rest is as it was: `websockets` does the handshake, TLS, proxies,
pings, masks, limits and the closing handshake.

Owns the queue between the network and the session, and its bound. It overrides three callbacks of
`ClientConnection`, which a test pins: `process_event`, `data_received` and `connection_lost`.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import PayloadTooBig, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

MOST_FRAMES = 4096
MOST_BYTES = 32 << 20
MOST_PARTS = 4096

_TEXT, _CONT, _BINARY = Opcode.TEXT, Opcode.CONT, Opcode.BINARY


class Socket(ClientConnection):
    """A websocket whose text frames are in `frames`, in order, until `take` removes them.

    When more than 4,096 frames or 32 MiB wait, reading from the network pauses; it goes on at a quarter of that.
    Nothing is dropped.

    Attributes:
        frames: what has arrived and was not taken yet.
        ended: no further frame will come.
        broken: what the server did that no CyTube does, or what our side could not do; empty otherwise.
        pauses: how often reading had to pause.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frames: collections.deque[bytes] = collections.deque()
        self.ended = False
        self.broken = ""
        self.pauses = 0
        self._bytes = 0
        self._parts: list[bytes] = []
        self._reading = True
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # --- for the session ---

    @property
    def why_closed(self) -> int | None:
        """The closing code: the server's, or our own where we found the fault; None when there was neither."""
        closed = self.protocol.close_rcvd or self.protocol.close_sent
        return int(closed.code) if closed else None

    @property
    def overlong(self) -> bool:
        """Whether we ended it because a frame was longer than the limit."""
        return isinstance(self.protocol.parser_exc, PayloadTooBig)

    def take(self) -> bytes:
        """Remove the oldest frame. Raises IndexError when there is none."""
        frame = self.frames.popleft()
        self._bytes -= len(frame)
        if not self._reading and len(self.frames) <= MOST_FRAMES // 4 and self._bytes <= MOST_BYTES // 4:
            self._reading = True
            self.transport.resume_reading()
        return frame

    async def arrival(self, due: float) -> None:
        """Wait until there is a frame, the connection ended, or the loop's clock says `due`.

        It may return for no reason: look, and wait again.
        """
        if self.frames or self.ended:
            return
        # `due` mostly moves on by a little with each frame: the timer is left as it is, and a wake-up that comes
        # too early costs less than a new timer for each frame.
        if self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(due, self._rang)
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def write(self, text: str) -> None:
        """Send a text frame without waiting. After the end of the connection it goes nowhere."""
        if self.protocol.state is not State.OPEN:
            return
        try:
            self.protocol.send_text(text.encode())
            self.send_data()
        except (OSError, RuntimeError, WebSocketException) as error:
            self._end(f"sending failed: {error}")

    async def shut(self) -> None:
        """Close: with a handshake while the other side answers, without one after `close_timeout`."""
        self.ended = True
        self.frames.clear()
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()
        try:
            with contextlib.suppress(OSError, WebSocketException):
                # websockets counts the time of the handshake, but not of the writing before it.
                async with asyncio.timeout(self.close_timeout):
                    await self.close()
        finally:
            self.transport.abort()
        await self.wait_closed()

    # --- for websockets and asyncio ---

    def process_event(self, event: Event) -> None:
        """One frame, or the answer to the handshake."""
        if self.response is None or not isinstance(event, Frame):
            super().process_event(event)
            return
        kind = event.opcode
        if kind is _TEXT and event.fin:
            self._put(bytes(event.data))
        elif kind is _TEXT:
            self._parts = [bytes(event.data)]
        elif kind is _CONT:
            self._add_part(event)
        elif kind is _BINARY:
            self._end("the server sent a binary frame, which CyTube never does")
        else:
            super().process_event(event)

    def data_received(self, data: bytes) -> None:
        """A chunk from the network: any number of frames, and parts of them."""
        super().data_received(data)
        if self.protocol.state > State.OPEN:
            # A close frame, or a fault that made websockets close: the TCP connection may linger.
            self._end("")
        elif self.frames:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The TCP connection is gone."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()
        self._end("")

    def _put(self, frame: bytes) -> None:
        if self.ended:
            return
        self.frames.append(frame)
        self._bytes += len(frame)
        if self._reading and (len(self.frames) > MOST_FRAMES or self._bytes > MOST_BYTES):
            self._reading = False
            self.pauses += 1
            self.transport.pause_reading()

    def _add_part(self, event: Frame) -> None:
        if not self._parts:
            return  # the rest of a binary message, which ended the connection already
        self._parts.append(bytes(event.data))
        if len(self._parts) > MOST_PARTS:
            self._end(f"the server sent one message in more than {MOST_PARTS} parts")
        elif event.fin:
            parts, self._parts = self._parts, []
            self._put(b"".join(parts))

    def _end(self, why: str) -> None:
        self.broken = self.broken or why
        self.ended = True
        self._wake()

    def _rang(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
