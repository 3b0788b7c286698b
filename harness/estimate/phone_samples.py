"""Time networks on a phone as samples to fit its constants to."""

from collections.abc import Callable, Sequence
from pathlib import Path

from harness import graph as graphs
from harness.errors import ConfigError
from harness.estimate.calibrate import Sample
from harness.estimate.reference import write
from harness.estimate.reference.phone_nets import PhoneNet
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


def measure(
    nets: Sequence[PhoneNet], *, target: Target, precision: str, time: Time, place: Place,
    folder: Path,
) -> tuple[Sample, ...]:  # fmt: skip
    """Time networks on a phone.

    Networks that do not run wholly on one unit are left out: their time is not that unit's.

    Args:
        nets: From `kernel_nets` and `whole_nets`, or others.
        target: The phone and the delegate they run through.
        precision: float or int8, as the networks were drawn.
        time: Measures one file at a size.
        place: Says which op ran where.
        folder: Takes the .tflite files.

    Raises:
        ConfigError: the device estimates instead of measuring.
        DeviceError, MeasurementError: as `time` and `place`.
    """
    found = (_sample(net, target, precision, time, place, folder) for net in nets)
    return tuple(sample for sample in found if sample is not None)


def _sample(
    net: PhoneNet, target: Target, precision: str, time: Time, place: Place, folder: Path
) -> Sample | None:
    """Measure one network, or return None where its ops ran on two units."""
    model = write.write(net.graph)
    path = folder / f"{net.name}.tflite"
    path.write_bytes(model)
    variant = Variant(
        name=net.name, precision=_PRECISIONS[precision], path=path, sha256=sha256_of(model),
        limits=Limits(source="timed for calibration, its weights are random"),
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
