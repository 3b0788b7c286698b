"""What every device answers. Nobody else knows which kind of device it talks to."""

from collections.abc import Sequence
from typing import Protocol, Self

from harness.images import Output, Pixels
from harness.inputs import Inputs
from harness.latency import Estimate, EstimatePair, Instructions, Latency, Pairs
from harness.memory import Memory
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Profile
from harness.requests import Answer, Request, Verb


class Device(Protocol):
    """One phone through one delegate, or what stands in for it.

    Every verb may raise DeviceError (the device, driver or stack failed), ModelError (the
    model cannot be read or run), MeasurementError (measured, but void) or StackMissing.
    """

    @property
    def profile(self) -> Profile:
        """Return the phone on paper."""

    @property
    def delegate(self) -> str:
        """Return the delegate: nnapi, gpu, qnn or cpu."""

    @property
    def fingerprint(self) -> str:
        """Return what identifies this device and its software, for provenance."""

    @property
    def stands_in(self) -> bool:
        """Return whether this host answers in the phone's place."""

    def run(self, model: Model, given: Inputs | Pixels) -> Output:
        """Run a model of the inputs' size on their real values, or on the pixels of its only one.

        Pixels are float32 [1, H, W, 3] in [0, 1].
        """

    def time(self, model: Model, *, limits_ms: Sequence[float] = ()) -> Latency | Estimate:
        """Measure or estimate the latency of one inference.

        With `limits_ms` a phone repeats its runs until each is decided, or enough is spent.
        """

    def compare(self, model: Model, before: Model) -> Pairs | EstimatePair:
        """Measure a model and an earlier one in A B B A order, or estimate both."""

    def place(self, model: Model) -> Placement:
        """Say which op runs where."""

    def memory(self, model: Model) -> Memory:
        """Say what memory an inference needs."""

    def count(self, model: Model) -> Instructions | None:
        """Count the instructions of one inference, or return None where that cannot be done."""

    def __enter__(self) -> Self:
        """Return the device, to be closed at the end of a `with`."""

    def __exit__(self, *error: object) -> None:
        """Close it."""

    def close(self) -> None:
        """Release what the device holds: processes, locks, changed settings."""


def ask(device: Device, request: Request) -> Answer | None:
    """Ask a device what a request wants.

    Raises:
        HarnessError: the device could not answer.
    """
    model = request.sized
    match request.verb:
        case Verb.RUN:
            assert request.inputs is not None
            return device.run(model, request.inputs)
        case Verb.TIME:
            return device.time(model, limits_ms=request.limits_ms)
        case Verb.COMPARE:
            assert request.before is not None
            return device.compare(model, request.before.at(request.size))
        case Verb.PLACE:
            return device.place(model)
        case Verb.MEMORY:
            return device.memory(model)
        case Verb.COUNT:
            return device.count(model)
