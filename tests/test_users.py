"""The user list: names in any capitals, ranks, and events about people who are not there."""

from __future__ import annotations

from rosey_core.channel.users import UNKNOWN_RANK, Users
from rosey_core.events import (
    Data,
    User,
    UserJoined,
    UserLeft,
    UserList,
    UserMetaChanged,
    UserProfileUpdated,
    UserRankChanged,
)


def users_after(*events: Data) -> Users:
    """The list that these events make."""
    users = Users()
    for event in events:
        users.apply(event)
    return users


def test_names_are_found_in_any_capitals_and_keep_their_own() -> None:
    """Look-ups ignore capitals; what comes out is spelt as its owner spells it."""
    users = users_after(UserJoined("AliCe", 2))
    assert "aLICE" in users
    assert users.get("ALICE") == User("AliCe", 2)
    assert users.rank_of("alice") == 2
    assert [user.name for user in users] == ["AliCe"]


def test_who_is_not_here_is_unknown() -> None:
    """Absent people have no entry and the rank of the anonymous; other types are in no list."""
    users = users_after(UserJoined("alice", 2))
    assert users.get("bob") is None
    assert users.rank_of("bob") == UNKNOWN_RANK == -1
    assert "bob" not in users
    assert 3 not in users


def test_users_stand_in_the_order_in_which_they_came() -> None:
    """A repeated join keeps the place and replaces the rest; leaving and coming back goes to the end."""
    users = users_after(UserJoined("a"), UserJoined("b"), UserJoined("c"), UserJoined("A", 2, afk=True))
    assert list(users) == [User("A", 2, afk=True), User("b"), User("c")]
    users.apply(UserLeft("B"))
    users.apply(UserJoined("b"))
    assert [user.name for user in users] == ["A", "c", "b"]
    assert len(users) == 3


def test_the_first_page_replaces_the_list_and_later_ones_add() -> None:
    """A list in pages is one list."""
    users = users_after(
        UserJoined("gone"),
        UserList((User("a"), User("b")), page=1, pages=2),
        UserList((User("c"),), page=2, pages=2),
    )
    assert [user.name for user in users] == ["a", "b", "c"]


def test_a_rank_change_keeps_the_spelling_of_the_known_name() -> None:
    """CyTube spells the name as the promoter typed it; fractions stay."""
    users = users_after(UserJoined("AliCe", 1, text="hi"), UserRankChanged("alice", 1.5))
    assert list(users) == [User("AliCe", 1.5, text="hi")]


def test_events_about_absent_people_change_nothing() -> None:
    """CyTube tells ranks of people who are elsewhere, and a leave may come twice."""
    before = User("alice")
    users = users_after(
        UserJoined("alice"),
        UserRankChanged("bob", 3),
        UserMetaChanged("bob", afk=True),
        UserProfileUpdated("bob", "x", "y"),
        UserLeft("bob"),
    )
    assert list(users) == [before]


def test_being_away_and_muted() -> None:
    """A change of these tells afk and muted; whether somebody is shadow-muted may be untold, and then stays."""
    users = users_after(UserJoined("alice", 1), UserMetaChanged("alice", afk=True, muted=True, shadow_muted=True))
    users.apply(UserMetaChanged("Alice", muted=True))
    assert list(users) == [User("alice", 1, muted=True, shadow_muted=True)]
    users.apply(UserMetaChanged("alice", shadow_muted=False))
    assert list(users) == [User("alice", 1)]


def test_profiles_change() -> None:
    """Picture and text are replaced, and nothing else."""
    users = users_after(UserJoined("alice", 2, image="old"), UserProfileUpdated("ALICE", "new", "text"))
    assert list(users) == [User("alice", 2, image="new", text="text")]


def test_a_walk_over_the_list_is_not_disturbed_by_changes() -> None:
    """A plugin may await in the middle of a loop while people come and go."""
    users = users_after(UserJoined("a"), UserJoined("b"))
    seen = []
    for user in users:
        seen.append(user.name)
        users.apply(UserLeft("b"))
        users.apply(UserJoined("c"))
    assert seen == ["a", "b"]
