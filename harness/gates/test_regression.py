"""Rule on regressions against blessed baselines (R)."""

from collections.abc import Sequence
from unittest import SkipTest

from harness import evidence, gate, goldens, metrics, observations, samples, verdict
from harness.baselines import Baseline
from harness.cases import SizedCase
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.measures import Measure
from harness.observations import Observation
from harness.requests import Request
from harness.subjects import Subject, Variant
from harness.verdict import Lack, Verdict

GATE = verdict.REGRESSION


def asks(case: SizedCase) -> list[Request]:
    """Return what a case will ask: all that can be blessed."""
    return observations.asks(case)


def test_no_metric_is_worse_than_its_baseline(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    accepted: tuple[Baseline, ...],
    check: gate.Check,
) -> None:
    """R1, R2: nothing is worse than what a person accepted, and all of it is observed."""
    observed = observations.of(device, subject, variant, size)
    today = evidence.now_utc()[:10]
    frames = "; ".join(goldens.changes(subject))

    check(
        *(
            _of_other_frames(one, frames)
            if frames and one.metric is metrics.QUALITY_DB
            else gate.regression(
                one.metric,
                one.value,
                accepted,
                one.provenance,
                file_sha256=variant.sha256,
                today=today,
                low=one.low,
                high=one.high,
            )
            for one in observed
        ),
        *gate.unobserved(
            ((o.metric.name, o.provenance.evidence) for o in observed),
            (one for one in accepted if one.metric not in variant.limits.own),
        ),
    )


def _of_other_frames(one: Observation, frames: str) -> Verdict:
    why = f"{one.metric.name} {one.value:.4g} is of other frames than were blessed: {frames}"
    return gate.inconclusive(one.metric, Lack.FRAME, why)


def test_no_measure_of_the_team_is_worse_than_its_baseline(
    device: DeviceUnderTest,
    subject: Subject,
    variant: Variant,
    size: Size,
    further: Sequence[Measure],
    accepted: tuple[Baseline, ...],
    check: gate.Check,
) -> None:
    """R3: what the team measures itself is no worse on the frames of this size than accepted."""
    if not variant.limits.own:
        raise SkipTest(f"not asked: {variant.name} has no limits under `own`")
    outputs = {
        name: [expected.fp32 for expected in goldens.load(subject, name).expected]
        for name in samples.names(subject)
    }
    today = evidence.now_utc()[:10]

    observed = observations.own(device, subject, variant, size, further, outputs)

    if not observed:
        raise SkipTest(f"not asked: {subject.name} has no frames of {size}")
    frames = "; ".join(goldens.changes(subject))
    check(
        *(
            _of_other_frames(one, frames)
            if frames
            else gate.regression(
                one.metric,
                one.value,
                accepted,
                one.provenance,
                file_sha256=variant.sha256,
                today=today,
            )
            for one in observed
        )
    )
