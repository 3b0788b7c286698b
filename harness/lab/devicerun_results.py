"""Read what a Device Run job left, by the parsers of the phone lane."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness import memory
from harness.devices.benchmark import (
    benchmark_result,
    benchmark_tool,
    outputs,
    running,
    timing,
)
from harness.devices.benchmark.benchmark_tool import Timings
from harness.devices.benchmark.measuring import Measuring
from harness.devices.benchmark.timing import Effort
from harness.devices.phone import device_state, identity
from harness.devices.phone.device_state import State
from harness.devices.phone.identity import Identity
from harness.devices.traces import attribution, nnapi_log, op_profile, runtime_info
from harness.devices.traces.attribution import Traces
from harness.errors import ConfigError, DeviceError, MeasurementError
from harness.evidence import Evidence, Provenance, now_utc
from harness.images import Output
from harness.lab.devicerun_script import ROUNDS, Script, ToolRuns, preset_of
from harness.latency import Latency, Pairs
from harness.memory import Memory
from harness.placement import Placement
from harness.requests import Answer, Verb

_NOTE = (
    "one session on a rented phone whose unit is not known: another may answer next time, and "
    f"the tool ran {ROUNDS} times whatever the first ones said"
)


@dataclass(frozen=True, kw_only=True)
class Left:
    """The files that a job left, and how they came about.

    Attributes:
        files: Content by name.
        script: What ran.
        session: Name of the session.
        measured_by: How was measured, by delegate.
        tool_sha256: Hash of the benchmark tool.
    """

    files: Mapping[str, bytes]
    script: Script
    session: str
    measured_by: Mapping[str, Measuring]
    tool_sha256: str

    def text(self, name: str) -> str:
        """Return a file as text.

        Raises:
            DeviceError: the job did not leave it.
        """
        return self.data(name).decode(errors="replace")

    def data(self, name: str) -> bytes:
        """Return a file.

        Raises:
            DeviceError: the job did not leave it.
        """
        if name not in self.files:
            raise DeviceError(f"devicerun: session {self.session}: the job left no {name}")
        return self.files[name]

    def identity(self) -> Identity:
        """Return what the phone is.

        Raises:
            DeviceError: it does not say.
        """
        return identity.parse(f"of session {self.session}", self.text("identity.txt"))

    def states(self) -> list[State]:
        """Return the phone's states between the rounds.

        Raises:
            DeviceError: one cannot be read.
        """
        return [device_state.parse(self.text(name)) for name in self.script.states]


def answer(left: Left, step: ToolRuns) -> Answer:
    """Return what a job found for a request.

    Raises:
        ConfigError: the phone does not fit the profile, or the tool lacks what is needed.
        DeviceError: the tool failed, or what it left is damaged.
        MeasurementError: the phone's state makes the numbers void.
    """
    if left.text("script.txt").strip() != left.script.mark:
        raise DeviceError(f"devicerun: session {left.session}: its files are of another script")
    phone, target = left.identity(), step.request.target
    if not target.profile.matches(phone.model):
        raise ConfigError(f"{target}: session {left.session} ran on a {phone.model!r}")
    for run in (*step.runs, *step.before):
        _check(left, run)
    made = _provenance(left, step, phone)
    match step.request.verb:
        case Verb.TIME:
            return _timed(left, step, made)
        case Verb.COMPARE:
            return _paired(left, step, made)
        case Verb.PLACE:
            return _placed(left, step, made)
        case Verb.MEMORY:
            return _memory(left, step, made)
        case _:
            where = f"devicerun: session {left.session}: running {step.request.model.name}"
            first, later = (
                outputs.read(step.request.sized.graph, left.data(f"{run}.pb"), where=where)
                for run in step.runs
            )
            return Output(
                values=later,
                provenance=made,
                repeat_relative_l2=running.largest_distance(first, later),
            )


def _check(left: Left, run: str) -> None:
    """Refuse a run that did not end well, in the words of the tool."""
    code = left.text(f"{run}.code").strip()
    if code == "0":
        return
    lacking = benchmark_tool.lacking(benchmark_tool.known_flags(left.text("help.txt")))
    if lacking:
        raise ConfigError(f"the benchmark tool {lacking[0]}; fetch a newer build")
    lines = [line.strip() for line in left.text(f"{run}.txt").splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "rror:" in line or "Failed" in line]
    said = "; ".join((errors or lines)[-3:])[-400:] or "it printed nothing"
    raise DeviceError(
        f"devicerun: session {left.session}: the benchmark tool ended with {code[:10]!r}: {said}"
    )


def _paired(left: Left, step: ToolRuns, made: Provenance) -> Pairs:
    """Return the medians of both models' runs."""
    states = _valid_states(left, left.measured_by[step.request.target.delegate])
    now, before = ([_timings(left, run) for run in runs] for runs in (step.runs, step.before))
    assert step.request.before is not None
    return Pairs(
        before_ms=tuple(_middle(one) for one in before),
        now_ms=tuple(_middle(one) for one in now),
        before_sha256=step.request.before.at(step.request.size).sha256,
        provenance=replace(made, device_state=states[-1].record()),
    )


def _middle(timings: Timings) -> float:
    return timings.mean_ms if timings.median_ms is None else timings.median_ms


def _valid_states(left: Left, measuring: Measuring) -> list[State]:
    """Return the phone's states of a session.

    Raises:
        MeasurementError: one of them makes its numbers void.
    """
    contract, states = replace(measuring.contract, sentinel_share=None), left.states()
    warm = replace(contract, temperature_c=None)  # from its own work; throttling is asked
    reasons = device_state.breaches(states[0], contract)
    for before, after in itertools.pairwise(states):
        reasons += device_state.changes(before, after, contract)
        reasons += device_state.breaches(after, warm)
    if reasons:
        raise MeasurementError(
            f"devicerun: session {left.session}: void by the phone's state, not by its number: "
            + "; ".join(dict.fromkeys(reasons))
        )
    return states


def _timed(left: Left, step: ToolRuns, made: Provenance) -> Latency:
    measuring = left.measured_by[step.request.target.delegate]
    states = _valid_states(left, measuring)
    runs = [_timings(left, run) for run in step.runs]
    fields = dict(timing.join(runs))
    count = int(fields.pop("runs"))
    effort = Effort(looks=(ROUNDS,), confidence=measuring.effort.confidence)
    medians = [run.median_ms for run in runs if run.median_ms is not None]
    interval = timing.judge(medians, limits_ms=step.request.limits_ms, effort=effort)
    assert interval is not None  # the only look is at all of them
    state = states[-1].record() | {"tool_runs": len(runs)}
    return Latency(
        **fields,
        runs=count,
        low_ms=interval.low_ms,
        high_ms=interval.high_ms,
        provenance=replace(made, device_state=state),
    )


def _timings(left: Left, run: str) -> Timings:
    printed = benchmark_tool.parse_timings(left.text(f"{run}.txt"))
    written = benchmark_result.parse(left.data(f"{run}.pb"))
    if written.runs != printed.runs:
        raise DeviceError(
            f"devicerun: session {left.session}: result file and output differ: "
            f"{written.runs} and {printed.runs} runs"
        )
    return written


def _placed(left: Left, step: ToolRuns, made: Provenance) -> Placement:
    run, delegate = step.runs[0], attribution.reached(step.request.target.delegate)
    said = left.text(f"{run}.txt")
    traces = Traces(
        delegate=delegate,
        accelerator="",
        delegation=attribution.parse_delegation(said, delegate),
        nodes=runtime_info.parse(left.data(f"{run}.pb")),
        profile=op_profile.parse_text(said),
        driver=nnapi_log.parse(""),
    )
    found = attribution.attribute(step.request.sized.graph, traces)
    return Placement(
        nodes=found.nodes,
        partitions=found.partitions,
        cpu_time_share=found.cpu_time_share,
        provenance=made,
    )


def _memory(left: Left, step: ToolRuns, made: Provenance) -> Memory:
    peak_mib = benchmark_tool.parse_peak_mib(left.text(f"{step.runs[0]}.txt"))
    return replace(memory.of_graph(step.request.sized.graph, made), reported_peak_mib=peak_mib)


def _provenance(left: Left, step: ToolRuns, phone: Identity) -> Provenance:
    delegate, model = step.request.target.delegate, step.request.sized
    preset = preset_of(step.request, left.measured_by[delegate])
    return Provenance(
        evidence=Evidence.FAKE if phone.fake else Evidence.PHONE,
        device=f"{phone.model} (a phone of Device Run, session {left.session}) {delegate}",
        variant_sha256=model.sha256,
        file_sha256=model.file_sha256,
        runtime={
            "benchmark_model": left.tool_sha256[:12],
            "build": phone.build,
            "android_api_level": str(phone.android_api_level),
            "preset": f"{preset.name}: {preset.runs} runs, {preset.threads} threads",
            "delegate": delegate,
        },
        time_utc=now_utc(),
        note=_NOTE,
    )
