"""What the fake phone serves: a shell, and files both ways."""

import asyncio
import contextlib
import os
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from harness.devices.fake_phone import faults
from harness.devices.fake_phone.faults import Fault
from harness.devices.fake_phone.stream import Stream

_PUMP_BYTES = 65_536


def find(name: str) -> Callable[[Stream], Awaitable[None]] | None:
    """Return what serves a name such as `shell,v2,raw:ls`, or None for what phones refuse."""
    kind, _, rest = name.partition(":")
    options = kind.split(",")
    if options[0] == "shell" and "v2" in options:
        return lambda stream: _shell(stream, rest, exit_codes=True)
    if options[0] in ("shell", "exec"):
        return lambda stream: _shell(stream, rest, exit_codes=False)
    if options[0] == "sync":
        return _sync
    return None


async def _shell(stream: Stream, command: str, *, exit_codes: bool) -> None:
    daemon = stream.daemon
    faults.on_command(daemon, command)
    process = await daemon.run(command)
    assert process.stdin is not None
    process.stdin.close()

    async def pump(pipe: asyncio.StreamReader | None, kind: int) -> None:
        gone = False
        while pipe is not None and (data := await pipe.read(_PUMP_BYTES)):
            text = daemon.folder.to_phone(data)
            header = struct.pack("<BI", kind, len(text)) if exit_codes else b""
            if not gone:
                try:
                    await stream.write(header + text)
                except (OSError, EOFError):
                    gone = True  # the command goes on, as it does on a phone

    await asyncio.gather(pump(process.stdout, 1), pump(process.stderr, 2))
    exit_code = await process.wait()
    daemon.ended(process)
    if exit_codes:
        code = exit_code if exit_code >= 0 else 128 - exit_code
        await stream.write(struct.pack("<BIB", 3, 1, code & 0xFF))


async def _sync(stream: Stream) -> None:
    """Serve files until QUIT. Source: AOSP SYNC.TXT."""
    verbs = {
        b"STAT": _stat,
        b"STA2": _stat2,
        b"LST2": _stat2,
        b"LIST": _list,
        b"SEND": _receive,
        b"RECV": _transmit,
    }
    while True:
        verb, length = struct.unpack("<4sI", await stream.read(8))
        if verb == b"QUIT":
            return
        path = (await stream.read(length)).decode()
        if verb not in verbs:
            await _refuse(stream, f"unknown verb {verb!r}")
            return
        await verbs[verb](stream, path)


async def _stat(stream: Stream, path: str) -> None:
    try:
        found = os.lstat(stream.daemon.folder.to_host(path))
        fields = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
    except OSError:
        fields = (0, 0, 0)
    await stream.write(b"STAT" + struct.pack("<III", *fields))


async def _stat2(stream: Stream, path: str) -> None:
    error, fields = 0, (0,) * 10
    try:
        s = os.stat(stream.daemon.folder.to_host(path))
        times = (int(s.st_atime), int(s.st_mtime), int(s.st_ctime))
        fields = (s.st_dev, s.st_ino, s.st_mode, s.st_nlink, 2000, 2000, s.st_size, *times)
    except OSError as problem:
        error = problem.errno or 1
    await stream.write(b"STA2" + struct.pack("<IQQIIIIQqqq", error, *fields))


async def _list(stream: Stream, path: str) -> None:
    folder = Path(stream.daemon.folder.to_host(path))
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for entry in entries:
        found, name = entry.lstat(), entry.name.encode()
        fields = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime), len(name))
        await stream.write(b"DENT" + struct.pack("<IIII", *fields) + name)
    await stream.write(b"DONE" + bytes(16))


async def _receive(stream: Stream, target: str) -> None:
    """Take a file; on a fault, what came so far stays on the phone, as it does on a real one."""
    name, _, mode = target.rpartition(",")
    path = Path(stream.daemon.folder.to_host(name))
    problem = faults.on_file(stream.daemon)
    with contextlib.ExitStack() as stack:
        file = None
        if not problem:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(path.open("wb"))
            except OSError as error:
                problem = f"couldn't create file: {error.strerror}"
        async for part in _parts(stream):
            if file is not None:
                file.write(part)
                faults.on_bytes(stream.daemon, Fault.UNPLUGGED_IN_PUSH)
    if problem:
        await _refuse(stream, problem)
        return
    path.chmod(stat.S_IMODE(int(mode or "420")))
    await stream.write(b"OKAY" + bytes(4))


async def _parts(stream: Stream) -> AsyncIterator[bytes]:
    while True:
        kind, length = struct.unpack("<4sI", await stream.read(8))
        if kind != b"DATA":
            return
        yield await stream.read(length)


async def _transmit(stream: Stream, name: str) -> None:
    try:
        data = Path(stream.daemon.folder.to_host(name)).read_bytes()
    except OSError as error:
        await _refuse(stream, f"open failed: {error.strerror}")
        return
    for start in range(0, len(data), _PUMP_BYTES):
        part = data[start : start + _PUMP_BYTES]
        await stream.write(b"DATA" + struct.pack("<I", len(part)) + part)
        faults.on_bytes(stream.daemon, Fault.UNPLUGGED_IN_PULL)
    await stream.write(b"DONE" + bytes(4))


async def _refuse(stream: Stream, why: str) -> None:
    text = why.encode()
    await stream.write(b"FAIL" + struct.pack("<I", len(text)) + text)
