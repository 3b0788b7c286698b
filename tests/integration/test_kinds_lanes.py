"""Each kind of model on each lane beside the host's CPU: a GPU, Qualcomm's NPU, a phone.

`test_arm64.py` has them on Arm.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import harness
from harness.devices.phone.adb import AdbServer
from harness.evidence import Evidence
from harness.graph import Tensor
from harness.inputs import Inputs, Values
from harness.model import Model
from harness.stacks import mldrift, qnn, xnnpack
from tests import exotic, kinds, models, needs, phones
from tests.phones import Plugged

OF_BOTH: dict[str, Callable[..., bytes]] = {
    "burst": kinds.burst, "classifier": kinds.classifier, "exposure": kinds.exposure,
    "luma": kinds.luma, "nchw": kinds.nchw, "noise_map": kinds.noise_map, "raw": kinds.raw,
    "two_outputs": kinds.two_outputs, "video": kinds.video,
}  # fmt: skip
FILES: dict[str, Callable[[], bytes]] = {
    **{
        f"{name}.{dtype}": functools.partial(build, dtype=dtype)
        for name, build in OF_BOTH.items()
        for dtype in ("float32", "int8")
    },
    "dynamic.float32": functools.partial(models.restorer, size_px=1),
    **{f"{name}.quantized": build for name, build in kinds.QUANTIZED.items()},
}
INT16_BUFFERS = ("int16_io.quantized",)
"""Refused on a GPU by the name of the tensor, as `test_mldrift.py` has it."""


def loaded(name: str) -> Model:
    """Return a model of a kind; one that leaves its size open at 32x24."""
    model = models.model(FILES[name](), name)
    return model.at("32x24") if name.startswith("dynamic") else model


def given(model: Model) -> tuple[Values, ...]:
    """Return real values in [0, 1] for each input."""
    random = np.random.default_rng(3)
    shapes = (model.graph.tensors[i].shape for i in model.graph.inputs)
    return tuple(random.random(shape).astype(np.float32) for shape in shapes)


def step_of(tensor: Tensor) -> float:
    """Return the real value of one step of a tensor's integers; 0 where it holds none."""
    return tensor.quantization.scales[0] if tensor.quantization else 0.0


def assert_alike(made: tuple[Values, ...], model: Model, steps: float) -> None:
    """Assert that outputs are those of this host's CPU within steps of the stored integers.

    The largest steps are inside; the output rounds once more, to its own.
    """
    wanted = xnnpack.execute(model, given(model))
    assert len(made) == len(model.graph.outputs)
    tensors = model.graph.tensors
    inside = max(step_of(tensor) for tensor in tensors if tensor.constant is None)
    for values, right, index in zip(made, wanted, model.graph.outputs, strict=True):
        assert values.shape == right.shape
        assert np.ptp(right) > 0.01
        assert (
            float(np.abs(values - right).max()) <= steps * inside + step_of(tensors[index]) + 1e-4
        )


@pytest.mark.gpu
@pytest.mark.parametrize("name", [one for one in FILES if one not in INT16_BUFFERS])
def test_a_gpu_makes_what_this_hosts_cpu_does(name: str) -> None:
    needs.installed(mldrift.missing())
    with harness.connect("pixel4:gpu") as phone:
        model = loaded(name)

        placement = phone.place(model)
        made = phone.run(model, named(model))

    assert len(placement.nodes) == len(model.graph.ops)
    assert_alike(tuple(made.values.values()), model, steps=2)


@pytest.mark.qualcomm
@pytest.mark.parametrize("name", [one for one in FILES if "quantized" in one or "dynamic" in one])
def test_a_qualcomm_npu_makes_what_this_hosts_cpu_does(name: str) -> None:
    needs.installed(qnn.missing())
    with harness.connect("galaxy_s24:qnn") as phone:
        model = loaded(name)

        placement = phone.place(model)
        made = phone.run(model, named(model))

    assert len(placement.nodes) == len(model.graph.ops)
    psnr = [
        10 * np.log10(1 / max(float(np.square(values - right).mean()), 1e-12))
        for values, right in zip(
            made.values.values(), xnnpack.execute(model, given(model)), strict=True
        )
    ]
    assert min(psnr) > 35.0


@pytest.mark.parametrize("name", exotic.CALLING)
@pytest.mark.parametrize(
    "target",
    [
        pytest.param("pixel4:gpu", marks=pytest.mark.gpu),
        pytest.param("galaxy_s24:qnn", marks=pytest.mark.qualcomm),
    ],
)
def test_what_calls_a_subgraph_is_left_to_the_cpu_and_runs_there(target: str, name: str) -> None:
    needs.installed(mldrift.missing() if target.endswith("gpu") else qnn.missing())
    model = models.model(exotic.CALLING[name](), name)
    with harness.connect(target) as phone:
        (fallback,) = phone.place(model).fallbacks
        made = phone.run(model, named(model))

    assert fallback.reason
    assert_alike(tuple(made.values.values()), model, steps=0)


def named(model: Model) -> Inputs:
    """Return the values of each input by its name."""
    return Inputs(dict(zip(model.graph.input_names, given(model), strict=True)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with phones.default_server(tmp_path_factory.mktemp("home")) as started:
        yield started


@pytest.fixture(scope="module")
def plugged(server: AdbServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    with phones.with_tool(tmp_path_factory.mktemp("phone") / "phone", server) as fake:
        yield fake


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_phone_makes_what_this_hosts_cpu_does(name: str, plugged: Plugged) -> None:
    model = loaded(name)
    with harness.connect("pixel4:cpu", origin="phone", serial=plugged.serial) as phone:
        made = phone.run(model, named(model))

    assert made.provenance.evidence is Evidence.FAKE
    assert_alike(tuple(made.values.values()), model, steps=1)
