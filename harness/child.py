"""Run other programs and native code in child processes, with limits on time and memory.

This is the only file that imports subprocess. A crash, hang or out-of-memory of what runs
here becomes a DeviceError that names the stage; it never takes the caller down. A child ends
with the process that started it, even where that one is killed, and may use no more processor
time than its limit allows on every core, and no more memory than the machine has.
"""

import atexit
import contextlib
import ctypes
import enum
import functools
import io
import os
import pickle
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.errors import DeviceError, HarnessError, StackMissing, TimeLimitError

if TYPE_CHECKING:
    import asyncio

_LOG_TAIL_BYTES = 2000
_NUMPY = re.compile(
    r"numpy\.(dtype|ndarray)|numpy\._?core\.(multiarray\.(_reconstruct|scalar)|numeric\._frombuffer)"
)
"""What NumPy's pickles of arrays and scalars name, in versions 1 and 2."""
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

    Raises:
        StackMissing: the program does not exist.
        DeviceError: it ran past the limit or was killed by a signal.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = _start(
            command,
            memory_mib=memory_mib,
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
        )
        if memory_mib is not None:
            _allow_cpu(process.pid, timeout_s)
        try:
            process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"{stage}: no answer within {timeout_s:g} s; it was stopped"
            ) from None
        finally:
            _kill(process)
        stdout, stderr = _text(out), _text(err)
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise DeviceError(f"{stage}: crashed ({name}): {_last_line(stderr or stdout)}")
    return Done(exit_code=process.returncode, stdout=stdout, stderr=stderr)


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


class Worker:
    """A Python module that runs as a child and answers, one call at a time.

    The module calls `serve` under `if __name__ == "__main__"`. A worker that crashed or ran
    past its limit is started again by the next call. Threads may share it: each call waits for
    the one before it. It stops with `close`, and with this process.
    """

    def __init__(
        self,
        module: str,
        *,
        stage: str,
        log: Path,
        memory_mib: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the worker; it starts with the first call.

        Args:
            module: Dotted name of the module to run.
            stage: What it does, for messages.
            log: File that takes whatever native libraries print.
            memory_mib: Limit of the address space, or None.
            env: Added to this process's environment.
        """
        self._module = module
        self._stage = stage
        self._log = log
        self._memory_mib = memory_mib
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._lock = threading.RLock()

    def call(self, verb: str, /, *args: Any, timeout_s: float, **kwargs: Any) -> Any:
        """Ask the worker to do a verb with picklable arguments and return its answer.

        Raises:
            HarnessError: what the verb raised, of the same kind.
            DeviceError: the worker crashed, ran out of memory or gave no answer in time.
        """
        with self._lock:
            return self._call(verb, args, kwargs, timeout_s)

    def _call(
        self, verb: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout_s: float
    ) -> Any:
        if self._process is not None and self._process.poll() is not None:
            self._stop()  # it died between calls; that is not this call's doing
        process = self._process or self._launch()
        _allow_cpu(process.pid, timeout_s)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((verb, args, kwargs), process.stdin)
            process.stdin.flush()
            answer = _Answer(io.BytesIO(_read_message(process.stdout, timeout_s))).load()
        except TimeoutError:
            self._stop()
            raise TimeLimitError(
                f"{self._stage}: {verb} gave no answer within {timeout_s:g} s; it was stopped"
            ) from None
        except pickle.UnpicklingError as error:
            self._stop()
            raise DeviceError(f"{self._stage}: {verb} gave no data: {error}") from None
        except (EOFError, BrokenPipeError):
            exit_code = process.wait()
            self._stop()
            why = _log_line(self._log, self._log_start)
            raise DeviceError(
                f"{self._stage}: {verb} crashed ({_exit_name(exit_code)}): {why}"
            ) from None
        except BaseException:
            self._stop()  # interrupted between question and answer: the pipe is out of step
            raise
        if isinstance(answer, HarnessError):
            raise answer
        return answer

    def close(self) -> None:
        """Stop the worker and everything it started, once no call is under way."""
        with self._lock:
            self._stop()

    def kill(self) -> None:
        """Kill the worker, whatever it does; a call under way ends with a DeviceError."""
        process = self._process
        if process is not None:
            stop_group(process.pid)

    def _stop(self) -> None:
        """Stop the worker at once; also at the end of this process, where no thread may wait."""
        if self._process is not None:
            _kill(self._process)
            self._process = None

    def _launch(self) -> subprocess.Popen[bytes]:
        atexit.unregister(self._stop)  # a worker that was started again is registered once
        atexit.register(self._stop)
        with self._open_log() as log:
            self._log_start = log.tell() if log.seekable() else 0
            started = _starter(os.getpid()).submit(
                _start,
                [sys.executable, "-m", self._module],
                memory_mib=self._memory_mib,
                env=self._env,
                cwd=None,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
            self._process = started.result()
        return self._process

    def _open_log(self) -> BinaryIO:
        """Open the log; where it cannot be written, what the worker prints is lost."""
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            return self._log.open("ab")
        except OSError:
            return open(os.devnull, "ab")


class _Answer(pickle.Unpickler):
    """What a worker answered: arrays, plain values, and our dataclasses, enums and errors.

    Native code that a model subverted could send a pickle that runs whatever it names.
    """

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name) if _NUMPY.fullmatch(f"{module}.{name}") else None
        named = getattr(sys.modules.get(module), name, None)
        if (
            module.startswith("harness.")
            and isinstance(named, type)
            and named.__module__ == module
            and (is_dataclass(named) or issubclass(named, (enum.Enum, HarnessError)))
        ):
            found = named
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return found


def serve(verbs: Mapping[str, Callable[..., Any]]) -> None:
    """Answer the calls of a Worker until its pipe closes; runs inside the child.

    A HarnessError travels back to the caller; MemoryError becomes a DeviceError. Whatever
    native libraries print on standard output goes to standard error, which is the log.
    """
    questions = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        while True:
            try:
                verb, args, kwargs = pickle.load(questions)
            except EOFError:
                return
            try:
                answer = verbs[verb](*args, **kwargs)
            except HarnessError as error:
                answer = error
            except MemoryError:
                answer = DeviceError(f"{verb}: out of memory")
            data = pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
            answers.write(len(data).to_bytes(8, "little") + data)
            answers.flush()


def _start(
    command: Sequence[str | Path],
    *,
    memory_mib: int | None,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: int,
    stdout: BinaryIO | int,
    stderr: BinaryIO | int,
) -> subprocess.Popen[bytes]:
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


@functools.cache
def _prctl() -> Callable[..., int] | None:
    """Return Linux's prctl, looked up before a fork; None elsewhere."""
    return ctypes.CDLL(None).prctl if sys.platform == "linux" else None


@functools.cache
def _starter(pid: int) -> ThreadPoolExecutor:
    """Return the thread of a process that starts its workers; a fork has no copy of it.

    Linux tells a child of the end of the *thread* that started it, so it must be one that lives
    as long as this process.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="harness-starter")


@functools.cache
def _machine_bytes() -> int:
    """Return what one child may fill of the memory of this machine, or of its container."""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # not in a container, or "max"
        size = min(size, int(_CONTAINER_LIMIT.read_text(encoding="ascii")))
    return int(size * _MACHINE_SHARE)


def _allow_cpu(pid: int, timeout_s: float) -> None:
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


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def _read_message(pipe: Any, timeout_s: float) -> bytes:
    deadline = time.monotonic() + timeout_s
    length = int.from_bytes(_read_exactly(pipe, 8, deadline), "little")
    return _read_exactly(pipe, length, deadline)


def _read_exactly(pipe: Any, length: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([pipe], [], [], left_s)[0]:
            raise TimeoutError
        part = os.read(pipe.fileno(), min(length - len(parts), 2**20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _exit_name(exit_code: int) -> str:
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8", errors="replace")


def _last_line(text: str) -> str:
    """Return the last line that reads like a cause, else the last that is not mere progress."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if _CAUSE.search(line)]
    others = [line for line in lines if not _PROGRESS.match(line)]
    found = causes or others
    return found[-1][:300] if found else "it did not say why"


def _log_line(log: Path, start: int) -> str:
    """Return the cause that the end of a log names, as far as it was written since `start`."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - _LOG_TAIL_BYTES))
            return _last_line(file.read().decode("utf-8", errors="replace"))
    except OSError:
        return _last_line("")
