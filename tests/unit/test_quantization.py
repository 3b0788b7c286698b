"""Check which 8-bit files are said to clip, on graphs that differ in their ranges only."""

from pathlib import Path

import pytest

from harness import graph, quantization
from harness.nodes import Graph, Quantization, Tensor

GOLDEN = Path(__file__).parents[2] / "golden"


def _image(index: int, *, low: float, high: float, dtype: str = "int8") -> Tensor:
    scale = (high - low) / 255.0
    first = {"int8": -128, "uint8": 0}.get(dtype, 0)
    return Tensor(
        index=index,
        name="image",
        shape=(1, 8, 8, 3),
        dtype=dtype,
        quantization=Quantization(
            scales=(scale,), zero_points=(first - round(low / scale),), axis=0
        ),
    )


def _graph(read: Tensor, written: Tensor) -> Graph:
    return Graph(tensors=(read, written), ops=(), inputs=(0,), outputs=(1,), size_bytes=0)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_an_output_that_cannot_hold_white_is_named_with_what_it_cost(dtype):
    found = quantization.clipping(
        _graph(
            _image(0, low=0.0, high=1.0, dtype=dtype), _image(1, low=0.0, high=0.743, dtype=dtype)
        )
    )

    assert "up to 0.74, the input to 1.00" in found
    assert "docs/study/quantization.csv" in found


@pytest.mark.parametrize(
    ("reads", "writes"),
    [
        ((0.0, 1.0), (0.0, 1.0)),
        ((0.0, 1.0), (-0.25, 1.18)),
        ((-1.0, 1.0), (-0.02, 1.0)),
        ((0.0, 1.0), (0.0, 0.995)),
        ((0.0, 255.0), (0.0, 1.0)),
    ],
)
def test_an_output_that_holds_white_or_has_other_units_is_not_named(reads, writes):
    read = _image(0, low=reads[0], high=reads[1])
    written = _image(1, low=writes[0], high=writes[1])

    assert quantization.clipping(_graph(read, written)) == ""


def test_a_float_image_is_not_judged():
    read = Tensor(index=0, name="image", shape=(1, 8, 8, 3), dtype="float32")

    assert quantization.clipping(_graph(read, _image(1, low=0.0, high=0.5))) == ""


@pytest.mark.parametrize(
    "path",
    sorted(GOLDEN.glob("*/*.tflite")),
    ids=lambda path: f"{path.parent.name}.{path.stem}",
)
def test_no_committed_file_clips(path):
    assert quantization.clipping(graph.load(path)) == ""
