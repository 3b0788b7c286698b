"""Define what every device answers. Nobody else knows which kind of device it talks to."""

from typing import Protocol

from harness.images import Output, Pixels, Size
from harness.latency import Estimate, Instructions, Latency
from harness.placement import Placement
from harness.profiles import Profile
from harness.subjects import Variant


class Device(Protocol):
    """Answer for one phone through one delegate.

    Every verb may raise DeviceError (the device, driver or stack failed), ModelError (the
    variant cannot be read, resized or run) or MeasurementError (measured, but void).
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

    def run(self, variant: Variant, frame: Pixels) -> Output:
        """Run a variant on one frame, float32 [1, H, W, 3] in [0, 1], resized to fit it."""

    def time(
        self, variant: Variant, size: Size, *, limit_ms: float | None = None
    ) -> Latency | Estimate:
        """Measure or estimate the latency of one inference at a resolution.

        With `limit_ms` a phone repeats its runs until the limit is decided, or enough is spent.
        """

    def place(self, variant: Variant, size: Size, *, with_memory: bool = False) -> Placement:
        """Say which op runs where at a resolution.

        With `with_memory`, also what spills from on-chip memory, where a compiler can tell.
        """

    def count(self, variant: Variant, size: Size) -> Instructions | None:
        """Count the instructions of one inference, or return None where that cannot be done."""

    def close(self) -> None:
        """Release what the device holds: processes, locks, changed settings."""
