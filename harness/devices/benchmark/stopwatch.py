"""Time models on a prepared phone, in a state that counts.

A run outside the device-state contract is void by its state, whatever its number, and is run
again a few times before a MeasurementError says what the phone kept doing.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness import sequential
from harness.devices.benchmark import benchmark_result, benchmark_tool, timing
from harness.devices.benchmark.bench import Bench, ToolRun
from harness.devices.benchmark.benchmark_tool import Preset, Timings
from harness.devices.benchmark.measuring import Measuring
from harness.devices.phone import device_state
from harness.devices.phone.device_state import State
from harness.errors import DeviceError, MeasurementError
from harness.profiles import Profile
from harness.sequential import Decision

_COOL_POLL_S = 5.0
_VOID_RUNS_MOST = 3
_SINGLE_RUNS = 20
_MOST_RESULT_BYTES = 2**20
_TIMED_SHARE = 0.9
"""Share of the tool's own time limit after which it may have stopped before all inferences."""


@dataclass(frozen=True, kw_only=True)
class TimedModel:
    """What is timed: a model, how it is run, and its name for messages."""

    model: bytes
    preset: Preset
    name: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """The runs of one timing, and the state of the phone at the last.

    Attributes:
        runs: What each run of the tool said.
        state: The phone's.
        interval: Of the median, where the build prints percentiles; else None, and each run
            has one timed inference.
    """

    runs: tuple[Timings, ...]
    state: State
    interval: timing.MedianInterval | None


class Stopwatch:
    """Timings of models on one bench."""

    def __init__(self, bench: Bench, profile: Profile, measuring: Measuring) -> None:
        """Take a bench that is entered by each run."""
        self._bench = bench
        self._profile = profile
        self._measuring = measuring
        self._known_mask: str | None = None
        self._between: State | None = None
        self._next_sentinel_s = 0.0

    def time(self, job: TimedModel, *, limits_ms: Sequence[float]) -> Series:
        """Repeat runs until the interval of the median clears each limit or the effort is spent.

        Raises:
            DeviceError: the phone, the tool or the driver failed.
            MeasurementError: the phone kept leaving the state that numbers are valid in.
        """
        effort = self._measuring.effort
        runs: list[Timings] = []
        self._start()
        while True:
            timings, state = self._run(job)
            if timings.median_ms is None:
                return self._single_runs(job)
            runs.append(timings)
            medians = [run.median_ms for run in runs if run.median_ms is not None]
            interval = timing.judge(medians, limits_ms=limits_ms, effort=effort)
            if interval is not None:
                return Series(runs=tuple(runs), state=state, interval=interval)

    def compare(
        self, candidate: TimedModel, baseline: TimedModel
    ) -> tuple[list[float], list[float], State]:
        """Run candidate and baseline A B B A until the pairs decide or the plan is spent.

        Returns:
            The medians of the candidate's runs and of the baseline's in milliseconds, and the
            state of the phone at the last.

        Raises:
            DeviceError: the phone, the tool or the driver failed.
            MeasurementError: the phone kept leaving the state that numbers are valid in.
        """
        jobs = {"baseline": baseline, "candidate": candidate}
        medians: dict[str, list[float]] = {"baseline": [], "candidate": []}
        order, plan = sequential.order(), self._measuring.plan
        self._start()
        while True:
            for name in (next(order), next(order)):
                timings, state = self._run(jobs[name])
                middle = timings.median_ms
                medians[name].append(timings.mean_ms if middle is None else middle)
            result = sequential.compare(medians["baseline"], medians["candidate"], plan)
            if result is None:
                continue
            if result.ruling is not Decision.UNDECIDED or result.pairs == plan.looks[-1]:
                return medians["candidate"], medians["baseline"], state

    def _start(self) -> None:
        """Forget the state of an earlier series: a new one starts with a fresh reading."""
        self._between = None
        self._next_sentinel_s = 0.0

    def _run(self, job: TimedModel) -> tuple[Timings, State]:
        """Run the tool once in a state that counts; what is void by state is run again."""
        contract, stage = self._measuring.contract, f"timing {job.name}"
        for _ in range(_VOID_RUNS_MOST):
            self._bench.enter()
            before = self._state_before()
            reasons = device_state.load_breaches(before, contract) + self._breaches(before)
            if reasons:
                break
            writes = "result_file_path" in self._bench.flags
            done = self._bench.run_model(
                job.model,
                job.preset,
                ["--result_file_path={run}/result.pb"] if writes else [],
                stage=stage,
                files={"result.pb": _MOST_RESULT_BYTES} if writes else None,
                mask=self.mask(),
            )
            after = self._state()
            cooler = replace(after, temperature_c=before.temperature_c)
            reasons = device_state.changes(before, after, contract) + self._breaches(cooler)
            if not reasons:
                with self._bench.named(stage):
                    timings = _timings(done)
                    _check_elapsed(timings, done.elapsed_s)
                    _check_count(timings, asked=job.preset.runs)
                self._between = after
                return timings, replace(after, sentinel=after.sentinel or before.sentinel)
        raise MeasurementError(
            f"phone {self._bench.serial}: {stage}: void by the phone's state, not by its number: "
            + "; ".join(reasons)
        )

    def _breaches(self, state: State) -> list[str]:
        return device_state.breaches(
            state, self._measuring.contract, best_sentinel=self._bench.best_sentinel
        )

    def _single_runs(self, job: TimedModel) -> Series:
        """Time with a build that prints no percentiles: one inference for each run of the tool."""
        single = replace(job, preset=replace(job.preset, runs=1))
        found = [self._run(single) for _ in range(_SINGLE_RUNS)]
        return Series(
            runs=tuple(timings for timings, _ in found), state=found[-1][1], interval=None
        )

    def _state_before(self) -> State:
        """Return the phone's state once it has cooled down, or after the longest wait.

        Between two runs of a series one reading serves as the end of one and the start of the
        next.
        """
        contract = self._measuring.contract
        deadline = time.monotonic() + contract.cooldown_s
        state, self._between = self._between, None
        while True:
            state = state or self._state()
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not device_state.too_hot(state, contract):
                return state
            time.sleep(min(_COOL_POLL_S, left_s))
            state = None

    def _state(self) -> State:
        """Read the phone's state, with the sentinel workload where it is time for it."""
        contract = self._measuring.contract
        mask = None
        if contract.sentinel_share is not None and time.monotonic() >= self._next_sentinel_s:
            mask = self.mask()
            self._next_sentinel_s = time.monotonic() + contract.sentinel_every_s
        return self._bench.state(sentinel_mask=mask)

    def mask(self) -> str:
        """Return the mask of the cores to pin to; the phone is asked once where needed."""
        if not self._measuring.preset.pinned:
            return ""
        if self._known_mask is None:
            mask = device_state.affinity_mask(self._profile, ())
            if not mask:
                mask = device_state.affinity_mask(self._profile, self._bench.state().policies)
            self._known_mask = mask
        return self._known_mask


def _check_elapsed(timings: Timings, elapsed_s: float) -> None:
    """Refuse times that are longer than the run of the tool itself took here."""
    claimed_s = (timings.mean_ms * timings.runs + timings.first_ms) / 1e3
    if claimed_s > 1.05 * elapsed_s + 0.05:
        raise MeasurementError(
            f"the tool claims {claimed_s:.1f} s of inferences within {elapsed_s:.1f} s; "
            "the phone's clock jumped"
        )


def _check_count(timings: Timings, *, asked: int) -> None:
    """Refuse a run of fewer inferences than were asked for, unless its time was up."""
    spent_s = timings.mean_ms * timings.runs / 1e3
    if timings.runs < asked and spent_s < _TIMED_SHARE * benchmark_tool.MAX_SECS:
        raise MeasurementError(
            f"the tool made {timings.runs} of the {asked} inferences asked for, in "
            f"{spent_s:.3g} s; its statistics are not those of {asked}"
        )


def _timings(done: ToolRun) -> Timings:
    """Read the result file where there is one, and the text in any case, which must agree."""
    printed = benchmark_tool.parse_timings(done.output)
    if "result.pb" not in done.files:
        return printed
    written = benchmark_result.parse(done.files["result.pb"])
    if written.runs != printed.runs:
        raise DeviceError(
            f"the benchmark tool's result file has {written.runs} runs, its output "
            f"{printed.runs}; one of them is of another run"
        )
    return written
