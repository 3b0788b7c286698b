"""Compare a phone's GPU and NPU with its own CPU on graphs that drivers computed wrongly."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import files, schema
from harness.devices.benchmark import running
from harness.devices.drivers.graphs import Probe
from harness.devices.measured import Phone
from harness.errors import DeviceError, MeasurementError
from harness.evidence import now_utc, sha256_of
from harness.images import Output
from harness.inputs import Inputs
from harness.placement import ON_CPU

WRONG_RATIO = 0.02
"""Relative L2 distance from the CPU beyond which a result is wrong, not rounded.

Source: fp16 has 11 bits, so that a graph of three ops keeps about 2e-3 in relative L2; the
reports name errors of 30 % and more."""
_NOT_FINITE = 1e9
"""Stands for a distance that is not finite, which JSON cannot hold."""
FOLDER = Path(".results") / "drivers"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a delegate made of one probe.

    Attributes:
        relative_l2: Distance from the phone's CPU, the largest of the outputs'; 1e9 where it made
            NaN or infinity; None where nothing was made.
        repeat_relative_l2: Of its first inference after loading from a later one; None likewise.
        said: Why nothing was made, or that the delegate left it to the CPU; or ''.
    """

    relative_l2: float | None = None
    repeat_relative_l2: float | None = None
    said: str = ""

    @property
    def wrong(self) -> bool:
        """Return whether the driver gets it wrong, or not the same twice."""
        seen = (self.relative_l2, self.repeat_relative_l2)
        return any(value is not None and value > WRONG_RATIO for value in seen)

    def __str__(self) -> str:
        """Return `right`, or what is wrong, or why nothing is known."""
        if self.relative_l2 is None or (self.said and not self.wrong):
            return self.said or "not run"
        if self.relative_l2 > WRONG_RATIO:
            off = "NaN" if self.relative_l2 >= _NOT_FINITE else f"{self.relative_l2:.0%} off"
            return f"WRONG: {off}{f' ({self.said})' if self.said else ''}"
        if self.wrong:
            return f"WRONG: {self.repeat_relative_l2:.0%} apart between two inferences"
        return "right"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the drivers of one phone get wrong, by probe and delegate.

    Attributes:
        phone: Model, serial and build: the fingerprint.
        tool_sha256: Hash of the benchmark tool.
        time_utc: When.
        found: By name of the probe, then by delegate.
    """

    phone: str
    tool_sha256: str
    time_utc: str
    found: Mapping[str, Mapping[str, Found]] = field(default_factory=dict)

    @property
    def wrong(self) -> int:
        """Return how many results are wrong."""
        return sum(one.wrong for row in self.found.values() for one in row.values())

    def save(self, folder: Path) -> Path:
        """Keep it beside those of other phones and builds; return the file."""
        path = folder / f"{sha256_of(self.phone.encode())[:16]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, json.dumps(schema.dump(self), indent=2).encode())
        return path


def run(
    phone: Callable[[str], Phone],
    delegates: Sequence[str],
    probes: Sequence[Probe],
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run each probe through the CPU and through some delegates of one phone.

    Args:
        phone: Opens the phone through a delegate; each is closed before the next is opened.
        delegates: Such as gpu, gpu-fp32 and npu.
        probes: What to run.
        progress: Is told what is about to be run.

    Raises:
        DeviceError: the phone's CPU failed too.
        ConfigError: the tool is none for this phone.
    """
    with phone("cpu") as device:
        identity, tool = str(device.identity), device.tool_sha256
        progress("cpu")
        right = {probe.name: device.run(probe.model, Inputs(probe.inputs)) for probe in probes}
    found: dict[str, dict[str, Found]] = {probe.name: {} for probe in probes}
    for delegate in delegates:
        progress(delegate)
        with phone(delegate) as device:
            for probe, one in _each(device, probes, right):
                found[probe.name][delegate] = one
    return Report(phone=identity, tool_sha256=tool, time_utc=now_utc(), found=found)


def _each(
    device: Phone, probes: Sequence[Probe], right: Mapping[str, Output]
) -> Iterator[tuple[Probe, Found]]:
    for probe in probes:
        try:
            made = device.run(probe.model, Inputs(probe.inputs))
            placement = device.place(probe.model)
        except (DeviceError, MeasurementError) as error:
            yield probe, Found(said=f"failed: {error}"[:300])
            continue
        left = [node.op for node in placement.nodes if node.unit in ON_CPU]
        wanted = right[probe.name].values
        yield (
            probe,
            Found(
                relative_l2=_bounded(running.largest_distance(made.values, wanted)),
                repeat_relative_l2=_bounded(made.repeat_relative_l2),
                said=f"{', '.join(dict.fromkeys(left))} left to the CPU" if left else "",
            ),
        )


def _bounded(ratio: float | None) -> float | None:
    return None if ratio is None else min(ratio, _NOT_FINITE)
