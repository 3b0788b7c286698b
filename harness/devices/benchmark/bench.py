"""Prepare a phone to run the benchmark tool: its files, its settings, one run at a time."""

import contextlib
import posixpath
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.devices.benchmark import benchmark_tool, delegate_flags, failures, npu
from harness.devices.benchmark.benchmark_tool import Preset
from harness.devices.benchmark.measuring import Measuring
from harness.devices.benchmark.npu import Npu
from harness.devices.benchmark.store import CLEAN, PUSH_MIB_PER_S, SPARE_S, PhoneFiles, copying
from harness.devices.benchmark.tool_file import ToolFile
from harness.devices.phone import device_state
from harness.devices.phone.adb import AdbConnection
from harness.devices.phone.device_state import State
from harness.devices.phone.identity import Identity
from harness.devices.phone.lock import RUN, STORE, PhoneLock, SettingChange
from harness.errors import ConfigError, DeviceError, MeasurementError

_ASK_LIMIT_S = 30.0
_HANG_SHARE = 0.9
_RENEW_S = 20.0
"""The lock is renewed every so many seconds; it lasts much longer."""
POWER = "power"
_PREPARE = f"""{CLEAN}
input keyevent KEYCODE_WAKEUP >/dev/null 2>&1
cmd power set-fixed-performance-mode-enabled false >/dev/null 2>&1; echo "power $?"
ls {STORE}
"""


@dataclass(frozen=True, kw_only=True)
class ToolRun:
    """What one run of the tool left: all it printed, how long it took, files by name."""

    output: str
    elapsed_s: float
    files: Mapping[str, bytes]


class Bench:
    """The benchmark tool on one phone that this harness holds."""

    def __init__(
        self,
        connection: AdbConnection,
        identity: Identity,
        tool: ToolFile,
        *,
        delegate: str,
        accelerator: str,
        measuring: Measuring,
    ) -> None:
        """Describe the bench; the phone is taken by the first `enter`.

        Args:
            connection: The phone.
            identity: What it is.
            tool: The user's benchmark tool.
            delegate: nnapi, gpu, gpu-fp32, npu, cpu, hexagon or the name of an external delegate.
            accelerator: NNAPI's name of the unit, or ''.
            measuring: How to measure.

        Raises:
            ConfigError: the tool is none for this phone.
        """
        tool.check(identity.abis)
        self._connection = connection
        self.identity = identity
        self.tool = tool
        self.delegate = delegate
        self.accelerator = accelerator
        self._measuring = measuring
        self._limit_s = measuring.run_limit_s
        self._recover_s = measuring.recover_s
        self._nnapi = delegate == "nnapi"
        self._lock = PhoneLock(
            connection,
            lease_s=self._limit_s + 2 * SPARE_S + _ASK_LIMIT_S,
            owner=measuring.lock_owner,
            wait_s=measuring.lock_wait_s,
        )
        self._sure = (0, 0.0)
        """Breaks of the connection and the span of time for which the phone is known to be held."""
        self._store = PhoneFiles(connection)
        self._tool_path = ""
        self.flags: frozenset[str] = frozenset()
        self._folders = ""
        self._npu: Npu | None = None
        self._npu_folder = ""
        self.fixed_performance = False
        self.best_sentinel = 0

    @property
    def serial(self) -> str:
        """Return the phone's serial."""
        return self.identity.serial

    def fence(self) -> int:
        """Renew the lock now; return how often the phone had been taken when it was taken.

        Raises:
            DeviceError: the phone is away, or another harness has it.
        """
        if self._lock.enter():
            self.flags = frozenset()  # `enter` prepares it
        return self._lock.fence

    def enter(self) -> None:
        """Take or keep the phone; prepare it where that has not been done since it booted.

        Raises:
            DeviceError: the phone is away, in use, full or read-only, or the tool does not run.
        """
        sure = (self._connection.breaks, time.monotonic() // _RENEW_S)
        if self.flags and sure == self._sure:
            return
        self._connection.wait_ready(timeout_s=self._recover_s)
        known = not self._lock.enter() and bool(self.flags)
        self._sure = (self._connection.breaks, time.monotonic() // _RENEW_S)
        if known:
            return
        self.flags = frozenset()
        lines = self.ask(_PREPARE, "preparing it").splitlines()
        self._store.take_stock([line for line in lines if not line.startswith("power ")])
        changes = [
            SettingChange(kind="setting", name="system screen_off_timeout", value="86400000")
        ]
        if self._nnapi:
            changes.append(SettingChange(kind="logcat", name="main", value="16M"))
            changes.append(SettingChange(kind="prop", name="debug.nn.vlog", value=""))
        self.fixed_performance = self._measuring.fixed_performance and "power 0" in lines
        if self.fixed_performance:
            changes.append(SettingChange(kind="power", name="fixed-performance-mode", value="true"))
        self._lock.change(changes)
        self._tool_path = self.put(self.tool.data, "benchmark_model", mode=0o755)
        self._folders = self._library_folders()
        self.flags = self._ask_flags()

    def leave(self) -> None:
        """Restore the phone and give it back."""
        if self._lock.held:
            self._connection.wait_ready(timeout_s=self._recover_s)
        self._lock.leave()
        self.flags = frozenset()

    def put(self, data: bytes, name: str, *, mode: int = 0o644) -> str:
        """Return the path of a file with this content on the phone, pushing it if it is new."""
        return self._store.put(data, name, mode=mode)

    def run_model(
        self,
        model: bytes,
        preset: Preset,
        flags: Sequence[str],
        *,
        stage: str,
        files: Mapping[str, int] | None = None,
        nnapi_log: bool = False,
        mask: str = "",
        sampler: str = "",
    ) -> ToolRun:
        """Run the tool on a model through the bench's delegate; see `run` for the rest.

        Args:
            model: The .tflite.
            preset: How often, with which threads and arithmetic.
            flags: More flags; one of these replaces the preset's of the same name.
            stage: What is being done, for messages.
            files: Names of the files that it writes, with the most bytes each may have.
            nnapi_log: Let NNAPI log its choices.
            mask: Cores to pin it to, in hex.
            sampler: Shell to run meanwhile.
        """
        known = self.flags
        graph = self.put(model, "model.tflite")
        libraries = self.npu_flags(model, suffix="path")
        fixed = [
            f"--graph={graph}",
            *benchmark_tool.run_flags(preset, flags=known),
            *delegate_flags.ask_for(
                self.delegate,
                accelerator=self.accelerator,
                allow_fp16=preset.allow_fp16,
                external=self._measuring.external,
                flags=known,
            ),
            *(flag for flag in libraries if flag[2:].partition("=")[0] in known),
        ]
        extra = {flag.partition("=")[0] for flag in flags}
        kept = [flag for flag in fixed if flag.partition("=")[0] not in extra]
        with self.naming_libraries(model):
            return self.run(
                [*kept, *flags],
                stage=stage,
                files=files,
                nnapi_log=nnapi_log,
                mask=mask,
                sampler=sampler,
            )

    def npu_flags(self, model: bytes, *, suffix: str) -> Sequence[str]:
        """Return the flags that name an NPU's libraries; see `Npu.flags`."""
        if self._npu is None or not self._npu_folder:
            return ()
        return self._npu.flags(model, self._npu_folder, suffix=suffix)

    def lacking(self, model: bytes) -> str:
        """Return which libraries of an NPU a model's run lacks, or ''."""
        return self._npu.missing(model) if self._npu is not None else ""

    @contextlib.contextmanager
    def naming_libraries(self, model: bytes) -> Iterator[None]:
        """Let an error of a run through an NPU name the libraries that are missing."""
        try:
            yield
        except DeviceError as error:
            lacking = self.lacking(model)
            raise DeviceError(f"{error}; {lacking}" if lacking else str(error)) from None

    def run(
        self,
        flags: Sequence[str],
        *,
        stage: str,
        mask: str = "",
        files: Mapping[str, int] | None = None,
        nnapi_log: bool = False,
        program: str = "",
        copies: Mapping[str, str] | None = None,
        sampler: str = "",
    ) -> ToolRun:
        """Run the tool once.

        Args:
            flags: Its flags; `{run}` stands for the folder that takes what it writes.
            stage: What is being done, for messages.
            mask: Cores to pin it to, in hex; '' for any.
            files: Names of the files that it writes, with the most bytes each may have.
            nnapi_log: Let NNAPI log its choices, and return them as the file `log`.
            program: Path on the phone of another tool to run, or '' for the benchmark tool.
            copies: Files on the phone to copy into the folder before, by their names there.
            sampler: Shell that prints on until it is stopped; it fills the file POWER meanwhile.

        Raises:
            DeviceError: the phone went away, or the tool crashed, hung, failed or is no program.
            ConfigError: the tool does not know a flag.
        """
        command = self._command(
            flags,
            tool=device_state.pinned(program or self._tool_path, mask),
            files=[name for name in files or () if name != POWER],  # it is being written
            nnapi_log=nnapi_log,
        )
        if sampler:
            command = f'({sampler}) >{RUN}/{POWER} & trap "kill $!" EXIT; {command}'
        command = "".join(copying(name, path) for name, path in (copies or {}).items()) + command
        start = time.monotonic()
        limit_s = self._limit_s + SPARE_S
        reply = self._connection.shell(command, stage=stage, timeout_s=limit_s)
        elapsed_s = time.monotonic() - start
        output = f"{reply.stdout}\n{reply.stderr}"
        self._check_exit(reply.exit_code, output, stage, elapsed_s)
        self._check_flags(output)
        wanted = dict(files or {}) | ({"log": 64 * 2**20} if nnapi_log else {})
        found = {name: self._fetch(name, most, stage=stage) for name, most in wanted.items()}
        return ToolRun(output=output, elapsed_s=elapsed_s, files=found)

    def _fetch(self, name: str, most_bytes: int, *, stage: str) -> bytes:
        """Return a file that a run of the tool wrote."""
        return self._connection.pull(
            f"{RUN}/{name}",
            most_bytes=most_bytes,
            stage=f"{stage}: fetching {name}",
            timeout_s=SPARE_S + most_bytes / 2**20 / PUSH_MIB_PER_S,
        )

    def _command(
        self, flags: Sequence[str], *, tool: str, files: Sequence[str], nnapi_log: bool
    ) -> str:
        """Return shell that runs the tool under a limit and leaves its exit code."""
        words = " ".join(shlex.quote(flag.replace("{run}", RUN)) for flag in flags)
        inner = shlex.quote(f'echo $$ >{RUN}/pid; {self._libraries()}exec {tool} "$@"')
        before, after = "", f"rm -f {RUN}/pid"
        if self._nnapi:
            level = "compilation" if nnapi_log else "''"
            before = f"setprop debug.nn.vlog {level}"
            after += "; setprop debug.nn.vlog ''"
        if nnapi_log:
            before += "; logcat -c"
            after += f"; logcat -d -v threadtime >{RUN}/log"
        names = " ".join(f"{RUN}/{name}" for name in files)
        return (
            f"{before or ':'}; cd {RUN} && rm -f {names} {RUN}/log; "
            f"timeout -s 9 {self._limit_s:g} sh -c {inner} sh {words}; code=$?; {after}; exit $code"
        )

    def _libraries(self) -> str:
        """Return shell that lets the tool and its delegate find their libraries."""
        if not self._folders:
            return ""
        return f"export LD_LIBRARY_PATH={self._folders} ADSP_LIBRARY_PATH={self._folders}; "

    def _library_folders(self) -> str:
        """Return the folders on the phone that libraries are looked for in, for the shell."""
        external, libraries = self._measuring.external, self.tool.libraries()
        if self.delegate == "npu" and external is None:
            wanted = npu.needs(self.identity.soc_model)
            on_phone = self.ask(npu.look_command(wanted), "looking for the NPU's libraries")
            at_hand = npu.index(self._measuring.npu_libraries)
            self._npu = npu.choose(wanted, at_hand, on_phone.split())
            libraries |= npu.read(self._npu.files)
        folders = [self._store.folder(libraries)] if libraries else []
        self._npu_folder = folders[0] if self._npu is not None and self._npu.files else ""
        if external is not None and "/" in external.path:
            folders.append(posixpath.dirname(external.path))
        return ":".join(shlex.quote(folder) for folder in folders)

    def state(self, *, sentinel_mask: str | None = None) -> State:
        """Read the phone's state.

        Args:
            sentinel_mask: Run the one-second sentinel workload on these cores ('' for any).
        """
        command = device_state.STATE_COMMAND
        if sentinel_mask is not None:
            path = self.put(device_state.SENTINEL.encode(), "sentinel.sh")
            workload = device_state.pinned(f"sh {path}", sentinel_mask)
            command = f"echo {device_state.MARK}sentinel; {workload}; {command}"
        text = self.ask(command, "reading its state")
        state = device_state.parse(text, fixed_performance=self.fixed_performance)
        if sentinel_mask is not None and state.sentinel is None:
            raise DeviceError(
                f"phone {self.serial}: the sentinel workload printed no count: {text[:200]!r}"
            )
        if state.boot_id != self._lock.boot_id:
            self.flags = frozenset()  # it rebooted unseen: `enter` prepares it again
        self.best_sentinel = max(self.best_sentinel, state.sentinel or 0)
        return state

    @contextlib.contextmanager
    def named(self, stage: str) -> Iterator[None]:
        """Let an error about what the tool left name the phone and the stage."""
        try:
            yield
        except (DeviceError, MeasurementError) as error:
            raise type(error)(f"phone {self.serial}: {stage}: {error}") from None

    def ask(self, command: str, stage: str) -> str:
        """Return what a quick command prints.

        Raises:
            DeviceError: the phone went away, or the command failed with words.
        """
        reply = self._connection.shell(command, stage=stage, timeout_s=_ASK_LIMIT_S)
        if reply.exit_code != 0 and reply.stderr.strip():
            raise DeviceError(f"phone {self.serial}: {stage}: {reply.stderr.strip()[-300:]}")
        return reply.stdout

    def _ask_flags(self) -> frozenset[str]:
        """Return the flags that the tool lists, once for each tool: the phone keeps the answer."""
        stage = "asking the benchmark tool for its flags"
        kept = f"{self._tool_path}.help"
        reply = self._connection.shell(
            f"cat {kept} 2>/dev/null || {{ {self._libraries()}"
            f"timeout -s 9 {_ASK_LIMIT_S:g} {self._tool_path} --help; }}",
            stage=stage,
            timeout_s=2 * _ASK_LIMIT_S,
        )
        output = f"{reply.stdout}\n{reply.stderr}"
        flags = benchmark_tool.known_flags(output)
        if "graph" not in flags:  # the exit code of --help differs by build
            self._check_exit(reply.exit_code or 1, output, stage, 0.0)
        if reply.exit_code != 0:
            words = "\n".join(f"--{flag}=" for flag in sorted(flags))
            self.ask(f"echo {shlex.quote(words)} >{kept}", stage)
        return flags

    def _check_exit(self, exit_code: int, output: str, stage: str, elapsed_s: float) -> None:
        if exit_code == 0:
            return
        hung = elapsed_s >= _HANG_SHARE * self._limit_s
        said = failures.explain(exit_code, output, hung_s=self._limit_s if hung else None)
        if said.startswith(failures.CANNOT_BE_RUN):
            self.flags = frozenset()  # `enter` looks again at what the phone has
            said += f"; the phone runs {', '.join(self.identity.abis)}: fetch a build for that"
        raise DeviceError(f"phone {self.serial}: {stage}: the benchmark tool {said}")

    def _check_flags(self, output: str) -> None:
        strange = benchmark_tool.unconsumed_flags(output)
        if strange:
            raise ConfigError(
                f"{self.tool.path}: does not know {' '.join(strange)} and went on without; "
                "fetch a newer build"
            )
