"""Rule on how latency grows with resolution (S)."""

from harness import gate, observations, verdict
from harness.errors import ConfigError
from harness.lab import DeviceUnderTest
from harness.subjects import Subject, Variant

GATE = verdict.SCALING


def test_latency_grows_with_resolution_as_budgeted(
    device: DeviceUnderTest, subject: Subject, variant: Variant, check: gate.Check
) -> None:
    """S1 to S3: growth exponent, cliffs and placement changes keep the scaling budget."""
    if subject.scaling is None:
        raise ConfigError(f"{subject.name}: subject.toml has no [scaling] with its resolutions")

    growth = observations.sweep(device, variant, subject.scaling.sizes)

    check(*gate.scaling(growth, subject.scaling))
