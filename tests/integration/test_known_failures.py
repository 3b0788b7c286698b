"""Fully on the GPU and wrong: what ML Drift computes wrongly on this host, and what helps."""

import numpy as np
import pytest

from harness import profiles
from harness.devices.drivers import graphs
from harness.devices.emulated import Emulated
from harness.fidelity import image_psnr_db
from harness.inputs import Inputs
from harness.model import Model
from harness.profiles import Target
from harness.stacks import mldrift, xnnpack
from tests import models, needs

pytestmark = pytest.mark.gpu

FRAME = np.random.default_rng(3).random((1, 16, 16, 3), dtype=np.float32)


def pixel4_gpu() -> Emulated:
    needs.installed(mldrift.missing())
    pixel4 = profiles.load_all([profiles.shipped_folder()])["pixel4"]
    return Emulated(Target(profile=pixel4, delegate="gpu"))


def reshaped(b: models.ModelBuilder, x: int, *shape: int) -> int:
    y = b.activation(shape)
    b.op("RESHAPE", [x, b.constant(np.array(shape))], [y])
    return y


def padded(*, rank: int) -> Model:
    """Return a net that pads at a rank, and crops by a strided convolution's VALID window."""
    b = models.ModelBuilder()
    image = b.activation((1, 16, 16, 3))
    x = reshaped(b, image, 16, 16, 3) if rank == 3 else image
    shape = (16, 17, 3) if rank == 3 else (1, 16, 17, 3)
    pads = [[0, 0]] * rank
    pads[-2] = [1, 0]
    y = b.activation(shape)
    b.op("PAD", [x, b.constant(np.array(pads))], [y])
    whole = reshaped(b, y, 1, 16, 17, 3) if rank == 3 else y
    out = b.activation((1, 16, 16, 3))
    starts, ends, steps = ([0, 0, 0, 0], [1, 16, 16, 3], [1, 1, 1, 1])
    b.op(
        "STRIDED_SLICE",
        [whole, *(b.constant(np.array(values)) for values in (starts, ends, steps))],
        [out],
        begin_mask=0,
        end_mask=0,
        ellipsis_mask=0,
        new_axis_mask=0,
        shrink_axis_mask=0,
    )
    return models.model(b.build([image], [out]))


def biased(*, rank: int) -> Model:
    """Return a net that adds a constant of the tensor's own shape."""
    b = models.ModelBuilder()
    image = b.activation((1, 16, 16, 3))
    shape = (256, 3) if rank == 2 else (1, 256, 3)
    values = np.random.default_rng(1).random(shape, dtype=np.float32) - np.float32(0.5)
    added = b.same("ADD", reshaped(b, image, *shape), b.constant(values, "float32"))
    return models.model(b.build([image], [reshaped(b, added, 1, 16, 16, 3)]))


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [(padded(rank=3), padded(rank=4)), (biased(rank=2), biased(rank=3))],
    ids=["PAD at rank 3", "ADD at rank 2"],
)
def test_the_gpu_takes_all_and_computes_it_wrongly_and_the_remedy_is_right(
    fault: Model, remedy: Model
) -> None:
    device = pixel4_gpu()

    placement = device.place(fault)
    wrong = image_psnr_db(device.run(fault, FRAME).pixels, xnnpack.run(fault, FRAME))
    right = image_psnr_db(device.run(remedy, FRAME).pixels, xnnpack.run(remedy, FRAME))

    assert placement.cpu_ops == 0
    assert placement.partitions == 1
    assert wrong < 20.0
    assert "computed wrongly by LiteRT" in placement.provenance.note
    assert right > 100.0
    assert "computed wrongly" not in device.place(remedy).provenance.note


def test_the_graphs_for_phones_show_what_ml_drift_gets_wrong_here():
    """Four of the eleven; the others were wrong on other drivers, or only in fp16."""
    target = pixel4_gpu().target
    wrong = set()
    for case in graphs.probes():
        inputs = Inputs(case.inputs).of_graph(case.model.graph)
        right = xnnpack.execute(case.model, inputs)
        made = mldrift.execute(case.model, target, inputs)
        for got, wanted in zip(made, right, strict=True):
            if not np.allclose(got, wanted, rtol=1e-3, atol=1e-3):
                wrong.add(case.name)

    assert wrong == {"pad_rank_3", "add_constant_rank_2", "add_shown_and_summed", "div_then_conv"}
