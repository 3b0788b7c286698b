"""Rule on one output of a variant: an image, or a tensor that is none."""

from collections.abc import Iterable
from dataclasses import replace

from harness import agreement, measures, metrics
from harness import fidelity as fidelities
from harness.agreement import Agreement
from harness.evidence import Provenance
from harness.gate.pixels import fidelity, finite_values, in_range
from harness.gate.ruling import inconclusive, rule
from harness.inputs import Values
from harness.limits import Limits, OutputLimits
from harness.metrics import Metric
from harness.roles import OutputSpec, Role
from harness.verdict import Lack, Verdict

_NO_FP32 = "the subject has no FP32 variant, so nobody knows what its other arithmetic costs"
_GIVE_FP32 = "give `harness init` the FP32 model as well"


def output(
    made: Values,
    reference: Values,
    spec: OutputSpec,
    limits: Limits,
    provenance: Provenance,
    *,
    hazard: str = "",
    of_fp32: bool = True,
) -> tuple[Verdict, ...]:
    """Judge one output against its golden: an image by its pixels, a tensor by agreement.

    Args:
        made: The output, as `roles.decoded` gives it.
        reference: The golden's.
        spec: What it is; where it has a name, that stands before each metric's.
        limits: The variant's.
        provenance: Of the output.
        hazard: What is known to be dangerous in the file, or ''.
        of_fp32: Whether an FP32 model made the golden; else it is the first output that the file
            itself, or the subject's first, was blessed with.

    Raises:
        ModelError: the output has another shape than its golden.
    """
    own = limits.of(spec.name)
    cause = "; ".join(filter(None, (agreement.flat(made, reference), hazard)))
    if not of_fp32:
        return named(_like_the_first(made, reference, spec, limits, provenance, cause), spec)
    if spec.role is Role.IMAGE:
        match = fidelities.compare(made, reference, output_range=spec.range)
        closest = replace(
            limits,
            psnr_db=limits.psnr_db if own.psnr_db is None else own.psnr_db,
            relative_l2=limits.relative_l2 if own.relative_l2 is None else own.relative_l2,
            worst_tile_psnr_db=limits.worst_tile_psnr_db
            if own.worst_tile_psnr_db is None
            else own.worst_tile_psnr_db,
        )
        if match.psnr_db < (closest.psnr_db or 0.0):
            moved = measures.moved(made, reference, output_range=spec.range)
            cause = "; ".join(filter(None, (cause, moved)))
        verdicts = fidelity(match, closest, provenance, hazard=cause)
    else:
        agreed = agreement.compare(made, reference, channel_axis=spec.channel_axis)
        verdicts = agrees(agreed, own, provenance, cause=cause)
    return named(verdicts, spec)


def _like_the_first(
    made: Values,
    reference: Values,
    spec: OutputSpec,
    limits: Limits,
    provenance: Provenance,
    cause: str,
) -> tuple[Verdict, ...]:
    """Judge an output against the first one that was blessed, and say that FP32 is lacking."""
    own = limits.of(spec.name).first_relative_l2
    limit = limits.first_relative_l2 if own is None else own
    first = metrics.FIRST_RELATIVE_L2
    if spec.role is Role.IMAGE:
        match = fidelities.compare(made, reference, output_range=spec.range)
        return (
            _without_fp32(metrics.PSNR_DB),
            rule(first, match.relative_l2, limit, provenance, cause=cause),
            finite_values(match.non_finite_values, provenance),
            in_range(match, provenance),
        )
    agreed = agreement.compare(made, reference, channel_axis=spec.channel_axis)
    return (
        _without_fp32(metrics.RELATIVE_L2),
        rule(first, agreed.relative_l2, limit, provenance, cause=cause),
        finite_values(agreed.non_finite_values, provenance),
    )


def _without_fp32(metric: Metric) -> Verdict:
    return inconclusive(metric, Lack.REFERENCE, _NO_FP32, remedy=_GIVE_FP32)


def named(verdicts: Iterable[Verdict], spec: OutputSpec) -> tuple[Verdict, ...]:
    """Return verdicts about one output, whose name stands before each metric's."""
    if not spec.name:
        return tuple(verdicts)
    return tuple(replace(one, metric=f"{spec.file_name}/{one.metric}") for one in verdicts)


def agrees(
    match: Agreement, limits: OutputLimits, provenance: Provenance, *, cause: str = ""
) -> tuple[Verdict, ...]:
    """Judge a tensor that is no image by the limits that are set for it.

    Args:
        match: How far it agrees with its golden.
        limits: The output's; INCONCLUSIVE where there are none.
        provenance: Of the output.
        cause: What is known to be wrong with it, or ''.
    """
    measured = (
        (metrics.RELATIVE_L2, match.relative_l2, limits.relative_l2),
        (metrics.COSINE_SIMILARITY, match.cosine_similarity, limits.cosine_similarity),
        (metrics.TOP1_AGREEMENT, match.top1_agreement, limits.top1_agreement),
        (metrics.IOU, match.iou, limits.iou),
    )
    asked = [one for one in measured if one[2] is not None] or [measured[0]]
    return (
        *(rule(metric, seen, limit, provenance, cause=cause) for metric, seen, limit in asked),
        finite_values(match.non_finite_values, provenance),
    )
