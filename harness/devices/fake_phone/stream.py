"""One open service of the fake phone's daemon."""

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from harness.devices.fake_phone.daemon import Daemon

MOST_BYTES = 1 << 20


class Send(Protocol):
    """What sends one packet to an adb server."""

    async def __call__(self, command: bytes, arg0: int, arg1: int, data: bytes = b"") -> None:
        """Send it, and wait until it has left."""


class Stream:
    """One open service: what came in, and room to send the next piece."""

    def __init__(self, daemon: "Daemon", send: Send, local: int, remote: int) -> None:
        """Open a stream between two numbers of a line that sends packets."""
        self.local = local
        self.remote = remote
        self.daemon = daemon
        self._send = send
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self.closed = False

    def take(self, command: bytes, data: bytes) -> None:
        """Note what the other side sent."""
        if command == b"WRTE":
            self._buffer += data
        elif command == b"OKAY":
            self._free.set()
        else:
            self.closed = True
            self._free.set()
        self._news.set()

    async def read(self, length: int) -> bytes:
        """Return exactly so many bytes.

        Raises:
            EOFError: the other side closed the stream.
        """
        while len(self._buffer) < length:
            if self.closed:
                raise EOFError
            self._news.clear()
            await self._news.wait()
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting until the other side has taken what was sent before.

        Raises:
            EOFError: the other side closed the stream.
        """
        for start in range(0, len(data), MOST_BYTES):
            await self._free.wait()
            if self.closed:
                raise EOFError
            self._free.clear()
            part = data[start : start + MOST_BYTES]
            await self._send(b"WRTE", self.local, self.remote, part)
