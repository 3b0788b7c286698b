"""Say what a frame cannot show because it is smaller than what ships."""

from pathlib import Path

import pytest

from harness import observations, profiles
from harness.budgets import Budget
from harness.evidence import sha256_of
from harness.images import Size
from harness.lab import DeviceUnderTest
from harness.lab.facts import Facts
from harness.limits import Limits
from harness.subjects import Precision, Subject, Variant
from tests.models import ModelBuilder

SHIPPED = profiles.load_all([profiles.SHIPPED])
FRAME = Size(width_px=64, height_px=64)


def with_mean(axes: tuple[int, ...] = (1, 2)) -> bytes:
    """Return an image scaled by a mean of it, as channel attention does."""
    model = ModelBuilder()
    image = model.activation((1, 64, 64, 3), name="image")
    shape = (1, *(1 if axis in axes else 64 for axis in (1, 2)), 3)
    mean, made = model.activation(shape), model.activation((1, 64, 64, 3))
    model.op("MEAN", [image, model.constant(axes)], [mean], keep_dims=True)
    model.op("MUL", [image, mean], [made])
    return model.build([image], [made])


def unseen(tmp_path: Path, data: bytes, *, device: str = "pixel8:gpu", ships: str) -> str:
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    limits = Limits(source="a test")
    variant = Variant(
        name="net", precision=Precision.FP32, path=path, sha256=sha256_of(data), limits=limits
    )
    budget = Budget(
        devices=("*",), delegates=("*",), variants=("*",), resolution=ships, source="a test"
    )
    subject = Subject(
        name="s", task="deblur", variants=(variant,), source="a test", budgets=(budget,)
    )
    (target,) = profiles.select(SHIPPED, [device])
    case = DeviceUnderTest(target, Facts.__new__(Facts))  # nothing is asked of it
    return observations.unseen(case, subject, variant, FRAME)


def test_a_mean_over_more_pixels_than_the_frame_has_is_warned_of(tmp_path: Path):
    said = unseen(tmp_path, with_mean(), ships="1280x720")

    assert said.startswith("a frame of 64x64 cannot show what 1280x720 may do: MEAN #0")
    assert "921600 pixels" in said
    assert said.endswith("add a bright frame of 1280x720")


@pytest.mark.parametrize(
    ("device", "ships", "axes"),
    [
        ("pixel8:gpu-fp32", "1280x720", (1, 2)),
        ("pixel8:cpu", "1280x720", (1, 2)),
        ("pixel8:gpu", "64x64", (1, 2)),
        ("pixel8:gpu", "128x128", (1, 2)),
        ("pixel8:gpu", "1280x720", (1,)),
    ],
)
def test_nothing_is_said_where_the_frame_shows_all(
    tmp_path: Path, device: str, ships: str, axes: tuple[int, ...]
):
    assert unseen(tmp_path, with_mean(axes), device=device, ships=ships) == ""
