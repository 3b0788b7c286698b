"""Keep Python modules at work in child processes, and call them; limits as for any child.

Native code runs so: a crash, hang or out-of-memory of it becomes a DeviceError that names the
stage, and the next call starts the worker again.
"""

import atexit
import enum
import functools
import io
import os
import pickle
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, BinaryIO

from harness import child
from harness.errors import DeviceError, HarnessError, TimeLimitError

_LOG_TAIL_BYTES = 2000
_NUMPY = re.compile(
    r"numpy\.(dtype|ndarray)|numpy\._?core\.(multiarray\.(_reconstruct|scalar)|numeric\._frombuffer)"
)
"""What NumPy's pickles of arrays and scalars name, in versions 1 and 2."""


ONE_A_CORE = os.cpu_count() or 1
"""Processes of a worker of which the threads of a run need several."""


class Worker:
    """A Python module that runs in child processes and answers, in each one call at a time.

    The module calls `serve` under `if __name__ == "__main__"`. A process that crashed or ran
    past its limit is replaced by the next call. Threads may share a worker: it starts a further
    process where all are busy, up to a number, and then each call waits for one that is free. It
    stops with `close`, and with this process.
    """

    def __init__(
        self,
        module: str,
        *,
        stage: str,
        log: Path,
        memory_mib: int | None = None,
        env: Mapping[str, str] | None = None,
        processes: int = 1,
    ) -> None:
        """Describe the worker; it starts with the first call.

        Args:
            module: Dotted name of the module to run.
            stage: What it does, for messages.
            log: File that takes whatever native libraries print; of the second process and so on
                its name has a number.
            memory_mib: Limit of the address space of a process, or None.
            env: Added to this process's environment.
            processes: How many calls may be under way, each in a process of its own.
        """
        self._processes = [
            _Process(
                module,
                stage=stage,
                log=log.with_stem(f"{log.stem}-{number}") if number else log,
                memory_mib=memory_mib,
                env=env,
            )
            for number in range(processes)
        ]
        self._free = list(reversed(self._processes))
        self._freed = threading.Condition()

    def call(self, verb: str, /, *args: Any, timeout_s: float, **kwargs: Any) -> Any:
        """Ask the worker to do a verb with picklable arguments and return its answer.

        Raises:
            HarnessError: what the verb raised, of the same kind.
            DeviceError: the worker crashed, ran out of memory or gave no answer in time.
        """
        with self._freed:
            while not self._free:
                self._freed.wait()
            process = self._free.pop()  # the one used last: what it keeps is of most use
        try:
            return process.call(verb, args, kwargs, timeout_s)
        finally:
            with self._freed:
                self._free.append(process)
                self._freed.notify_all()

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the ids of the processes that run."""
        found = (one.pid for one in self._processes)
        return tuple(pid for pid in found if pid is not None)

    def close(self) -> None:
        """Stop the worker and everything it started, once no call is under way."""
        with self._freed:
            while len(self._free) < len(self._processes):
                self._freed.wait()
            for process in self._processes:
                process.stop()

    def kill(self) -> None:
        """Kill the worker, whatever it does; a call under way ends with a DeviceError."""
        for process in self._processes:
            process.kill()


class _Process:
    """One child process of a worker; it starts with a call, and again after its end."""

    def __init__(
        self,
        module: str,
        *,
        stage: str,
        log: Path,
        memory_mib: int | None,
        env: Mapping[str, str] | None,
    ) -> None:
        self._module = module
        self._stage = stage
        self._log = log
        self._memory_mib = memory_mib
        self._env = env
        self._process: child.Process | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def call(
        self, verb: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], timeout_s: float
    ) -> Any:
        if self._process is not None and self._process.poll() is not None:
            self.stop()  # it died between calls; that is not this call's doing
        process = self._process or self._launch()
        child.allow_cpu(process.pid, timeout_s)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((verb, args, kwargs), process.stdin)
            process.stdin.flush()
            answer = _Answer(io.BytesIO(_read_message(process.stdout, timeout_s))).load()
        except TimeoutError:
            self.stop()
            raise TimeLimitError(
                f"{self._stage}: {verb} gave no answer within {timeout_s:g} s; it was stopped"
            ) from None
        except pickle.UnpicklingError as error:
            self.stop()
            raise DeviceError(f"{self._stage}: {verb} gave no data: {error}") from None
        except (EOFError, BrokenPipeError):
            exit_code = process.wait()
            self.stop()
            why = _log_line(self._log, self._log_start)
            raise DeviceError(
                f"{self._stage}: {verb} crashed ({child.exit_name(exit_code)}): {why}"
            ) from None
        except BaseException:
            self.stop()  # interrupted between question and answer: the pipe is out of step
            raise
        if isinstance(answer, HarnessError):
            raise answer
        return answer

    def kill(self) -> None:
        """Kill it, whatever it does, from another thread than the one that waits for it."""
        process = self._process
        if process is not None:
            child.stop_group(process.pid)

    def stop(self) -> None:
        """Stop it at once; also at the end of this process, where no thread may wait."""
        if self._process is not None:
            child.kill(self._process)
            self._process = None

    def _launch(self) -> child.Process:
        atexit.unregister(self.stop)  # a process that was started again is registered once
        atexit.register(self.stop)
        with self._open_log() as log:
            self._log_start = log.tell() if log.seekable() else 0
            started = _starter(os.getpid()).submit(
                child.start,
                [sys.executable, "-m", self._module],
                memory_mib=self._memory_mib,
                env=self._env,
                cwd=None,
                stdin=child.PIPE,
                stdout=child.PIPE,
                stderr=log,
            )
            self._process = started.result()
        return self._process

    def _open_log(self) -> BinaryIO:
        """Open the log; where it cannot be written, what the process prints is lost."""
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


@functools.cache
def _starter(pid: int) -> ThreadPoolExecutor:
    """Return the thread of a process that starts its workers; a fork has no copy of it.

    Linux tells a child of the end of the *thread* that started it, so it must be one that lives
    as long as this process.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="harness-starter")


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


def _log_line(log: Path, start: int) -> str:
    """Return the cause that the end of a log names, as far as it was written since `start`."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - _LOG_TAIL_BYTES))
            return child.last_line(file.read().decode("utf-8", errors="replace"))
    except OSError:
        return child.last_line("")
