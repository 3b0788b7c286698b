"""Estimate a model before and after each rewrite on phones, and rank the rewrites."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.advice import channels
from harness.advice.rewrites import REWRITES, SAME_PIXELS, Rewrite
from harness.errors import HarnessError
from harness.estimate.model import estimate
from harness.images import Size
from harness.latency import Estimate
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target

Place = Callable[[Model, Target], Placement]
"""Says which op runs where; the caller chooses the stack."""

Run = Callable[[Model, Sequence[NDArray[np.float32]]], Sequence[NDArray[np.float32]]]
"""Runs a model on the values of its inputs; returns those of every output."""

SAME_DB = 90.0
"""Signal to error from which outputs are the same: what float32 rounding of a few ops leaves."""
_SEED = 0
_CHANNEL_MULTIPLE = 32
"""Channels that phones' matrix units take at a time.

Source: Qualcomm's HTP stores activations in blocks of 32 channels.
"""
_HALVINGS = 6


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The effect of a rewrite on one phone.

    Attributes:
        target: Such as `pixel4:nnapi`.
        before: Estimate of the model as it is.
        after: Estimate of the rewritten model, or None where it could not be had.
        cpu_ops_before: Ops that fall back as it is.
        cpu_ops_after: Ops that fall back once rewritten, or None where it could not be had.
        problem: Why there is no estimate, or ''.
    """

    target: str
    before: Estimate
    after: Estimate | None
    cpu_ops_before: int
    cpu_ops_after: int | None
    problem: str = ""

    @property
    def absolute(self) -> bool:
        """Return whether its milliseconds mean anything, and not only their ratio."""
        return self.before.absolute and (self.after is None or self.after.absolute)

    @property
    def ratio(self) -> float | None:
        """Return the estimate after the rewrite over the one before, or None without one."""
        return None if self.after is None else self.after.estimate_ms / self.before.estimate_ms


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One rewrite and what it gains.

    Attributes:
        rewrite: What is rewritten.
        gain_share: Time saved over time before, as geometric mean over the phones; negative
            where it costs.
        gmacs_before: Of the model as it is.
        gmacs_after: Of the rewritten model.
        effects: One for each phone.
        same_db: Signal to error of the rewritten model's outputs against the model's own, on
            noise, where the rewrite keeps the weights; inf where no value differs. None where the
            changed network must be trained again.
    """

    rewrite: str
    gain_share: float
    gmacs_before: float
    gmacs_after: float
    effects: tuple[Effect, ...]
    same_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The largest model or resolution that a budget allows on one phone.

    Attributes:
        estimate: Of that model or resolution.
        size: Resolution.
        gmacs: MACs of one inference there.
        macs_share: Those over the MACs of the model as it is at that resolution (0..1).
    """

    estimate: Estimate
    size: Size
    gmacs: float
    macs_share: float


def unjudgeable(model: Model, target: Target, place: Place) -> str:
    """Return why no budget in milliseconds can be answered for a phone, or ''.

    Raises:
        HarnessError: the model cannot be placed or estimated.
    """
    found, _ = _estimate(model, target, place)
    return "" if found.absolute else found.basis


def advise(
    model: Model, targets: Sequence[Target], place: Place, *, run: Run | None = None
) -> tuple[Advice, ...]:
    """Rank the rewrites that apply to a model by their gain over all phones, best first.

    Args:
        model: At the resolution in question.
        targets: Phones and delegates.
        place: Says which op runs where.
        run: Runs a model on its inputs, to see that a rewrite that keeps the weights keeps the
            pixels; without it none of those is offered.

    Raises:
        HarnessError: the model as it is cannot be placed, estimated or run.
    """
    before = {str(target): _estimate(model, target, place) for target in targets}
    found = []
    rewrites: dict[str, Rewrite] = {**REWRITES, _wider(): _widen}
    for name, rewrite in rewrites.items():
        changed = rewrite(model)
        if changed is not None:
            found.append(_advice(name, model, changed, targets, place, before))
    for name, rewrite in SAME_PIXELS.items() if run is not None else ():
        changed = rewrite(model)
        if changed is not None and run is not None:
            same_db = _same_db(model, changed, run)
            if same_db >= SAME_DB:
                one = _advice(name, model, changed, targets, place, before)
                found.append(replace(one, same_db=same_db))
    return tuple(sorted(found, key=lambda advice: -advice.gain_share))


def improved(model: Model, found: Sequence[Advice], *, run: Run) -> tuple[Model, tuple[str, ...]]:
    """Return a model after the rewrites that keep its pixels and gain time, and which they were.

    Args:
        model: With the weights that it is to keep.
        found: What `advise` found for it.
        run: Runs a model on its inputs; a rewrite after which pixels differ is left out.
    """
    made: list[str] = []
    for one in found:
        rewrite = SAME_PIXELS.get(one.rewrite)
        changed = rewrite(model) if rewrite is not None and one.gain_share > 0.0 else None
        if changed is not None and _same_db(model, changed, run) >= SAME_DB:
            model = changed
            made.append(one.rewrite)
    return model, tuple(made)


def _same_db(model: Model, changed: Model, run: Run) -> float:
    """Return the worst signal to error of a changed model's outputs against the model's own."""
    random = np.random.default_rng(_SEED)
    inputs = [
        random.random(model.graph.tensors[i].shape).astype(np.float32) for i in model.graph.inputs
    ]
    worst_db = math.inf
    for got, wanted in zip(run(changed, inputs), run(model, inputs), strict=True):
        if got.shape != wanted.shape:
            return -math.inf
        error, signal = (
            float(np.sum(np.square(v, dtype=np.float64))) for v in (got - wanted, wanted)
        )
        if error:
            worst_db = min(worst_db, 10.0 * math.log10(signal / error) if signal else -math.inf)
    return worst_db


def largest_size(
    model: Model, target: Target, place: Place, *, budget_ms: float, sizes: Sequence[Size]
) -> Limit | None:
    """Return the largest of some resolutions that keeps a budget, or None.

    As in the latency gate, an estimate keeps a budget if its whole interval does, and if figures
    of this phone are behind it.

    Raises:
        HarnessError: the model cannot be resized, placed or estimated.
    """
    for size in sorted(sizes, key=lambda size: -size.megapixels):
        resized = model.at(size)
        found, _ = _estimate(resized, target, place)
        if _keeps(found, budget_ms):
            gmacs = resized.graph.macs / 1e9
            return Limit(estimate=found, size=size, gmacs=gmacs, macs_share=1.0)
    return None


def mac_target(model: Model, target: Target, place: Place, *, budget_ms: float) -> Limit | None:
    """Return the most MACs within a budget, by thinning all channels alike; None if none fits.

    A budget is kept as `largest_size` says. The thinned model is really written, placed and
    estimated at each step of a bisection.

    Raises:
        HarnessError: the model cannot be placed or estimated.
    """
    factor = _bisect(lambda f: _fits(model, f, target, place, budget_ms))
    if factor is None:
        return None
    thinned = model if factor == 1.0 else _thin(model, factor)
    macs = thinned.graph.macs
    return Limit(
        estimate=_estimate(thinned, target, place)[0],
        size=model.size,
        gmacs=macs / 1e9,
        macs_share=macs / model.graph.macs if model.graph.macs else 1.0,
    )


def _bisect(fits: Callable[[float], bool]) -> float | None:
    """Return the largest factor of 1 or less that was found to fit."""
    if fits(1.0):
        return 1.0
    low, high, found = 0.0, 1.0, None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if fits(middle):
            low = found = middle
        else:
            high = middle
    return found


def _fits(model: Model, factor: float, target: Target, place: Place, budget_ms: float) -> bool:
    thinned = model if factor == 1.0 else _thin(model, factor)
    return _keeps(_estimate(thinned, target, place)[0], budget_ms)


def _keeps(found: Estimate, budget_ms: float) -> bool:
    return found.absolute and found.high_ms <= budget_ms


def _thin(model: Model, factor: float) -> Model:
    return channels.change(model, lambda count: max(1, round(count * factor)))


def _wider() -> str:
    return f"channels -> multiples of {_CHANNEL_MULTIPLE}"


def _widen(model: Model) -> Model | None:
    def nearest(count: int) -> int:
        return max(1, round(count / _CHANNEL_MULTIPLE)) * _CHANNEL_MULTIPLE

    changed = channels.change(model, nearest)
    same = [t.shape for t in changed.graph.tensors]
    return None if same == [t.shape for t in model.graph.tensors] else changed


def _estimate(model: Model, target: Target, place: Place) -> tuple[Estimate, Placement]:
    placement = place(model, target)
    return estimate(model, placement, target), placement


def _advice(
    name: str,
    model: Model,
    changed: Model,
    targets: Sequence[Target],
    place: Place,
    before: Mapping[str, tuple[Estimate, Placement]],
) -> Advice:
    effects = []
    for target in targets:
        was, placed = before[str(target)]
        now, moved, problem = None, None, ""
        try:
            now, moved = _estimate(changed, target, place)
        except HarnessError as error:
            problem = str(error)
        effects.append(
            Effect(
                target=str(target),
                before=was,
                after=now,
                cpu_ops_before=placed.cpu_ops,
                cpu_ops_after=None if moved is None else moved.cpu_ops,
                problem=problem,
            )
        )
    ratios = [effect.ratio for effect in effects if effect.ratio is not None]
    mean = math.exp(sum(math.log(r) for r in ratios) / len(ratios)) if ratios else 1.0
    return Advice(
        rewrite=name,
        gain_share=1.0 - mean,
        gmacs_before=model.graph.macs / 1e9,
        gmacs_after=changed.graph.macs / 1e9,
        effects=tuple(effects),
    )
