"""Where a plugin lives, as the daemon sees it: what can be told and asked of an instance, wherever it runs.

`inside` is the home in the daemon; `outside` is the daemon's end of one in another process, where there is an
`inside` again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from rosey_core.envelope import NormalizedEvent, Verdict
from rosey_core.host.commands import CommandCall

START_SECONDS = 30.0
STOP_SECONDS = 5.0
COMMAND_SECONDS = 10.0
QUERY_SECONDS = 2.0
JUDGE_SECONDS = 5.0
PERSON_SECONDS = 60.0

Person = Literal["forget", "export"]
"""What can be asked of a plugin about a user: the hook's name."""

Say = Callable[[Verdict | str | None], None]
"""Takes what a judge says of one line after another: a verdict, `None` for no opinion, or why it failed there."""


class Failure(msgspec.Struct, frozen=True):
    """A durable plugin failed at an event of a list.

    Attributes:
        handled: how many events of the list before it are handled.
        reason: what it raised, or what became of it.
        retry: seconds after which it wants to be asked again, since it is not the event's fault; 0 for its fault.
    """

    handled: int
    reason: str
    retry: float = 0.0


Deliver = Callable[[Sequence[NormalizedEvent]], Awaitable[Failure | None]]
"""Takes the next events of a channel, a list of 1 to 256; its return means handled. It does not raise.

To a plugin that is not durable an event that it failed at is handled, and counted.
"""


class Counts(msgspec.Struct):
    """What happened to one instance, for `rosey status`; `refused` is what it tried and may not do."""

    calls: int = 0
    errors: int = 0
    overdue: int = 0
    refused: int = 0
    last_error: str = ""

    def refuse(self, why: str) -> None:
        """Count a try."""
        self.refused += 1
        self.last_error = why


class Home(Protocol):
    """One instance of a plugin. Questions raise `Unavailable` when it has no time, and `PluginError` for the rest."""

    name: str

    @property
    def counts(self) -> Counts:
        """What happened to it."""

    def wants(self, event_type: str) -> bool:
        """Whether it may hear this event type, and any hook is for it."""

    def deliver_to(self, channel: str) -> Deliver:
        """The end of the lane of one channel."""

    async def start(self) -> None:
        """Call `start`; it has 30 s. Raises `NotReady` when it should be tried again."""

    async def stop(self, seconds: float) -> None:
        """Call `stop` and end what the plugin left running, within about `seconds`. Raises nothing."""

    async def tidy(self, *, final: bool = False) -> None:
        """End what a start in vain left running; if it is `final`, nothing is done in its name any more."""

    def retire(self) -> None:
        """From now on it is told no more: its lanes end with what each does just now."""

    async def command(self, call: CommandCall) -> Any:
        """What the plugin answers to a command; it has 10 s."""

    async def query(self, channel: str, name: str, args: Mapping[str, Any]) -> Any:
        """What the plugin answers to a query; it has 2 s."""

    async def judge(self, events: Sequence[NormalizedEvent], say: Say) -> None:
        """Say what the plugin says of these lines of one channel, for each in order."""

    async def person(self, what: Person, user: str) -> list[Any]:
        """Have it forget a user, or tell what it keeps about them; it has a minute. An answer for each instance."""

    def overran(self, what: str) -> None:
        """Count that it took too long."""
