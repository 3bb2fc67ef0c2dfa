"""Two bots that answer each other stop by themselves.

Three answers to one user within 10 s, each within 2 s of their line and nobody else between: then no answer to
them for 60 s. Pure; times are seconds on any one clock.
"""

from __future__ import annotations

from collections import deque

ANSWERS = 3
WINDOW = 10.0
QUICK = 2.0
SILENCE = 60.0


class LoopGuard:
    """Watches who speaks and when we answer."""

    def __init__(self) -> None:
        self._speaker = ""
        self._spoke = 0.0
        self._answered = True
        self._answers: deque[float] = deque(maxlen=ANSWERS)
        self._silent: dict[str, float] = {}

    def heard(self, user: str, now: float) -> None:
        """Somebody else said a line."""
        user = user.lower()
        if user != self._speaker:
            self._answers.clear()
        self._speaker, self._spoke, self._answered = user, now, False

    def silent(self, now: float) -> dict[str, float]:
        """Whom we do not answer, and for how many seconds more."""
        return {user: end - now for user, end in self._silent.items() if end > now}

    def may_answer(self, now: float) -> str:
        """Empty if a line may be said now; else the name of the user whom we do not answer.

        Counts the answer: one for each of their lines, however many lines ours has.
        """
        user = self._speaker
        if not user or now - self._spoke > QUICK:
            return ""
        if self._silent.get(user, now) > now:
            return user
        if self._answered:
            return ""
        if len(self._answers) == ANSWERS and now - self._answers[0] <= WINDOW:
            self._silent = {name: end for name, end in self._silent.items() if end > now}
            self._silent[user] = now + SILENCE
            self._answers.clear()
            return user
        self._answered = True
        self._answers.append(now)
        return ""
