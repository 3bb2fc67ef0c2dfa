"""Permission nodes: ranks with fractions, locked and unlocked lists, nodes that a room lacks."""

from __future__ import annotations

import pytest

from rosey_core.channel.permissions import NOBODY, Permissions
from rosey_core.events import ChannelDrinks, ChannelPermissions, PlaylistLocked

NODES = {
    "chat": 0,
    "pollctl": 1.5,
    "playlistadd": 1.5,
    "oplaylistadd": -1,
    "playlistmove": 1,
    "oplaylistmove": 3,
    "playlistlock": 2,
}


@pytest.mark.parametrize(
    ("rank", "node", "passes"),
    (
        (-1, "chat", False),
        (0, "chat", True),
        (1, "pollctl", False),
        (1.5, "pollctl", True),
        (2, "pollctl", True),
        (1.49, "playlistadd", False),
        (255, "playlistadd", True),
    ),
)
def test_a_rank_passes_a_node_that_is_not_above_it(rank: float, node: str, passes: bool) -> None:
    """Ranks are compared as numbers: a leader's 1.5 is between a user and a moderator."""
    assert Permissions(NODES).allows(rank, node) is passes


@pytest.mark.parametrize("rank", (0, 5, 255))
def test_nobody_passes_a_missing_node(rank: float) -> None:
    """A node that the room lacks, `kick` in an unregistered one, is closed to site administrators too."""
    permissions = Permissions(NODES)
    assert not permissions.allows(rank, "kick")
    assert permissions.need("kick") == NOBODY


def test_an_unlocked_list_has_a_second_way_in() -> None:
    """With the list unlocked, either the node or its `o` form is enough, whichever is lower."""
    locked = Permissions(NODES)
    unlocked = Permissions(NODES, locked=False)
    assert (locked.need("playlistadd"), unlocked.need("playlistadd")) == (1.5, -1)
    assert (locked.need("playlistmove"), unlocked.need("playlistmove")) == (1, 1)


def test_nodes_without_an_open_form_do_not_change_with_the_lock() -> None:
    """`playlistlock` has no open form, and `pollctl` is no matter of the playlist."""
    unlocked = Permissions(NODES | {"opollctl": -1}, locked=False)
    assert (unlocked.need("playlistlock"), unlocked.need("pollctl")) == (2, 1.5)


def test_events_replace_nodes_and_lock() -> None:
    """CyTube tells all nodes at once; until it says otherwise the list is locked and everything closed."""
    permissions = Permissions()
    assert permissions.locked
    assert permissions.need("chat") == NOBODY
    permissions.apply(ChannelPermissions({"chat": 0, "kick": 2}))
    permissions.apply(PlaylistLocked(locked=False))
    permissions.apply(ChannelPermissions({"chat": 1}))
    permissions.apply(ChannelDrinks(3))
    assert dict(permissions.nodes) == {"chat": 1}
    assert not permissions.locked


def test_the_nodes_are_for_reading() -> None:
    """What a reader holds can't change the room."""
    with pytest.raises(TypeError, match="does not support item assignment"):
        Permissions(NODES).nodes["chat"] = 9  # type: ignore[index]  # the very mistake
