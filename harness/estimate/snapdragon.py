"""Cost what runs on a Snapdragon phone's NPU: the vendor's estimate, corrected for the phone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from harness import schema
from harness.errors import ConfigError, TimeLimitError
from harness.estimate import correction, idioms, interval, repeats, second_opinion, work
from harness.estimate.correction import Correction
from harness.estimate.repeats import Answer
from harness.estimate.second_opinion import Opinion
from harness.graph import Graph
from harness.profiles import EstimateConstants, Profile

OLDER_CHIPS = frozenset({"SM8250", "SM8350", "SM8450", "SM8475"})
"""Chips of HTP v69 and older: older than the estimator's.

They run the layer normalization of an image op by op. Source: published rows of release v0.46. On
chips of HTP v73 and later ConvNeXt and ViT take the time of the fused op; on QCS8450 ConvNeXt,
which normalizes images, takes that of the parts, and ViT, which normalizes sequences, that of the
fused op.
"""
DELEGATE = "qnn"


@dataclass(frozen=True, kw_only=True)
class NpuCost:
    """The milliseconds of one NPU partition by cause.

    Attributes:
        compute_ms: The vendor's estimate less what it asks too much, and the conversion of float
            ports, times the phone's factor.
        unseen_ms: Ops and traffic whose cost the estimator does not see, times that factor.
        unpriced_ms: Ops that the estimator knows no cost of, by the roofline.
        floor_ms: The call.
        low_ms: Lower end of the 90 % interval of the sum.
        high_ms: Its upper end.
        absolute: Whether figures of this chip are behind it.
        basis: What it rests on, in one line.
        shares: Share of each kernel (0..1), by label, as the roofline divides it; empty without.
        by_vendor: Whether the vendor's estimator answered.
    """

    compute_ms: float
    unseen_ms: float
    unpriced_ms: float
    floor_ms: float
    low_ms: float
    high_ms: float
    absolute: bool
    basis: str
    shares: Mapping[str, float] = field(default_factory=dict)
    by_vendor: bool = True

    @property
    def total_ms(self) -> float:
        """Return the time of the partition."""
        return self.compute_ms + self.unseen_ms + self.unpriced_ms + self.floor_ms


def as_run(part: Graph, *, soc_model: str) -> Graph:
    """Return a graph as a phone's compiler runs it: with what it folds or fuses done.

    Args:
        part: Wholly on the NPU.
        soc_model: Of the phone's chip, such as `SM8650`; another than the known old ones is new.
    """
    bare = idioms.without_input_normalization(part)
    images = soc_model not in OLDER_CHIPS
    return idioms.with_batched_products(idioms.with_layer_norms(bare, images=images))


def soc_model(profile: Profile) -> str:
    """Return the chip that a profile's NPU names, or ''."""
    return next((a.soc_model for a in profile.accelerators_of(DELEGATE) if a.soc_model), "")


def cost(part: Graph, profile: Profile) -> NpuCost:
    """Cost a graph that runs wholly on the NPU, in one call.

    Args:
        part: From `vendor.subgraph`, or a whole graph.
        profile: A phone with constants for the delegate qnn.

    Raises:
        StackMissing: the `qualcomm` extra is not installed.
        ConfigError: the profile has no constants for the NPU, or malformed ones.
        ModelError: the vendor's provider does not take the graph.
        DeviceError: the estimator crashed, or gave no answer in time and the profile has no
            roofline to answer in its place.
    """
    entry = _constants(profile, correction.precision_of(part))
    where = f"{profile.name}: qnn {entry.precision}"
    constants = schema.parse(Correction, dict(entry.values), where=f"{where}: values")
    run = as_run(part, soc_model=soc_model(profile))
    rates = second_opinion.rates(entry, where=where)
    second = second_opinion.ask(run, rates) if rates else None
    absolute = entry.rows > 0 and correction.precision_of(part) != work.INT16
    try:
        answer = repeats.estimate(run)
    except TimeLimitError as error:
        if second is None:
            raise
        return _by_roofline(run, second, entry, absolute=absolute, why=str(error))
    found = answer.said
    unpriced_ms = second_opinion.unpriced_ms(run, found.uncosted, rates) if rates else 0.0
    compute_ms, unseen_ms = correction.corrected_ms(correction.know(run, found), vars(constants))
    priced = NpuCost(
        compute_ms=float(compute_ms),
        unseen_ms=float(unseen_ms),
        unpriced_ms=unpriced_ms,
        floor_ms=constants.floor_ms,
        low_ms=0.0,
        high_ms=0.0,
        absolute=absolute,
        basis=_basis(entry, answer, unpriced_ms),
        shares=second.shares if second else {},
    )
    # Ops without a cost make the estimate too small by an unknown amount: widen by their share.
    share = unpriced_ms / priced.total_ms if rates else len(found.uncosted) / max(1, len(run.ops))
    alone = _widened(priced, run, answer, entry, constants, wider=(1.0 + share) * answer.ratio)
    if rates is None or second is None or _agree(priced.total_ms, second.estimate_ms, entry):
        return alone
    culprit = second_opinion.culprit(run, rates, estimator_ratio=constants.vendor_ratio)
    return _holding(alone, second.estimate_ms, culprit, entry)


def _widened(
    priced: NpuCost,
    run: Graph,
    answer: Answer,
    entry: EstimateConstants,
    constants: Correction,
    *,
    wider: float,
) -> NpuCost:
    """Return a cost with its interval.

    Rescalings may cost nothing, and traffic beyond what the estimator can count something.

    Args:
        priced: The cost.
        run: What was costed.
        answer: The vendor's of it.
        entry: The phone's constants.
        constants: Those on the vendor's answer.
        wider: By what factor, beyond what the constants say.
    """
    ratio = wider * interval.widen(
        entry.interval_ratio, macs=run.macs, fitted_gmacs_max=entry.fitted_gmacs_max
    )
    low_ms = priced.total_ms - correction.rescalings_ms(run, constants)
    hidden_ms = constants.vendor_ratio * constants.memory_ms * answer.said.hidden_mib
    return replace(priced, low_ms=low_ms / ratio, high_ms=(priced.total_ms + hidden_ms) * ratio)


def _by_roofline(
    run: Graph, second: Opinion, entry: EstimateConstants, *, absolute: bool, why: str
) -> NpuCost:
    """Answer by the second opinion alone, with the wider of the two intervals."""
    own = max(entry.interval_ratio, entry.roofline_interval_ratio or entry.interval_ratio)
    ratio = interval.widen(own, macs=run.macs, fitted_gmacs_max=entry.fitted_gmacs_max)
    return NpuCost(
        compute_ms=second.estimate_ms,
        unseen_ms=0.0,
        unpriced_ms=0.0,
        floor_ms=0.0,
        low_ms=second.estimate_ms / ratio,
        high_ms=second.estimate_ms * ratio,
        absolute=absolute,
        basis=f"{_rests(entry, f'a roofline of this NPU in {entry.precision}')}: {why}",
        shares=second.shares,
        by_vendor=False,
    )


def _agree(one_ms: float, other_ms: float, entry: EstimateConstants) -> bool:
    """Return whether two opinions are no further apart than on the fitted networks."""
    factor = max(one_ms / other_ms, other_ms / one_ms)
    return entry.agreement_ratio is None or factor <= entry.agreement_ratio


def _holding(priced: NpuCost, other_ms: float, culprit: str, entry: EstimateConstants) -> NpuCost:
    """Widen an interval to hold the roofline's answer too, and say why."""
    return replace(
        priced,
        low_ms=min(priced.low_ms, other_ms),
        high_ms=max(priced.high_ms, other_ms),
        basis=f"{priced.basis}; a roofline of this NPU says {other_ms:.3g} ms instead, further "
        f"apart than on nine of ten fitted networks (x{entry.agreement_ratio:.2f}), the most at "
        f"{culprit}: the interval holds both",
    )


def _constants(profile: Profile, precision: str) -> EstimateConstants:
    """Return the constants of a precision; int8's stand in for 16-bit fixed point."""
    wanted = work.INT8 if precision == work.INT16 else precision
    for entry in profile.estimates:
        if (entry.delegate, entry.precision) == (DELEGATE, wanted):
            return entry
    raise ConfigError(
        f"{profile.name}: no `[[estimates]]` for qnn in {wanted}; fit them with "
        "`harness calibrate`, or copy those of a phone with a like chip and set rows = 0"
    )


def _basis(entry: EstimateConstants, answer: Answer, unpriced_ms: float) -> str:
    found = answer.said
    names = ", ".join(f"{found.uncosted.count(n)} {n}" for n in dict.fromkeys(found.uncosted))
    price = f", {unpriced_ms:.2g} ms by the roofline" if unpriced_ms else ""
    missing = f"; ops without a vendor cost: {names}{price}" if names else ""
    model = f"Qualcomm's estimator with a {entry.precision} correction"
    error = f", median held-out error {entry.error_share:.0%}" if entry.rows else ""
    shortened = f"; {answer.shortened}" if answer.shortened else ""
    hidden_gib = found.hidden_mib / 1024
    hidden = f"; up to {hidden_gib:.0f} GiB of traffic more than it can count" if hidden_gib else ""
    return f"{_rests(entry, model)}{error}{missing}{shortened}{hidden}"


def _rests(entry: EstimateConstants, model: str) -> str:
    if not entry.rows:
        return f"{model} constants of another chip stand in, ratios only"
    return f"{model} fitted to {entry.rows} figures"
