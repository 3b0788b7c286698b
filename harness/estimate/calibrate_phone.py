"""Fit a phone's own constants from kernel benchmarks that it ran."""

from collections.abc import Callable, Sequence
from pathlib import Path

from harness import graph as graphs
from harness.errors import ConfigError
from harness.estimate import calibrate
from harness.estimate.calibrate import STARTS, Calibration, Sample
from harness.estimate.reference import write
from harness.estimate.reference.kernel_nets import KernelNet
from harness.evidence import sha256_of
from harness.images import Size
from harness.latency import Estimate, Latency
from harness.placement import CPU, Placement
from harness.profiles import Target
from harness.subjects import Limits, Precision, Variant

Time = Callable[[Variant, Size], Latency | Estimate]
"""Such as `Device.time`."""
Place = Callable[[Variant, Size], Placement]
"""Such as `Device.place`."""

_PRECISIONS = {"float": Precision.FP32, "int8": Precision.INT8_PTQ}


def calibrate_phone(
    nets: Sequence[KernelNet], *, target: Target, precision: str, time: Time, place: Place,
    folder: Path, source: str,
) -> Calibration:  # fmt: skip
    """Time kernel benchmarks on a phone and fit its roofline.

    Networks that do not run wholly on one unit are left out: their time is not that unit's.

    Args:
        nets: From `kernel_nets`, or other drawn networks.
        target: The phone and the delegate they run through.
        precision: float or int8, as the networks were drawn.
        time: Measures one file at a size.
        place: Says which op ran where.
        folder: Takes the .tflite files.
        source: Names the phone and the day, for the profile.

    Raises:
        ConfigError: the device estimates instead of measuring, nothing is known of the delegate,
            or fewer than two families ran wholly on one unit.
        DeviceError, MeasurementError: as `time` and `place`.
    """
    start = STARTS.get((target.delegate, precision))
    if start is None:
        known = ", ".join(f"{delegate} {name}" for delegate, name in STARTS)
        raise ConfigError(f"{target}: nothing to start from for {precision}; known: {known}")
    samples = []
    for net in nets:
        sample = _sample(net, target, precision, time, place, folder)
        if sample is not None:
            samples.append(sample)
    return calibrate.calibrate(
        samples, delegate=target.delegate, precision=precision, start=start, source=source
    )


def _sample(
    net: KernelNet, target: Target, precision: str, time: Time, place: Place, folder: Path
) -> Sample | None:
    """Measure one network, or return None where its ops ran on two units."""
    model = write.write(net.graph)
    path = folder / f"{net.name}.tflite"
    path.write_bytes(model)
    variant = Variant(
        name=net.name, precision=_PRECISIONS[precision], path=path, sha256=sha256_of(model),
        limits=Limits(source="a kernel benchmark, not a restoration model"),
    )  # fmt: skip
    _, height, width, _ = net.graph.tensors[net.graph.inputs[0]].shape
    size = Size(width_px=width, height_px=height)
    placement = place(variant, size)
    if placement.unattributed or (target.delegate != CPU and placement.cpu_ops):
        return None
    measured = time(variant, size)
    if not isinstance(measured, Latency):
        raise ConfigError(f"{target}: an estimate cannot calibrate; attach the phone")
    return Sample(
        name=net.name, family=net.family, graph=graphs.parse(model), placement=placement,
        measured_ms=measured.median_ms,
    )  # fmt: skip
