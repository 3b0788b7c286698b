"""Tests of workers: Python modules that answer from child processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from harness import child
from harness.errors import DeviceError, ModelError
from harness.worker import Worker
from tests.processes import is_alive, wait_until_dead

_ROOT = Path(__file__).parents[2]


class TestWorker:
    @pytest.fixture
    def worker(self, tmp_path: Path) -> Iterator[Worker]:
        """Return a worker with 2 GiB of memory."""
        worker = Worker(
            "tests.unit.child_worker",
            stage="the test",
            log=tmp_path / "logs" / "worker.log",
            memory_mib=2048,
            env={"PYTHONPATH": str(_ROOT)},
        )
        yield worker
        worker.close()

    def test_answers_with_arrays_and_keeps_running(self, worker: Worker) -> None:
        pixels = np.random.default_rng(0).random((1, 300, 400, 3), np.float32)

        (answer,) = worker.call("echo", pixels, timeout_s=30.0)

        np.testing.assert_array_equal(answer, pixels)
        assert worker.call("pid", timeout_s=30.0) == worker.call("pid", timeout_s=30.0)

    def test_what_native_code_prints_goes_to_the_log(self, worker: Worker, tmp_path: Path) -> None:
        assert worker.call("chatter", "bla " * 50_000, timeout_s=30.0) == "bla " * 50_000

        assert (tmp_path / "logs" / "worker.log").read_text().count("bla ") == 100_000

    def test_an_error_of_the_harness_comes_back_as_itself(self, worker: Worker) -> None:
        pid = worker.call("pid", timeout_s=30.0)

        with pytest.raises(ModelError, match="this model is refused"):
            worker.call("refuse", timeout_s=30.0)

        assert worker.call("pid", timeout_s=30.0) == pid

    @pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGFPE", "SIGKILL"])
    def test_a_crash_names_signal_and_last_line_and_the_next_call_starts_afresh(
        self, worker: Worker, name: str
    ) -> None:
        pid = worker.call("pid", timeout_s=30.0)

        with pytest.raises(DeviceError, match=rf"crash crashed \({name}\): about to crash"):
            worker.call("crash", int(signal.Signals[name]), timeout_s=30.0)

        assert worker.call("pid", timeout_s=30.0) != pid
        assert not is_alive(pid)

    def test_an_exit_and_an_unexpected_error_are_crashes_too(self, worker: Worker) -> None:
        with pytest.raises(DeviceError, match=r"leave crashed \(exit code 7\)"):
            worker.call("leave", timeout_s=30.0)
        with pytest.raises(DeviceError, match=r"surprise crashed \(exit code 1\): KeyError"):
            worker.call("surprise", timeout_s=30.0)

        assert worker.call("echo", 1, timeout_s=30.0) == (1,)

    def test_a_hang_is_stopped_with_all_that_it_started(
        self, worker: Worker, tmp_path: Path
    ) -> None:
        pid = worker.call("pid", timeout_s=30.0)
        note = tmp_path / "grandchild"

        with pytest.raises(DeviceError, match="hang gave no answer within 2 s; it was stopped"):
            worker.call("hang", str(note), timeout_s=2.0)

        wait_until_dead(pid)
        wait_until_dead(int(note.read_text()))
        assert worker.call("echo", 1, timeout_s=30.0) == (1,)

    def test_running_out_of_memory_is_an_error_and_not_the_end(self, worker: Worker) -> None:
        with pytest.raises(DeviceError, match="swallow: out of memory"):
            worker.call("swallow", 100_000, timeout_s=30.0)

        assert worker.call("swallow", 1, timeout_s=30.0) == 2**20

    def test_closing_leaves_no_process(self, worker: Worker) -> None:
        pid = worker.call("pid", timeout_s=30.0)

        worker.close()

        assert not is_alive(pid)

    def test_closing_twice_or_before_the_first_call_is_fine(self, worker: Worker) -> None:
        worker.close()
        worker.close()

    def test_it_ends_with_the_process_that_started_it(self, tmp_path: Path) -> None:
        done = child.run(
            [
                sys.executable,
                "-c",
                "import os\nfrom pathlib import Path\nfrom harness.worker import Worker\n"
                f"log = Path({str(tmp_path / 'log')!r})\n"
                "worker = Worker('tests.unit.child_worker', stage='x', log=log)\n"
                "print(worker.call('pid', timeout_s=30.0), flush=True)\nos._exit(0)",
            ],
            stage="the test",
            timeout_s=30.0,
            env={"PYTHONPATH": str(_ROOT)},
        )

        wait_until_dead(int(done.stdout))

    @pytest.mark.skipif(sys.platform != "linux", reason="a parent's death is Linux's to tell")
    def test_a_busy_worker_ends_with_a_process_that_is_killed(self, tmp_path: Path) -> None:
        """A native call does not read its pipe, so it would never learn that nobody waits."""
        parent = burning_parent(tmp_path, timeout_s=300.0)
        burner = int(read_when_written(tmp_path / "pid"))

        parent.kill()
        parent.wait()

        wait_until_dead(burner)

    @pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
    def test_a_busy_worker_ends_though_nobody_watches_the_clock(self, tmp_path: Path) -> None:
        parent = burning_parent(tmp_path, timeout_s=0.5)
        burner = int(read_when_written(tmp_path / "pid"))

        parent.send_signal(signal.SIGSTOP)
        try:
            wait_until_dead(burner, limit_s=60.0)
        finally:
            parent.kill()
            parent.wait()

    def test_it_outlives_the_thread_that_made_the_first_call(self, worker: Worker) -> None:
        pids: list[int] = []
        thread = threading.Thread(target=lambda: pids.append(worker.call("pid", timeout_s=30.0)))
        thread.start()
        thread.join()

        assert worker.call("pid", timeout_s=30.0) == pids[0]

    def test_an_answer_that_would_run_code_is_refused(self, worker: Worker, tmp_path: Path) -> None:
        with pytest.raises(DeviceError, match=r"subvert gave no data: it names _?io.open"):
            worker.call("subvert", str(tmp_path / "note"), timeout_s=30.0)

        assert not (tmp_path / "note").exists()
        assert worker.call("echo", 1, timeout_s=30.0) == (1,)

    def test_answers_hold_arrays_scalars_and_plain_values(self, worker: Worker) -> None:
        values = (np.float32(1.5), np.arange(6)[::2], np.zeros((0, 3)), {1: "a"}, {2}, None, b"x")

        answer = worker.call("echo", *values, timeout_s=30.0)

        assert repr(answer) == repr(values)

    def test_threads_share_it(self, worker: Worker) -> None:
        def ask(number: int) -> list[tuple[int, str]]:
            return [worker.call("echo", number, "x" * 200_000, timeout_s=60.0) for _ in range(10)]

        with ThreadPoolExecutor(max_workers=4) as threads:
            answers = list(threads.map(ask, range(4)))

        assert answers == [[(number, "x" * 200_000)] * 10 for number in range(4)]

    def test_with_several_processes_calls_are_under_way_at_a_time(self, tmp_path: Path) -> None:
        worker = Worker(
            "tests.unit.child_worker",
            stage="the test",
            log=tmp_path / "log.txt",
            env={"PYTHONPATH": str(_ROOT)},
            processes=2,
        )
        here = [str(tmp_path / name) for name in "ab"]

        try:
            with ThreadPoolExecutor(max_workers=2) as threads:
                calls = [
                    threads.submit(worker.call, "meet", mine, other, timeout_s=60.0)
                    for mine, other in (here, reversed(here))
                ]
                met = {call.result() for call in calls}
            alone = worker.call("pid", timeout_s=30.0)

            assert len(met) == 2
            assert met == set(worker.pids)
            assert alone in met
            assert (tmp_path / "log-1.txt").exists()
        finally:
            worker.close()
        assert not worker.pids
        assert not any(map(is_alive, met))

    def test_it_may_not_fill_the_machine(self, tmp_path: Path) -> None:
        worker = Worker(
            "tests.unit.child_worker",
            stage="the test",
            log=tmp_path / "log",
            memory_mib=10**7,
            env={"PYTHONPATH": str(_ROOT)},
        )
        machine_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20

        try:
            with pytest.raises(DeviceError, match="swallow: out of memory"):
                worker.call("swallow", machine_mib, timeout_s=60.0)
        finally:
            worker.close()

    def test_a_log_that_cannot_be_written_costs_only_the_log(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        worker = Worker(
            "tests.unit.child_worker",
            stage="the test",
            log=tmp_path / "file" / "log",
            env={"PYTHONPATH": str(_ROOT)},
        )

        try:
            assert worker.call("echo", 1, timeout_s=30.0) == (1,)
            with pytest.raises(DeviceError, match=r"crash crashed \(SIGSEGV\): it did not say why"):
                worker.call("crash", int(signal.SIGSEGV), timeout_s=30.0)
        finally:
            worker.close()


def burning_parent(folder: Path, *, timeout_s: float) -> subprocess.Popen[bytes]:
    """Start a process whose worker keeps a core busy, and writes its id to `pid`."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from pathlib import Path\nfrom harness.worker import Worker\n"
            f"folder = Path({str(folder)!r})\n"
            "worker = Worker('tests.unit.child_worker', stage='x', log=folder / 'log')\n"
            "pid = worker.call('pid', timeout_s=30.0)\n"
            "(folder / 'pid').write_text(str(pid))\n"
            f"worker.call('burn', timeout_s={timeout_s})\n",
        ],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stderr=subprocess.DEVNULL,
    )


def read_when_written(path: Path) -> str:
    deadline = time.monotonic() + 30.0
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.01)
    time.sleep(0.3)  # for the call after it to be under way
    return path.read_text()


def test_this_process_has_no_child_left() -> None:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    names = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children]

    assert [name for name in names if b"tests.unit.child_worker" in name or b"sleep" in name] == []
