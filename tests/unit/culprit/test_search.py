"""Tests of the culprit search: three kinds of faults are planted, and each is found."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from harness import culprit, graph
from harness.culprit.search import Values, snr_db
from harness.errors import ModelError
from harness.graph import Op
from harness.images import Pixels
from harness.model import Model
from harness.stacks import xnnpack
from tests import faults, models

SOUND = models.unet(dtype="int8", channels=8)
FP32 = faults.float_twin(SOUND)
PARSED = graph.parse(SOUND)
FRAME: Pixels = np.random.default_rng(3).random((1, 16, 16, 3), dtype=np.float32)


def search(
    model: bytes,
    *,
    reference: bytes = FP32,
    run: culprit.Run = xnnpack.execute,
    tolerance_db: float = 10.0,
) -> culprit.Search:
    return culprit.search(
        models.model(model),
        models.model(reference),
        FRAME,
        run=run,
        run_reference=xnnpack.execute,
        tolerance_db=tolerance_db,
    )


def op_named(name: str, skip: int = 0) -> Op:
    return [op for op in PARSED.ops if op.name == name][skip]


def test_a_sound_quantized_model_has_no_culprit() -> None:
    found = search(SOUND)

    assert found.culprit is None
    assert found.first_wrong is None
    assert len(found.points) == len(PARSED.ops)
    assert all(10.0 < point.snr_db < 80.0 for point in found.points)


@pytest.mark.parametrize("skip", [1, 3])
def test_weights_with_a_wrong_scale_are_found_and_the_factor_is_named(skip: int) -> None:
    conv = op_named("CONV_2D", skip)
    broken = faults.scale_tensor(SOUND, conv.inputs[1], 3.0)

    found = search(broken)

    assert found.culprit is not None
    assert found.culprit.index == conv.index
    assert f"wrong constant: {PARSED.tensors[conv.inputs[1]].name!r}" in found.cause
    assert "times 3" in found.cause


def test_an_output_with_steps_that_are_too_wide_is_found() -> None:
    conv = op_named("CONV_2D", 3)
    broken = faults.scale_tensor(SOUND, conv.outputs[0], 64.0)

    found = search(broken)

    assert found.culprit is not None
    assert found.culprit.index == conv.index
    assert f"wrong scale: {PARSED.tensors[conv.outputs[0]].name!r}" in found.cause
    assert "scale 1," in found.culprit.stored


def test_a_clipped_range_is_found_and_both_ranges_are_named() -> None:
    conv = op_named("CONV_2D")
    broken = faults.scale_tensor(SOUND, conv.outputs[0], 1 / 64)

    found = search(broken)

    assert found.culprit is not None
    assert found.culprit.index == conv.index
    assert "clipped range" in found.cause
    assert "-0.03125 to 0.03101" in found.cause


def test_a_kernel_that_computes_something_else_is_found() -> None:
    found = search(SOUND, reference=SOUND, run=_with_other_resize, tolerance_db=40.0)

    assert found.culprit is not None
    assert found.culprit.op == "RESIZE_BILINEAR"
    assert "the kernel computes something else from the same inputs" in found.cause


def test_an_option_that_differs_between_the_files_is_named() -> None:
    resize = op_named("RESIZE_BILINEAR")
    broken = faults.set_option(FP32, resize.index, "halfPixelCenters", True)

    found = search(broken, tolerance_db=40.0)

    assert found.culprit is not None
    assert found.culprit.index == resize.index
    assert "other option: half_pixel_centers is True here and False" in found.cause


def test_an_op_that_only_passes_the_error_on_is_not_blamed() -> None:
    conv = op_named("CONV_2D", 1)
    broken = faults.scale_tensor(SOUND, conv.inputs[1], 3.0)

    found = search(broken)

    after = next(point for point in found.points if point.index == conv.index + 1)
    assert found.culprit is not None
    assert after.snr_db < 10.0
    assert after.own_snr_db is None or after.own_snr_db > 10.0


def test_a_value_that_is_not_finite_is_found() -> None:
    def overflow(model: Model, inputs: Sequence[Values]) -> Sequence[Values]:
        parsed = model.graph
        outputs = list(xnnpack.execute(model, inputs))
        names = [parsed.tensors[i].name for i in parsed.outputs]
        tensor = PARSED.tensors[op_named("PRELU", 1).outputs[0]].name
        spoiled = {tensor, f"{tensor}/shown", PARSED.tensors[PARSED.outputs[0]].name}
        return [
            np.full_like(output, np.inf) if name in spoiled else output
            for name, output in zip(names, outputs, strict=True)
        ]

    found = search(SOUND, run=overflow)

    assert found.culprit is not None
    assert found.culprit.op == "PRELU"
    assert found.culprit.snr_db == -math.inf


def test_models_that_have_nothing_in_common_are_refused() -> None:
    with pytest.raises(ModelError, match="no op in common"):
        search(models.op_model("MAX_POOL_2D", shape=(1, 16, 16, 3)))


def test_the_text_shows_the_curve_the_culprit_and_the_cause() -> None:
    conv = op_named("CONV_2D", 1)
    found = search(faults.scale_tensor(SOUND, conv.inputs[1], 3.0))

    text = culprit.lines(found)

    marked = [line for line in text if line.endswith("<- culprit")]
    assert [line.split()[:2] for line in marked] == [[str(conv.index), "CONV_2D"]]
    assert any(line.startswith(f"culprit: CONV_2D #{conv.index} writes") for line in text)
    assert any("wrong constant" in line for line in text)
    assert len([line for line in text if " dB" in line]) > len(PARSED.ops)


def test_the_text_of_a_sound_model_says_so() -> None:
    assert culprit.lines(search(SOUND))[-1] == "no op leaves the tolerance of 10 dB"


@pytest.mark.parametrize(
    ("values", "db"),
    [([1.0, 1.0], math.inf), ([1.1, 0.9], 20.0), ([np.nan, 1.0], -math.inf)],
)
def test_signal_to_error_is_in_decibel_of_energy(values: list[float], db: float) -> None:
    truth = np.ones(2, np.float32)

    assert snr_db(np.array(values, np.float32), truth) == pytest.approx(db, abs=1e-4)


def test_an_error_on_a_silent_signal_is_unusable() -> None:
    assert snr_db(np.ones(2, np.float32), np.zeros(2, np.float32)) == -math.inf


def _with_other_resize(model: Model, inputs: Sequence[Values]) -> Sequence[Values]:
    """Run a model with a RESIZE_BILINEAR that samples at other places."""
    data = model.data
    for op in model.graph.ops:
        if op.name == "RESIZE_BILINEAR":
            data = faults.set_option(data, op.index, "alignCorners", True)
    return xnnpack.execute(models.model(data), inputs)


def test_nothing_is_blamed_where_the_models_own_output_keeps_the_tolerance() -> None:
    """Seen on LiteRT's GPU accelerator: an op is computed wrongly only where it is shown."""

    def wrong_where_shown(model: Model, inputs: Sequence[Values]) -> Sequence[Values]:
        outputs = xnnpack.execute(model, inputs)
        return outputs if len(outputs) == 1 else [-output for output in outputs]

    found = search(SOUND, reference=SOUND, run=wrong_where_shown)

    assert found.first_wrong is not None
    assert found.culprit is None
    assert found.output_snr_db == math.inf
    assert culprit.lines(found)[-1].startswith("no op is to blame: ")
