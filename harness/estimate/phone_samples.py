"""Time networks on a phone as samples to fit its constants to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import ConfigError, DeviceError, MeasurementError
from harness.estimate.calibrate import FAMILIES_MIN, TimedNetwork
from harness.estimate.reference import write
from harness.estimate.reference.phone_nets import PhoneNet
from harness.latency import Estimate, Latency
from harness.model import Model
from harness.placement import CPU, Placement
from harness.profiles import Target

Time = Callable[[Model], Latency | Estimate]
"""Such as `Device.time`."""
Place = Callable[[Model], Placement]
"""Such as `Device.place`."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """The networks that a phone timed.

    Attributes:
        samples: In the order they ran.
        stopped_by: What ended the list early, or None.
    """

    samples: tuple[TimedNetwork, ...]
    stopped_by: DeviceError | None = None


def measure(
    nets: Sequence[PhoneNet],
    *,
    target: Target,
    time: Time,
    place: Place,
    say: Callable[[str], None],
) -> Timed:
    """Time networks on a phone.

    Networks that do not run wholly on one unit are left out, as their time is not that unit's, and
    those whose measurement is void. A phone that fails ends the list early.

    Args:
        nets: From `kernel_nets` and `whole_nets`, or others.
        target: The phone and the delegate they run through.
        time: Measures one model.
        place: Says which op ran where.
        say: Takes a line on each network as it is done.

    Raises:
        ConfigError: the device estimates instead of measuring.
        DeviceError: the phone failed before enough was timed to fit anything.
    """
    samples: list[TimedNetwork] = []
    for number, net in enumerate(nets, 1):
        try:
            found = _sample(net, target, time, place)
        except MeasurementError as error:
            found = str(error)
        except DeviceError as error:
            if len({sample.family for sample in samples}) < FAMILIES_MIN:
                raise
            return Timed(samples=tuple(samples), stopped_by=error)
        if isinstance(found, TimedNetwork):
            samples.append(found)
            what = f"{found.measured_ms:.3f} ms"
        else:
            what = f"left out: {found}"
        say(f"{number} of {len(nets)}: {net.name}: {what}")
    return Timed(samples=tuple(samples))


def _sample(net: PhoneNet, target: Target, time: Time, place: Place) -> TimedNetwork | str:
    """Measure one network, or say why it is left out."""
    model = Model(name=net.name, data=write.write(net.graph))
    placement = place(model)
    if placement.unattributed:
        return "it is not known which unit ran it"
    if target.delegate != CPU and placement.cpu_ops:
        return f"falls back to the CPU ({placement.fallbacks[0].op})"
    measured = time(model)
    if not isinstance(measured, Latency):
        raise ConfigError(f"{target}: an estimate cannot calibrate; attach the phone")
    return TimedNetwork(
        name=net.name,
        family=net.family,
        graph=model.graph,
        placement=placement,
        measured_ms=measured.median_ms,
    )
