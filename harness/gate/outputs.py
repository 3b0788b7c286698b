"""Rule on one output of a variant: an image, or a tensor that is none."""

from collections.abc import Iterable
from dataclasses import replace

from harness import agreement, measures, metrics
from harness import fidelity as fidelities
from harness.agreement import Agreement
from harness.evidence import Provenance
from harness.gate.pixels import fidelity, finite_values
from harness.gate.ruling import rule
from harness.inputs import Values
from harness.roles import OutputSpec, Role
from harness.subjects import Limits, OutputLimits
from harness.verdict import Verdict


def output(
    made: Values,
    reference: Values,
    spec: OutputSpec,
    limits: Limits,
    provenance: Provenance,
    *,
    hazard: str = "",
) -> tuple[Verdict, ...]:
    """Judge one output against its FP32 golden: an image by its pixels, a tensor by agreement.

    Args:
        made: The output, as `roles.decoded` gives it.
        reference: The golden's.
        spec: What it is; where it has a name, that stands before each metric's.
        limits: The variant's.
        provenance: Of the output.
        hazard: What is known to be dangerous in the file, or ''.

    Raises:
        ModelError: the output has another shape than its golden.
    """
    own = limits.of(spec.name)
    cause = "; ".join(filter(None, (agreement.flat(made, reference), hazard)))
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
