"""Run other programs and native code in child processes, with limits on time and memory.

This is the only file that imports subprocess. A crash, hang or out-of-memory of what runs
here becomes a DeviceError that names the stage; it never takes the caller down. A child ends
with the process that started it, even where that one is killed, and may use no more processor
time than its limit allows on every core, and no more memory than the machine has.
"""

import contextlib
import ctypes
import functools
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from harness.errors import DeviceError, StackMissing

if TYPE_CHECKING:
    import asyncio

PIPE = subprocess.PIPE
Process = subprocess.Popen[bytes]
"""A child that was started."""
_PR_SET_PDEATHSIG = 1
"""Source: <linux/prctl.h>."""
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MACHINE_SHARE = 0.9
"""Share of the machine's memory that one child may fill; the rest keeps the machine alive."""
_CAUSE = re.compile(r"error|fatal|fail|abort|terminate|cannot|refuse", re.IGNORECASE)
_PROGRESS = re.compile(r"(INFO|WARNING|VERBOSE|[IW]\d{4} )")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a program left: exit code, standard output and standard error."""

    exit_code: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str | Path],
    *,
    stage: str,
    timeout_s: float,
    memory_mib: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    log: Path | None = None,
) -> Done:
    """Run a program to its end; a non-zero exit code is the caller's to judge.

    Args:
        command: Program and arguments.
        stage: What is being done, for messages, such as `Qualcomm compile for SM8650`.
        timeout_s: Wall-clock limit; the whole process group is killed after it.
        memory_mib: Limit of the address space; None for a program that may leave a server
            behind, as adb does: neither its memory nor its processor time is limited.
        env: Added to this process's environment.
        cwd: Working folder.
        stdin: What the program reads.
        log: File that keeps all that the program prints, as it comes; then `Done` has it twice.

    Raises:
        StackMissing: the program does not exist.
        DeviceError: the log cannot be written, or it ran past the limit or was killed by a signal.
    """
    with _outputs(log) as (out, err):
        process = start(
            command,
            memory_mib=memory_mib,
            env=env,
            cwd=cwd,
            stdin=PIPE,
            stdout=out,
            stderr=err,
        )
        if memory_mib is not None:
            allow_cpu(process.pid, timeout_s)
        _wait(process, stdin, stage=stage, timeout_s=timeout_s)
        done = Done(exit_code=process.returncode, stdout=_text(out), stderr=_text(err))
    if done.exit_code < 0:
        why = last_line(done.stderr or done.stdout)
        raise DeviceError(f"{stage}: crashed ({exit_name(done.exit_code)}): {why}")
    return done


@contextlib.contextmanager
def _outputs(log: Path | None) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open what takes standard output and standard error: two files, or one log for both."""
    if log is None:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            yield out, err
        return
    try:
        file = log.open("w+b", buffering=0)
    except OSError as error:
        raise DeviceError(f"{log}: cannot be written ({error.strerror})") from None
    with file:
        yield file, file


def _wait(process: Process, stdin: bytes, *, stage: str, timeout_s: float) -> None:
    """Feed a child and wait for its end; whatever it leaves running is killed."""
    try:
        process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise DeviceError(f"{stage}: no answer within {timeout_s:g} s; it was stopped") from None
    finally:
        kill(process)


async def spawn(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> "asyncio.subprocess.Process":
    """Start a program in a process group of its own, to be fed and read while it runs.

    The caller reads its pipes, waits for it, and stops it with `stop_group`.

    Raises:
        StackMissing: the program does not exist.
    """
    import asyncio  # only the fake phone needs it; every child of ours imports this file

    try:
        return await asyncio.create_subprocess_exec(
            *(str(part) for part in command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise StackMissing(f"{command[0]}: cannot be run ({error.strerror})") from None


def stop_group(pid: int) -> None:
    """Kill a process that `spawn` started, and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def group_runs(pid: int) -> bool:
    """Return whether any process of a group that `spawn` started still runs."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start(
    command: Sequence[str | Path],
    *,
    memory_mib: int | None,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: int,
    stdout: BinaryIO | int,
    stderr: BinaryIO | int,
) -> Process:
    """Start a program as the leader of a process group, which ends with this process.

    Linux tells a child of the end of the *thread* that started it.

    Raises:
        StackMissing: the program does not exist.
    """
    parent, bound, die_with_parent = os.getpid(), _machine_bytes(), _prctl()

    def limit() -> None:
        os.setpgid(0, 0)
        if die_with_parent is not None:
            die_with_parent(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)  # it was killed before this child could ask to be told
        if memory_mib is not None:
            size = memory_mib * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
            # Address space may be reserved and never touched; data is what fills the machine.
            data = min(size, bound)
            resource.setrlimit(resource.RLIMIT_DATA, (data, data))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    try:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            preexec_fn=limit,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise StackMissing(f"{command[0]}: cannot be run ({error.strerror})") from None


def keep(
    command: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None
) -> Process:
    """Start a program that goes on until its standard input ends, as it does with this process.

    What it prints goes to a log.

    Raises:
        DeviceError: the log cannot be written.
        StackMissing: the program does not exist.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            return start(
                command, memory_mib=None, env=env, cwd=None,
                stdin=subprocess.PIPE, stdout=file, stderr=file,
            )  # fmt: skip
    except OSError as error:
        raise DeviceError(f"{log}: cannot be written ({error.strerror})") from None


def end(process: Process, *, limit_s: float) -> bool:
    """End the input of a program that `keep` started; return whether it ended by itself."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return False
    finally:
        kill(process)
    return True


@functools.cache
def _prctl() -> Callable[..., int] | None:
    """Return Linux's prctl, looked up before a fork; None elsewhere."""
    return ctypes.CDLL(None).prctl if sys.platform == "linux" else None


@functools.cache
def _machine_bytes() -> int:
    """Return what one child may fill of the memory of this machine, or of its container."""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # not in a container, or "max"
        size = min(size, int(_CONTAINER_LIMIT.read_text(encoding="ascii")))
    return int(size * _MACHINE_SHARE)


def allow_cpu(pid: int, timeout_s: float) -> None:
    """Let a child use the time of a call on every core, and no more; it is killed by SIGXCPU.

    The wall-clock limit ends with the process that counts it; this one does not.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, IndexError):  # it has ended already
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        used_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        limit_s = int(used_s + timeout_s * (os.cpu_count() or 1)) + 2
        hard = resource.prlimit(pid, resource.RLIMIT_CPU)[1]
        limit_s = limit_s if hard == resource.RLIM_INFINITY else min(limit_s, hard)
        resource.prlimit(pid, resource.RLIMIT_CPU, (limit_s, hard))


def kill(process: Process) -> None:
    """Kill a child and all that it started, and close its pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def exit_name(exit_code: int) -> str:
    """Return the signal that ended a child, or its exit code, in words."""
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8", errors="replace")


def last_line(text: str) -> str:
    """Return the last line that reads like a cause, else the last that is not mere progress."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if _CAUSE.search(line)]
    others = [line for line in lines if not _PROGRESS.match(line)]
    found = causes or others
    return found[-1][:300] if found else "it did not say why"
