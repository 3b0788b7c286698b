"""Answer an adb server as a phone would: commands with exit codes, and files both ways.

    async with Daemon(folder) as daemon:      # then: adb connect 127.0.0.1:{daemon.port}

The daemon speaks adb's device side over TCP on the loopback interface only, and only with an adb
server that signs with a key of this user: other users reach the same interface. Commands run in
this computer's shell with the phone's folder in place of /data, /sys and parts of /proc, and
with the folder's own `getprop`, `dumpsys`, `taskset` and so on first on the PATH.

Source: AOSP packages/modules/adb: protocol.txt, SYNC.TXT, SERVICES.TXT, shell_protocol.h.
"""

import asyncio
import contextlib
import os
import struct
from collections.abc import Awaitable
from typing import Self

from harness import child
from harness.devices.fake_phone import authorization, faults, services
from harness.devices.fake_phone.faults import Fault
from harness.devices.fake_phone.folder import Folder
from harness.devices.fake_phone.stream import MOST_BYTES, Stream

_VERSION = 0x01000001
_HEADER = struct.Struct("<4sIIIII")
_FEATURES = "shell_v2,cmd,stat_v2,ls_v2"
_AUTH_TOKEN = 1
_AUTH_SIGNATURE = 2
_SIGNATURES_MAX = 32
"""Keys that one adb server may try; it has few."""


class Daemon:
    """The adb daemon of one fake phone, for any number of adb servers."""

    def __init__(self, folder: Folder, *, port: int = 0) -> None:
        """Prepare to serve a folder; port 0 takes any free one."""
        self.folder = folder
        self.port = port
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._groups: set[int] = set()

    async def __aenter__(self) -> Self:
        """Start to listen on the loopback interface."""
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, drop every line and kill what commands left running."""
        await self.unplug()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pid in self._groups:
            child.stop_group(pid)

    async def unplug(self) -> None:
        """Stop listening and drop every line; commands go on, as on a phone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._lines):
            writer.transport.abort()

    async def plug_in(self) -> None:
        """Listen again on the same port."""
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve_line, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def start(self, work: Awaitable[None]) -> None:
        """Keep a piece of work running until it ends or the daemon stops."""
        task = asyncio.ensure_future(_swallow(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def away(self, *, after_s: float, for_s: float, reboot: bool = False) -> None:
        """Go away after some seconds and come back, rebooted or not."""

        async def leave() -> None:
            await asyncio.sleep(after_s)
            await self.unplug()
            if reboot:
                for pid in tuple(self._groups):
                    child.stop_group(pid)
                self.folder.reboot()
            await asyncio.sleep(for_s)
            await self.plug_in()

        self.start(leave())

    async def _serve_line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        line = _Line(self, reader, writer)
        try:
            await line.serve()
        except (OSError, EOFError, struct.error):
            pass  # the server went away; it comes back by a new line
        finally:
            self._lines.discard(writer)
            writer.transport.abort()
            line.close()

    async def run(self, command: str) -> asyncio.subprocess.Process:
        """Start a command in the phone's shell."""
        process = await child.spawn(
            ["/bin/sh", "-c", self.folder.to_host(command)],
            env=self.folder.environment(),
            cwd=self.folder.path,
        )
        self._groups.add(process.pid)
        return process

    def running(self) -> int:
        """Return how many commands, or what they left behind, still run."""
        return sum(1 for pid in self._groups if child.group_runs(pid))

    def ended(self, process: asyncio.subprocess.Process) -> None:
        """Forget a process that ended and left nothing behind."""
        if not child.group_runs(process.pid):
            self._groups.discard(process.pid)


async def _swallow(work: Awaitable[None]) -> None:
    with contextlib.suppress(OSError, EOFError, struct.error):
        await work


class _Line:
    """One adb server's connection: packets in, packets out, streams between."""

    def __init__(
        self, daemon: Daemon, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.daemon = daemon
        self._reader = reader
        self._writer = writer
        self._streams: dict[int, Stream] = {}
        self._next = 1
        self._token = b""
        self._signatures = 0
        self._trusted = False

    async def serve(self) -> None:
        while True:
            command, arg0, arg1, length, _, _ = _HEADER.unpack(
                await self._reader.readexactly(_HEADER.size)
            )
            if length > MOST_BYTES:
                return
            data = await self._reader.readexactly(length)
            if command == b"CNXN":
                self._trusted = False
                await self._challenge()
            elif command == b"AUTH":
                if arg0 == _AUTH_SIGNATURE and not self._trusted:
                    await self._check(data)
            elif not self._trusted:
                continue  # as adbd does: nothing is open to whom it does not know
            elif command == b"OPEN":
                self._open(arg0, data.rstrip(b"\0").decode())
            elif arg1 in self._streams:
                self._streams[arg1].take(command, data)
                if command == b"WRTE":
                    await self.send(b"OKAY", arg1, arg0)

    async def _challenge(self) -> None:
        if faults.present(self.daemon.folder, Fault.OFFLINE):
            return
        self._token = os.urandom(authorization.TOKEN_BYTES)
        await self.send(b"AUTH", _AUTH_TOKEN, 0, self._token)

    async def _check(self, signature: bytes) -> None:
        """Let a server in that signed the token with a key of this user; else ask for another."""
        self._signatures += 1
        keys = authorization.owners_keys()
        if faults.present(self.daemon.folder, Fault.UNAUTHORIZED):
            keys = ()
        if self._token and any(key.signed(self._token, signature) for key in keys):
            self._token, self._trusted = b"", True
            await self._greet()
        elif self._signatures < _SIGNATURES_MAX:
            await self._challenge()

    async def _greet(self) -> None:
        folder = self.daemon.folder
        banner = (
            f"device::ro.product.name={folder.getprop('ro.product.name')};"
            f"ro.product.model={folder.getprop('ro.product.model')};"
            f"ro.product.device={folder.getprop('ro.product.device')};features={_FEATURES}"
        )
        await self.send(b"CNXN", _VERSION, MOST_BYTES, banner.encode())

    def _open(self, remote: int, name: str) -> None:
        stream = Stream(self.daemon, self.send, self._next, remote)
        self._streams[self._next] = stream
        self._next += 1
        self.daemon.start(self._work(stream, name))

    async def _work(self, stream: Stream, name: str) -> None:
        service = services.find(name)
        if service is None:
            await self.send(b"CLSE", 0, stream.remote)
            return
        await self.send(b"OKAY", stream.local, stream.remote)
        try:
            await service(stream)
        finally:
            self._streams.pop(stream.local, None)
            await self.send(b"CLSE", stream.local, stream.remote)

    async def send(self, command: bytes, arg0: int, arg1: int, data: bytes = b"") -> None:
        magic = struct.unpack("<I", command)[0] ^ 0xFFFFFFFF
        # Peers of this version check only what is sent before they have agreed on it.
        check = sum(data) & 0xFFFFFFFF if command in (b"CNXN", b"AUTH") else 0
        self._writer.write(_HEADER.pack(command, arg0, arg1, len(data), check, magic) + data)
        await self._writer.drain()

    def close(self) -> None:
        for stream in self._streams.values():
            stream.take(b"CLSE", b"")
