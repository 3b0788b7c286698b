"""Measure on a phone over adb: run a variant's frame, time it, place its ops.

One tool gives all three facts. What the phone's state makes void is not used, and what its
traces do not show is not claimed: both are a MeasurementError, which gates rule INCONCLUSIVE.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from harness import latency, memory, text
from harness.devices.benchmark import benchmark_tool, energy, running, timing, tool_file
from harness.devices.benchmark.bench import Bench
from harness.devices.benchmark.benchmark_tool import Preset
from harness.devices.benchmark.energy import Energy
from harness.devices.benchmark.measuring import Measuring
from harness.devices.benchmark.stopwatch import Series, Stopwatch, TimedModel
from harness.devices.phone.adb import AdbConnection, AdbServer
from harness.devices.phone.adb import attached as adb_attached
from harness.devices.phone.identity import Identity, identify
from harness.devices.traces import attribution, nnapi_log, op_profile, runtime_info
from harness.devices.traces.attribution import Traces
from harness.errors import ConfigError, DeviceError
from harness.evidence import Evidence, Provenance, now_utc
from harness.images import Output, Pixels
from harness.inputs import Inputs
from harness.latency import Latency, Pairs
from harness.memory import Memory
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Profile

_ASK_LIMIT_S = 15.0
_MOST_TRACE_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class AttachedPhone:
    """One attached phone, and the profile that its model fits."""

    connection: AdbConnection
    identity: Identity
    profile: Profile


def attached(
    profiles: Mapping[str, Profile], *, server: AdbServer | None = None, serial: str = ""
) -> list[AttachedPhone]:
    """Find the attached phones that some profile fits, several of one profile too.

    Args:
        profiles: By name.
        server: The adb server; the environment's by default.
        serial: Only this phone; one on the network (HOST:PORT) is connected first.

    Raises:
        DeviceError: the adb server or the phone of that serial cannot be used.
        ConfigError: the phone of that serial fits no profile.
    """
    server = server or AdbServer.from_environment()
    if serial:
        connection = AdbConnection(serial, server)
        connection.wait_ready(timeout_s=_ASK_LIMIT_S)
        found = _found(connection, profiles)
        if found is None:
            model = identify(connection).model
            raise ConfigError(
                f"phone {serial}: its model {model!r} fits no profile; add it to the `match` of "
                "one of device_profiles/*.toml"
            )
        return [found]
    phones: list[AttachedPhone] = []
    problems: list[DeviceError] = []
    for listed in adb_attached(server):
        if listed.state == "device":
            try:
                found = _found(AdbConnection(listed.serial, server), profiles)
            except DeviceError as error:  # it went away; the others go on
                problems.append(error)
            else:
                phones += [found] if found is not None else []
    if problems and not phones:
        raise problems[0]
    return phones


def fitting(profile: Profile, *, serial: str = "") -> list[AttachedPhone]:
    """Find the attached phones of one profile, by serial; a fake one only where it is named.

    Raises:
        DeviceError: the adb server or the phone of that serial cannot be used.
        ConfigError: the phone of that serial does not fit the profile.
    """
    found = attached({profile.name: profile}, serial=serial)
    return sorted(
        (one for one in found if serial or not one.identity.fake),
        key=lambda one: one.identity.serial,
    )


def unusable(server: AdbServer | None = None) -> list[str]:
    """Return the serial and state of each attached phone that cannot be used."""
    phones = adb_attached(server or AdbServer.from_environment())
    return [f"{phone.serial} ({phone.state})" for phone in phones if phone.state != "device"]


def _found(connection: AdbConnection, profiles: Mapping[str, Profile]) -> AttachedPhone | None:
    identity = identify(connection)
    for profile in profiles.values():
        if profile.matches(identity.model):
            return AttachedPhone(connection=connection, identity=identity, profile=profile)
    return None


class Phone:
    """One attached phone through one delegate; implements Device by measuring."""

    def __init__(
        self, found: AttachedPhone, delegate: str, *, tool: Path, measuring: Measuring | None = None
    ) -> None:
        """Describe the measurement; the phone is taken by the first verb.

        Args:
            found: The phone, from `attached`.
            delegate: nnapi, gpu, cpu, hexagon, or another one with `measuring.external`.
            tool: The user's benchmark tool, from `tool_file.find`.
            measuring: How to measure.

        Raises:
            ConfigError: the tool is none for this phone.
        """
        self.identity = found.identity
        self._measuring = measuring or Measuring()
        self._profile = found.profile
        self._delegate = delegate
        pinned = [u.name for u in found.profile.accelerators_of(delegate) if u.pinned]
        self._tool = tool_file.load(tool)
        self._bench = Bench(
            found.connection,
            found.identity,
            self._tool,
            delegate=delegate,
            accelerator=pinned[0] if pinned and delegate == "nnapi" else "",
            measuring=self._measuring,
        )
        self._stopwatch = Stopwatch(self._bench, found.profile, self._measuring)

    @property
    def profile(self) -> Profile:
        """Return the phone on paper."""
        return self._profile

    @property
    def delegate(self) -> str:
        """Return the delegate."""
        return self._delegate

    @property
    def tool_sha256(self) -> str:
        """Return the hash of the benchmark tool."""
        return self._tool.sha256

    @property
    def fingerprint(self) -> str:
        """Return model, serial and build of the phone, and the delegate."""
        return f"{self.identity} {self._delegate}"

    def __repr__(self) -> str:
        """Return what identifies it."""
        return text.repr_of(self, self.fingerprint)

    @property
    def stands_in(self) -> bool:
        """Return False: a phone answers."""
        return False

    def run(self, model: Model, given: Inputs | Pixels) -> Output:
        """Run a model of the inputs' size on their real values, or on the pixels of its only one.

        Raises:
            ModelError: the model does not take the inputs.
            ConfigError: no tool at hand writes what the model makes.
            DeviceError: the phone, the tool or the driver failed, or the outputs have a wrong
                size.
        """
        made = running.run(self._bench, model, Inputs.of(given), self._preset(model))
        return Output(
            values=made.values,
            provenance=self._provenance(model, {}),
            repeat_relative_l2=made.repeat_relative_l2,
        )

    def place(self, model: Model) -> Placement:
        """Say which op ran where, from the traces of one run.

        Raises:
            DeviceError: the phone, the tool or the driver failed.
            MeasurementError: the traces contradict each other or do not speak of every node.
        """
        self._bench.enter()
        known = self._bench.flags
        flags, files = [], {}
        if "model_runtime_info_output_file" in known:
            if "export_model_runtime_info" in known:
                flags.append("--export_model_runtime_info=true")
            flags.append("--model_runtime_info_output_file={run}/info.pb")
            files["info.pb"] = _MOST_TRACE_BYTES
        if "enable_op_profiling" in known:
            flags.append("--enable_op_profiling=true")
        stage = f"placing {model.name}"
        done = self._bench.run_model(
            model.data,
            replace(self._preset(model), runs=3, warmup_runs=1),
            flags,
            stage=stage,
            files=files,
            nnapi_log=self._delegate == "nnapi",
        )
        reached = attribution.reached(self._delegate)
        with self._bench.named(stage):
            traces = Traces(
                delegate=reached,
                accelerator=self._bench.accelerator,
                delegation=attribution.parse_delegation(done.output, reached),
                nodes=runtime_info.parse(done.files["info.pb"]) if files else (),
                profile=op_profile.parse_text(done.output),
                driver=nnapi_log.parse(done.files.get("log", b"").decode(errors="replace")),
                output=done.output,
                missing=self._bench.lacking(model.data),
            )
            found = attribution.attribute(model.graph, traces)
        return Placement(
            nodes=found.nodes,
            partitions=found.partitions,
            cpu_time_share=found.cpu_time_share,
            provenance=self._provenance(model, {}),
        )

    def time(self, model: Model, *, limits_ms: Sequence[float] = ()) -> Latency:
        """Measure the latency of one inference.

        Runs are repeated until the interval of the median clears each limit or the effort is
        spent.

        Args:
            model: What to time.
            limits_ms: The budgets it will be ruled against.

        Raises:
            DeviceError: the phone, the tool or the driver failed.
            MeasurementError: the phone kept leaving the state that numbers are valid in.
        """
        series = self._stopwatch.time(self._job(model), limits_ms=limits_ms)
        record = series.state.record() | {"tool_runs": len(series.runs)}
        taken = self._energy(model, series)
        record["energy"] = taken.source
        if series.interval is None:
            note = "the tool prints no percentiles: one timed inference for each of its runs"
            found = latency.summarize(
                [run.mean_ms for run in series.runs],
                first_ms=statistics.median(run.first_ms for run in series.runs),
                init_ms=statistics.median(run.init_ms for run in series.runs),
                provenance=replace(self._provenance(model, record), note=note),
            )
            return replace(found, energy_mj=taken.mj)
        fields = dict(timing.join(series.runs))
        count = int(fields.pop("runs"))
        return Latency(
            **fields,
            runs=count,
            low_ms=series.interval.low_ms,
            high_ms=series.interval.high_ms,
            energy_mj=taken.mj,
            provenance=self._provenance(model, record),
        )

    def _energy(self, model: Model, series: Series) -> Energy:
        """Measure what an inference takes of the battery, where the phone says so."""
        job = self._job(model)
        return energy.measure(
            self._bench,
            job.model,
            job.preset,
            mean_ms=statistics.fmean(run.mean_ms for run in series.runs),
            charging=series.state.charging,
            name=job.name,
            mask=self._stopwatch.mask(),
        )

    def memory(self, model: Model) -> Memory:
        """Return what the graph needs, and the peak that the tool reports where it does.

        Raises:
            DeviceError: the phone, the tool or the driver failed.
        """
        made = self._provenance(model, {})
        self._bench.enter()
        reported_mib = None
        if "report_peak_memory_footprint" in self._bench.flags:
            stage = f"memory of {model.name}"
            done = self._bench.run_model(
                model.data,
                replace(self._preset(model), runs=3, warmup_runs=1),
                ["--report_peak_memory_footprint=true"],
                stage=stage,
            )
            with self._bench.named(stage):
                reported_mib = benchmark_tool.parse_peak_mib(done.output)
        if reported_mib is None:
            note = "this build of the tool reports no peak memory: tensors of the graph"
            made = replace(made, evidence=Evidence.RULES, note=note)
        return replace(memory.of_graph(model.graph, made), reported_peak_mib=reported_mib)

    def compare(self, model: Model, before: Model) -> Pairs:
        """Measure a model and an earlier one in A B B A order, until the pairs decide.

        Raises:
            DeviceError: the phone, the tool or the driver failed.
            MeasurementError: the phone kept leaving the state that numbers are valid in.
        """
        now_ms, before_ms, state = self._stopwatch.compare(self._job(model), self._job(before))
        return Pairs(
            before_ms=tuple(before_ms),
            now_ms=tuple(now_ms),
            before_sha256=before.sha256,
            provenance=self._provenance(model, state.record()),
        )

    def fence(self) -> int:
        """Renew the lock on the phone; return how often it had been taken when it was taken.

        A number that has risen since the last time says that the phone was lost in between.

        Raises:
            DeviceError: the phone is away, or another harness has it.
        """
        return self._bench.fence()

    def examine_tool(self) -> list[str]:
        """Return what the benchmark tool cannot do on this phone, one sentence for each.

        Raises:
            DeviceError: it does not run there at all.
        """
        self._bench.enter()
        return benchmark_tool.lacking(self._bench.flags)

    def count(self, model: Model) -> None:
        """Return None: phones do not let a shell count instructions."""
        del model

    def __enter__(self) -> Self:
        """Return the device, to be closed at the end of a `with`."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Restore the phone's settings, remove the run's files and give it back.

        Raises:
            DeviceError: the phone is away; the next run that holds it restores it.
        """
        self._bench.leave()

    def _job(self, model: Model) -> TimedModel:
        return TimedModel(model=model.data, preset=self._preset(model), name=model.name)

    def _preset(self, model: Model) -> Preset:
        half = model.graph.has_float16_weights
        return self._measuring.preset.on(self._delegate, float16_weights=half)

    def _provenance(self, model: Model, record: Mapping[str, float | str]) -> Provenance:
        preset = self._measuring.preset
        options = f"{preset.name}: {preset.runs} runs, {preset.threads} threads"
        return Provenance(
            evidence=Evidence.FAKE if self.identity.fake else Evidence.PHONE,
            device=f"{self.identity.unit} {self._delegate}",
            variant_sha256=model.sha256,
            file_sha256=model.file_sha256,
            runtime={
                "benchmark_model": self._tool.sha256[:12],
                "build": self.identity.build,
                "android_api_level": str(self.identity.android_api_level),
                "preset": options,
                "delegate": f"{self._delegate} {self._bench.accelerator}".strip(),
            },
            time_utc=now_utc(),
            device_state=dict(record),
        )
