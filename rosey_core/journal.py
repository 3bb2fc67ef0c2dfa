"""Writes log lines to systemd's journal with their fields, by its native protocol.

A line is one datagram: `NAME=value` lines, and for a value with line ends its length and bytes instead.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from collections.abc import Mapping
from typing import TextIO

SOCKET = "/run/systemd/journal/socket"
LARGEST = 48 * 1024
"""A datagram that is too big for the socket is sent again with its message alone, cut to so many bytes."""

_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")


def is_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether what is written to `stream` lands in the journal: systemd says so in `$JOURNAL_STREAM`."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


class Journal:
    """A socket to the journal, opened at the first line."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def __del__(self) -> None:
        self.close()

    def send(self, fields: Mapping[str, str]) -> None:
        """Write one entry. Raises `OSError` where there is no journal."""
        if self._socket is None:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            try:
                opened.connect(self._path)
            except OSError:
                opened.close()
                raise
            self._socket = opened
        try:
            self._socket.send(encode(fields))
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                self.close()  # the journal was restarted: the next line connects again
                raise
            message = fields["MESSAGE"].encode("utf-8", "replace")[:LARGEST].decode("utf-8", "ignore")
            self._socket.send(encode({"MESSAGE": message, "PRIORITY": fields.get("PRIORITY", "6")}))

    def close(self) -> None:
        """Close the socket."""
        if self._socket:
            self._socket.close()
            self._socket = None


def encode(fields: Mapping[str, str]) -> bytes:
    """Fields as the journal's protocol writes them. Names become upper case; what it does not allow becomes `_`."""
    out = bytearray()
    for name, value in fields.items():
        key = _NOT_IN_NAMES.sub("_", name.upper()).lstrip("_0123456789")[:64].encode()
        raw = value.encode("utf-8", "replace")
        out += key + (b"\n" + struct.pack("<Q", len(raw)) if b"\n" in raw else b"=") + raw + b"\n"
    return bytes(out)
