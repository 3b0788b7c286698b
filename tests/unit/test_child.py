"""Tests of programs in child processes."""

import signal
import sys
from pathlib import Path

import pytest

from harness import child
from harness.errors import DeviceError, StackMissing
from tests.processes import wait_until_dead

_ROOT = Path(__file__).parents[2]


def python(code: str, **known: object) -> child.Done:
    settings: dict[str, object] = {"stage": "the test", "timeout_s": 30.0} | known
    return child.run([sys.executable, "-c", code], **settings)  # type: ignore[arg-type]


class TestRun:
    def test_gives_exit_code_and_both_outputs(self) -> None:
        done = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")

        assert (done.exit_code, done.stdout, done.stderr) == (3, "out\n", "err\n")

    def test_gives_standard_input_and_environment(self, tmp_path: Path) -> None:
        done = python(
            "import os, sys; print(sys.stdin.read(), os.environ['COLOUR'], os.getcwd())",
            stdin=b"hello", env={"COLOUR": "red"}, cwd=tmp_path,
        )  # fmt: skip

        assert done.stdout.split() == ["hello", "red", str(tmp_path)]

    def test_survives_output_larger_than_a_pipe(self) -> None:
        assert len(python("print('x' * 1_000_000)").stdout) == 1_000_001

    def test_survives_output_that_is_no_text(self) -> None:
        assert python("import os; os.write(1, b'a\\xffb')").stdout == "a\ufffdb"

    def test_a_timeout_kills_the_whole_process_group(self, tmp_path: Path) -> None:
        note = tmp_path / "pids"
        code = (
            "import os, subprocess, time\n"
            "g = subprocess.Popen(['sleep', '1000'])\n"
            f"open({str(note)!r}, 'w').write(f'{{os.getpid()}} {{g.pid}}')\n"
            "time.sleep(1000)\n"
        )

        with pytest.raises(DeviceError, match=r"the test: no answer within 3 s; it was stopped"):
            python(code, timeout_s=3.0)

        for pid in note.read_text().split():
            wait_until_dead(int(pid))

    def test_what_a_program_leaves_running_is_stopped(self) -> None:
        done = python(
            "import subprocess\n"
            "print(subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL).pid)"
        )

        wait_until_dead(int(done.stdout))

    @pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
    def test_a_crash_names_the_signal_and_the_last_line(self, name: str) -> None:
        number = int(signal.Signals[name])

        with pytest.raises(DeviceError, match=rf"the test: crashed \({name}\): last words"):
            python(
                "import os, sys\nprint('last words', file=sys.stderr, flush=True)\n"
                f"os.kill(os.getpid(), {number})"
            )

    def test_a_limit_on_memory_holds(self) -> None:
        done = python("bytearray(2 * 2**30)", memory_mib=1024)

        assert done.exit_code == 1
        assert "MemoryError" in done.stderr

    def test_a_program_that_does_not_exist_is_a_missing_stack(self) -> None:
        with pytest.raises(StackMissing, match="no-such-program: cannot be run"):
            child.run(["no-such-program"], stage="the test", timeout_s=1.0)
