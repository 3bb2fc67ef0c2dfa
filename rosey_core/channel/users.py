"""Who is in the room, by name in any capitals.

Only logged-in users have names; the anonymous are in `Channel.connected` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EVENTS: frozenset[type[Data]] = frozenset(
    {UserJoined, UserLeft, UserList, UserMetaChanged, UserProfileUpdated, UserRankChanged}
)
"""The events that change it."""

UNKNOWN_RANK = -1.0
"""The rank of somebody who is not in the room: that of the anonymous."""


class Users:
    """The logged-in users, in the order in which they came.

    Names are compared without regard to capitals, as CyTube does, and keep the spelling of their owner.
    """

    __slots__ = ("_users",)

    def __init__(self, users: Iterable[User] = ()) -> None:
        self._users = {user.name.lower(): user for user in users}

    def get(self, name: str) -> User | None:
        """The user of that name, or `None`."""
        return self._users.get(name.lower())

    def rank_of(self, name: str) -> float:
        """The rank of that user; -1, as of the anonymous, for who is not here."""
        user = self._users.get(name.lower())
        return user.rank if user else UNKNOWN_RANK

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._users

    def __iter__(self) -> Iterator[User]:
        """Everybody, as of now: later changes do not disturb the walk."""
        return iter(list(self._users.values()))

    def __len__(self) -> int:
        return len(self._users)

    def apply(self, data: Data) -> None:
        """Take in what happened to users; other events change nothing, nor do those of absent users."""
        match data:
            case UserList():
                if data.page == 1:
                    self._users.clear()
                self._users.update({user.name.lower(): user for user in data.users})
            case UserJoined():
                # Stored as the base type, so that it equals the same user out of a list or a snapshot.
                self._users[data.name.lower()] = User(
                    data.name, data.rank, data.afk, data.muted, data.shadow_muted, data.image, data.text
                )
            case UserLeft():
                self._users.pop(data.name.lower(), None)
            # The others may name somebody absent, and spell the name as whoever made the change typed it.
            case UserRankChanged():
                self._change(data.name, rank=data.rank)
            case UserProfileUpdated():
                self._change(data.name, image=data.image, text=data.text)
            case UserMetaChanged(shadow_muted=None):
                self._change(data.name, afk=data.afk, muted=data.muted)
            case UserMetaChanged():
                self._change(data.name, afk=data.afk, muted=data.muted, shadow_muted=data.shadow_muted)

    def _change(self, name: str, **fields: float | bool | str | None) -> None:
        """Change fields of somebody who is here."""
        if user := self._users.get(name.lower()):
            self._users[name.lower()] = replace(user, **fields)
