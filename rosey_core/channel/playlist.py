"""The playlist: items by uid, their order, and which is the current one.

A list of uids and a dict: the usual case, an item at the end, costs the same in a list of 4,000 (CyTube's
limit) as in an empty one, and everything else is one search in C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from rosey_core.events import (
    Data,
    Item,
    MediaDeleted,
    MediaMoved,
    MediaPlayed,
    MediaQueued,
    MediaTempChanged,
    PlaylistCurrent,
    PlaylistLoaded,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EVENTS: frozenset[type[Data]] = frozenset(
    {MediaDeleted, MediaMoved, MediaPlayed, MediaQueued, MediaTempChanged, PlaylistCurrent, PlaylistLoaded}
)
"""The events that change it."""

PREPEND = "prepend"
APPEND = "append"


class Playlist:
    """The room's playlist, as far as the bot may see it.

    It loops: after the last item comes the first. All uids change when somebody shuffles it.
    """

    __slots__ = ("_current", "_items", "_order")

    def __init__(self, items: Iterable[Item] = (), current: int | None = None) -> None:
        self._items: dict[int, Item] = {}
        self._order: list[int] = []
        self._current = current
        self._extend(items)

    @property
    def current_uid(self) -> int | None:
        """The uid of the current item. It may be known while the item is not, where the bot sees no list."""
        return self._current

    @property
    def current(self) -> Item | None:
        """The current item, or `None` when nothing plays or the bot may not see the list."""
        return None if self._current is None else self._items.get(self._current)

    @property
    def seconds(self) -> float:
        """How long all items are together; live ones count nothing."""
        return sum(item.media.seconds for item in self._items.values())

    def get(self, uid: int) -> Item | None:
        """The item of that uid, or `None`."""
        return self._items.get(uid)

    def position(self, uid: int) -> int | None:
        """The place of an item, counted from 0, or `None`."""
        return self._order.index(uid) if uid in self._items else None

    def after(self, item: Item | int | None) -> Item | None:
        """What plays after an item (or uid), or `None` if that is not in the list. A lone item follows itself."""
        uid = item.uid if isinstance(item, Item) else item
        if uid is None or uid not in self._items:
            return None
        place = self._order.index(uid) + 1
        return self._items[self._order[place % len(self._order)]]

    def __contains__(self, uid: object) -> bool:
        return uid in self._items

    def __iter__(self) -> Iterator[Item]:
        """All items in order, as of now: later changes do not disturb the walk."""
        return iter(list(map(self._items.__getitem__, self._order)))

    def __len__(self) -> int:
        return len(self._order)

    def apply(self, data: Data) -> None:
        """Take in what happened to the list; other events change nothing, nor do those of unknown items."""
        match data:
            case MediaQueued():
                self._queue(data.item, data.after)
            case MediaDeleted():
                self._delete(data.uid)
            case MediaMoved():
                self._move(data.uid, data.after)
            case PlaylistCurrent() | MediaPlayed(uid=int()):
                self._current = data.uid
            case MediaTempChanged():
                if item := self._items.get(data.uid):
                    self._items[data.uid] = replace(item, temp=data.temp)
            case PlaylistLoaded():
                if data.page == 1:
                    self._items.clear()
                    self._order.clear()
                self._extend(data.items)
                if not self._order:
                    self._current = None

    def _extend(self, items: Iterable[Item]) -> None:
        """Add items at the end."""
        for item in items:
            if item.uid not in self._items:
                self._order.append(item.uid)
            self._items[item.uid] = item

    def _queue(self, item: Item, after: int | str) -> None:
        """Take a new item in."""
        if item.uid in self._items:
            self._order.remove(item.uid)
        self._items[item.uid] = item
        self._place(item.uid, after)

    def _move(self, uid: int, after: int | str) -> None:
        """Move an item. The current item stays the current one."""
        if uid not in self._items or uid == after or not (after in {PREPEND, APPEND} or after in self._items):
            return
        self._order.remove(uid)
        self._place(uid, after)

    def _place(self, uid: int, after: int | str) -> None:
        """Put a uid into the order. Behind an unknown one means at the end, so that nothing is lost."""
        order = self._order
        if after == PREPEND:
            order.insert(0, uid)
        elif not order or order[-1] == after or after not in self._items or after == uid:
            order.append(uid)
        else:
            order.insert(order.index(after) + 1, uid)

    def _delete(self, uid: int) -> None:
        """Take an item out."""
        if self._items.pop(uid, None) is None:
            return
        self._order.remove(uid)
        if uid == self._current:
            self._current = None
