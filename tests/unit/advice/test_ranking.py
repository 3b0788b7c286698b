"""Advice is ranked by what a rewrite really does on phones."""

import pytest

from harness import advice, profiles
from harness.errors import ModelError
from harness.images import Size
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target
from tests import models
from tests.unit.estimate import phones

PHONE = phones.target()
SIZES = [Size(width_px=side, height_px=side) for side in (16, 32, 64, 128)]


def refuse_transposed(model: Model, target: Target) -> Placement:
    """Place a graph on an accelerator that does not take TRANSPOSE_CONV."""
    return phones.place(model.graph, on_cpu={"TRANSPOSE_CONV"})


def nnapi(model: Model, target: Target) -> Placement:
    return phones.place(model.graph)


def refuse_shuffling(model: Model, target: Target) -> Placement:
    if any(op.name == "DEPTH_TO_SPACE" for op in model.graph.ops):
        raise ModelError("this stack cannot place DEPTH_TO_SPACE")
    return refuse_transposed(model, target)


def test_the_rewrite_that_ends_fallback_is_first_and_shows_both_sides() -> None:
    model = models.model(models.unet(upsampling="TRANSPOSE_CONV"))

    found = advice.advise(model, [PHONE], refuse_transposed)

    assert found[0].rewrite.startswith("TRANSPOSE_CONV -> ")
    assert found[0].gain_share > 0.3
    (effect,) = found[0].effects
    assert (effect.cpu_ops_before, effect.cpu_ops_after) == (2, 0)
    assert effect.after is not None
    assert effect.after.estimate_ms < effect.before.estimate_ms
    assert [a.gain_share for a in found] == sorted((a.gain_share for a in found), reverse=True)


def test_rewrites_that_do_not_apply_are_not_offered() -> None:
    found = advice.advise(models.model(models.conv_net()), [PHONE], refuse_transposed)

    assert {a.rewrite for a in found} == {"channels -> multiples of 32"}


def test_a_rewrite_that_cannot_be_placed_says_why_and_gains_nothing() -> None:
    model = models.model(models.unet(upsampling="TRANSPOSE_CONV"))

    found = advice.advise(model, [PHONE], refuse_shuffling)

    (shuffled,) = [a for a in found if "DEPTH_TO_SPACE" in a.rewrite]
    assert shuffled.effects[0].problem == "this stack cannot place DEPTH_TO_SPACE"
    assert shuffled.effects[0].after is None
    assert shuffled.effects[0].cpu_ops_after is None
    assert shuffled.gain_share == 0.0


def test_the_largest_resolution_in_budget_is_the_last_that_fits() -> None:
    model = models.model(models.unet())
    estimates = {
        size: advice.largest_size(model, PHONE, refuse_transposed, budget_ms=1e9, sizes=[size])
        for size in SIZES
    }
    wanted = estimates[SIZES[2]]
    assert wanted is not None
    budget_ms = wanted.estimate.high_ms

    found = advice.largest_size(model, PHONE, refuse_transposed, budget_ms=budget_ms, sizes=SIZES)

    assert found is not None
    assert found.size == SIZES[2]
    assert advice.largest_size(model, PHONE, refuse_transposed, budget_ms=0.01, sizes=SIZES) is None


def test_the_mac_target_fits_the_budget_and_more_does_not() -> None:
    draft = models.model(models.conv_net(depth=4, channels=64, size_px=64))
    whole = draft.graph
    full = advice.mac_target(draft, PHONE, refuse_transposed, budget_ms=1e9)
    assert full is not None
    assert full.macs_share == 1.0
    floor_ms = phones.RATES["floor_ms"]
    ratio = full.estimate.high_ms / full.estimate.estimate_ms
    budget_ms = (floor_ms + 0.5 * (full.estimate.estimate_ms - floor_ms)) * ratio

    found = advice.mac_target(draft, PHONE, refuse_transposed, budget_ms=budget_ms)

    assert found is not None
    assert 0.0 < found.macs_share < 1.0
    assert found.gmacs == pytest.approx(found.macs_share * whole.macs / 1e9)
    assert found.estimate.high_ms <= budget_ms


def test_a_budget_inside_the_interval_is_not_kept() -> None:
    model = models.model(models.conv_net(depth=4, channels=64, size_px=64))
    size = [Size(width_px=64, height_px=64)]
    full = advice.largest_size(model, PHONE, refuse_transposed, budget_ms=1e9, sizes=size)
    assert full is not None
    budget_ms = (full.estimate.estimate_ms + full.estimate.high_ms) / 2.0

    found = advice.largest_size(model, PHONE, refuse_transposed, budget_ms=budget_ms, sizes=size)

    assert found is None


def test_a_phone_without_figures_has_no_budget_answer() -> None:
    phone = profiles.select(profiles.load_all([profiles.shipped_folder()]), ["mate30pro"])[0]
    model = models.model(models.conv_net())

    assert "no figure of mate30pro is public" in advice.unjudgeable(model, phone, nnapi)
    assert advice.mac_target(model, phone, nnapi, budget_ms=1e9) is None
    assert advice.largest_size(model, phone, nnapi, budget_ms=1e9, sizes=SIZES) is None
    assert advice.unjudgeable(model, PHONE, refuse_transposed) == ""
    assert not any(
        effect.absolute for a in advice.advise(model, [phone], nnapi) for effect in a.effects
    )


def test_a_budget_below_the_floor_has_no_mac_target() -> None:
    found = advice.mac_target(
        models.model(models.conv_net()), PHONE, refuse_transposed, budget_ms=0.1
    )

    assert found is None
