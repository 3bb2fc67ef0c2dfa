"""Work that blocks, in a thread of its own.

`asyncio.to_thread` shares a few threads among all, so a plugin that fills them would hold up rosey as well, and the
end of the program waits for them. These threads are for one piece of work each, and nobody waits for them at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T]) -> _T:
    """What `work` returns or raises. It goes on when this is cancelled, and its result is forgotten."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[_T] = loop.create_future()

    def settle(value: _T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # one of the two is there

    def run() -> None:
        value: _T | None = None
        problem: BaseException | None = None
        try:
            value = work()
        except BaseException as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, value, problem)

    threading.Thread(target=run, name="rosey-aside", daemon=True).start()
    return await result


class Loop(asyncio.SelectorEventLoop):
    """asyncio's own loop, which looks up each name in a thread of its own."""

    async def getaddrinfo(self, *where: Any, **options: Any) -> Any:
        """As in the standard library."""
        return await in_thread(partial(socket.getaddrinfo, *where, **options))
