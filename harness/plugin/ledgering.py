"""Keep an estimate beside each latency that a phone measures in a gate run."""

from pathlib import Path

from harness import ledger
from harness.devices.device import Device
from harness.devices.emulated import Emulated
from harness.errors import HarnessError
from harness.evidence import Evidence
from harness.images import Output, Pixels, Size
from harness.latency import Estimate, Instructions, Latency
from harness.placement import Placement
from harness.profiles import Profile, Target
from harness.subjects import Variant


class Ledgered:
    """Answer as a phone does, and write down what would have been estimated; implements Device."""

    def __init__(self, device: Device, target: Target, path: Path) -> None:
        """Wrap a device whose measurements go into a ledger file."""
        self._device = device
        self._target = target
        self._path = path
        self._paper = Emulated(target)

    @property
    def profile(self) -> Profile:
        """Return the phone on paper."""
        return self._device.profile

    @property
    def delegate(self) -> str:
        """Return the delegate."""
        return self._device.delegate

    @property
    def fingerprint(self) -> str:
        """Return what identifies the phone."""
        return self._device.fingerprint

    def run(self, variant: Variant, frame: Pixels) -> Output:
        """Run a variant on one frame."""
        return self._device.run(variant, frame)

    def time(
        self, variant: Variant, size: Size, *, limit_ms: float | None = None
    ) -> Latency | Estimate:
        """Measure, and put the estimate beside it; an estimate that fails is no one's loss."""
        measured = self._device.time(variant, size, limit_ms=limit_ms)
        if isinstance(measured, Latency) and measured.provenance.evidence is Evidence.PHONE:
            try:
                estimated = self._paper.time(variant, size)
                if estimated.absolute:
                    entry = ledger.pair(self._target, size, estimated=estimated, measured=measured)
                    ledger.append(self._path, entry)
            except HarnessError:
                return measured  # the gate asked for the measurement only
        return measured

    def place(self, variant: Variant, size: Size, *, with_memory: bool = False) -> Placement:
        """Say which op runs where."""
        return self._device.place(variant, size, with_memory=with_memory)

    def count(self, variant: Variant, size: Size) -> Instructions | None:
        """Count instructions, where that can be done."""
        return self._device.count(variant, size)

    def close(self) -> None:
        """Release the phone."""
        self._device.close()
