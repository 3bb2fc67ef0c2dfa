"""Who may do what in a room: CyTube's permission nodes, with the list locked or unlocked.

It knows ranks and nodes only; which node an action needs stands in `cytube.outgoing`.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

from rosey_core.events import ChannelPermissions, Data, PlaylistLocked

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENTS: frozenset[type[Data]] = frozenset({ChannelPermissions, PlaylistLocked})
"""The events that change it."""

NOBODY = math.inf
"""The rank that nobody has: what a node needs that the room does not define."""


class Permissions:
    """The least rank for each node. CyTube checks a missing node against nothing, so that nobody passes it.

    That holds for site administrators (rank 255) too: in unregistered rooms nodes such as `kick` are missing.
    """

    __slots__ = ("_locked", "_nodes")

    def __init__(self, nodes: Mapping[str, float] | None = None, *, locked: bool = True) -> None:
        self._nodes = dict(nodes or {})
        self._locked = locked

    def apply(self, data: Data) -> None:
        """Take in what was told of permissions; other events change nothing."""
        if isinstance(data, ChannelPermissions):
            self._nodes = dict(data.nodes)
        elif isinstance(data, PlaylistLocked):
            self._locked = data.locked

    @property
    def nodes(self) -> Mapping[str, float]:
        """The least rank for each node, as the room's owner set it."""
        return MappingProxyType(self._nodes)

    @property
    def locked(self) -> bool:
        """Whether the playlist is locked; an unlocked one has easier permissions."""
        return self._locked

    def need(self, node: str) -> float:
        """The least rank that passes `node` now; `NOBODY` where the room does not define it.

        While the list is unlocked, `oplaylistadd` stands beside `playlistadd`, and the lower one counts.
        """
        need = self._nodes.get(node, NOBODY)
        if not self._locked and node.startswith("playlist"):
            need = min(need, self._nodes.get("o" + node, NOBODY))
        return need

    def allows(self, rank: float, node: str) -> bool:
        """Whether somebody of this rank passes `node` now."""
        return rank >= self.need(node)
