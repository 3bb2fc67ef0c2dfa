"""nats-py's client, imported without aiohttp and made safe to throw away. All that is private in nats-py is here.

nats-py imports aiohttp where it is installed, for WebSockets that rosey does not use: 0.2 s and 10 MB. So the name
is hidden while it is imported; `import aiohttp` elsewhere works as ever. So is `importlib.metadata`, which only tells
it its own version and costs each worker 2 MB. Import nats-py from here only.

Its own reconnecting, draining, flushing and closing lose, repeat or hang (each seen with nats-py 2.16), so `link`
uses none of them, and a few private names are used instead, each held by a test in `tests/test_client.py`.
"""

from __future__ import annotations

from typing import Any

from rosey_core.hidden import hidden

with hidden("aiohttp"), hidden("importlib.metadata"):
    from nats import errors
    from nats.aio.client import Client as NatsClient
    from nats.aio.client import RawCredentials
    from nats.aio.msg import Msg

__all__ = ["Client", "Msg", "NatsClient", "RawCredentials", "errors"]


class Client(NatsClient):
    """One connection that is never reused."""

    @property
    def unsent(self) -> int:
        """Bytes that the socket did not take yet, ours and asyncio's.

        Until 3.12.9 and 3.13.2 asyncio's `writelines` forgot to say when its buffer is full.
        """
        writer: Any = getattr(self._transport, "_io_writer", None)
        buffered: int = writer.transport.get_write_buffer_size() if writer is not None else 0
        return self.pending_data_size + buffered

    async def write(self, commands: list[bytes]) -> None:
        """Write whole protocol commands, in order, with the next turn of the loop.

        One `publish` costs 2.0 to 2.5 us here, a prepared command 0.5 us: this is the daemon's hot path.
        """
        await self._send_command(commands[0] if len(commands) == 1 else b"".join(commands))
        await self._flush_pending()

    def _connect_command(self) -> bytes:
        """What we say of ourselves, the password included: on `tls://` only where it can't be overheard.

        nats-py would send it in the clear to who says that it has no TLS.
        """
        server: Any = self._current_server
        if server.uri.scheme == "tls" and not self._server_info.get("tls_required"):
            raise errors.Error("the address says tls:// and the server offers no TLS")
        command: bytes = super()._connect_command()
        return command

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002  nats-py's signature
        """Close at once, unsent bytes forgotten; every end of a connection comes through here.

        nats-py would write what is unsent first. On a broken socket this raises, and its tasks and `closed_cb` are
        left behind; on a frozen server it hangs, and when the server wakes up, old messages arrive after new ones.
        """
        self._pending.clear()
        self._pending_data_size = 0
        writer: Any = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()
        await super()._close(status, do_cbs)
