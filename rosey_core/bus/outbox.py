"""What waits to go out, and what may be lost. Pure: it neither sends nor waits.

A message is *waiting* until it is taken in a batch, then *in doubt* until the server confirmed a mark that was set
behind it. When the connection breaks, what is in doubt becomes a gap that is not certain: it may have arrived, and
is not sent again, because nothing may arrive twice. When too much waits, the oldest go and become a certain gap.
Gaps come out before every later message of their channel.
"""

from __future__ import annotations

from collections import deque

import msgspec

MAX_MESSAGES = 50_000
MAX_BYTES = 16 << 20
OTHERS = 5_000
"""So many of what belongs to no channel (answers, plugins' own events) may wait, and none where half of the
bytes is used already: it displaces no chat."""


class Gap(msgspec.Struct):
    """Up to `count` messages of a channel from `first` to `last` were lost; all of them, where it is `certain`."""

    count: int
    first: int
    last: int
    certain: bool


Gaps = dict[str, Gap]
"""By channel."""


class Outbox:
    """A bounded queue of NATS commands that keeps account of each channel's numbers.

    Args:
        max_messages: how many may wait.
        max_bytes: how many bytes may wait; one message always may.

    Attributes:
        put_in: how many were ever put in.
        dropped: how many went because too much waited.
    """

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self.put_in = 0
        self.dropped = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[bytes, str, int]] = deque()
        self._bytes = 0
        self._others = 0
        self._fresh: Gaps = {}
        self._marked: deque[tuple[int, Gaps]] = deque()
        self._mark = 0
        self._doubt: Gaps = {}
        self._lost: Gaps = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def passed(self) -> int:
        """How many of those put in wait no more."""
        return self.put_in - len(self._waiting)

    @property
    def in_doubt(self) -> bool:
        """Whether something was taken and no mark is set behind it yet."""
        return bool(self._fresh)

    def put(self, command: bytes, channel: str, seq: int) -> bool:
        """Let a command wait. Without a channel its loss is counted, and makes no gap.

        Returns:
            Whether it waits now. One without a channel may not, where too much waits already.
        """
        waiting = self._waiting
        if not channel:
            if self._others >= OTHERS or self._bytes > self._max_bytes // 2:
                self.dropped += 1
                return False
            self._others += 1
        self.put_in += 1
        waiting.append((command, channel, seq))
        self._bytes += len(command)
        while len(waiting) > self._max_messages or (self._bytes > self._max_bytes and len(waiting) > 1):
            old, old_channel, old_seq = waiting.popleft()
            self._bytes -= len(old)
            self.dropped += 1
            if not old_channel:
                self._others -= 1
            _add(self._lost, old_channel, 1, old_seq, old_seq, certain=True)
        return True

    def batch(self, messages: int, size: int) -> list[bytes]:
        """Take commands in order: up to `messages` of them, and not many more bytes than `size`.

        They are in doubt from now on. Take `gaps` first.
        """
        waiting, fresh = self._waiting, self._fresh
        taken: list[bytes] = []
        while waiting and len(taken) < messages and size > 0:
            command, channel, seq = waiting.popleft()
            taken.append(command)
            size -= len(command)
            self._bytes -= len(command)
            if not channel:
                self._others -= 1
            _add(fresh, channel, 1, seq, seq, certain=False)
        return taken

    def gaps(self) -> list[tuple[str, Gap]]:
        """Take what has to be announced before the next batch, by channel and in order.

        An announcement is in doubt as messages are: if the connection breaks, it comes again.
        """
        if not self._doubt and not self._lost:
            return []
        found = [*self._doubt.items(), *self._lost.items()]
        self._doubt = {}
        self._lost = {}
        for channel, gap in found:
            _add(self._fresh, channel, gap.count, gap.first, gap.last, certain=gap.certain)
        return found

    def mark(self) -> int:
        """Set a mark behind everything taken so far; its number."""
        self._mark += 1
        self._marked.append((self._mark, self._fresh))
        self._fresh = {}
        return self._mark

    def confirm(self, mark: int) -> None:
        """The server has processed everything before this mark."""
        while self._marked and self._marked[0][0] <= mark:
            self._marked.popleft()

    def broken(self) -> None:
        """The connection is gone: what is in doubt becomes gaps."""
        for gaps in (*(gaps for _, gaps in self._marked), self._fresh):
            for channel, gap in gaps.items():
                _add(self._doubt, channel, gap.count, gap.first, gap.last, certain=gap.certain)
        self._marked.clear()
        self._fresh = {}


def _add(gaps: Gaps, channel: str, count: int, first: int, last: int, *, certain: bool) -> None:
    """Count messages into a channel's gap; numbers only grow."""
    if not channel or not last:
        return
    gap = gaps.get(channel)
    if gap is None:
        gaps[channel] = Gap(count, first, last, certain)
        return
    gap.count += count
    gap.last = max(gap.last, last)
    gap.certain = gap.certain and certain
