"""The plugins of the benchmark: each counts chat lines and how old they are, and writes that down when it is told."""

from __future__ import annotations

import json
import time

from rosey_core.api import Context, Manifest, NormalizedEvent, Settings, hookimpl, query


class _Counting:
    """Counts; `manifest` is the subclass's."""

    def __init__(self, settings: Settings) -> None:
        del settings
        self._delays: list[float] = []
        self._last = 0.0

    @hookimpl
    async def on_chat_message(self, ctx: Context, event: NormalizedEvent) -> None:
        """Count a line."""
        now = time.time()
        self._delays.append(now - float(event.data.text.rpartition(" ")[2]))
        self._last = now
        wanted = len(self._delays)
        if wanted % 1_000 == 0:
            path = ctx.directory / f"{wanted}.json"
            path.write_text(json.dumps({"count": wanted, "last": now, "delays": sorted(self._delays[-1_000:])}))

    @query("count")
    async def count(self, ctx: Context) -> int:
        """How many lines came."""
        del ctx
        return len(self._delays)


class Judge:
    """Looks at each line, and has no opinion."""

    manifest = Manifest(name="benchjudge", summary="Judges.", asks=("chat.read", "judge"))

    def __init__(self, settings: Settings) -> None:
        del settings

    @hookimpl
    async def judge(self, event: NormalizedEvent) -> None:
        """Look at a line."""
        assert event.data.text


def plugin(number: int) -> type[_Counting]:
    """A plugin of its own name."""
    manifest = Manifest(name=f"bench{number}", summary="Counts.", asks=("chat.read",))
    return type(f"Bench{number}", (_Counting,), {"manifest": manifest})


for _number in range(50):
    globals()[f"Bench{_number}"] = plugin(_number)
