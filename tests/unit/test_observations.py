"""Say what a frame cannot show because it is smaller than what ships."""

from pathlib import Path

import numpy as np
import pytest

from harness import observations, profiles
from harness.budgets import Budget, Tiling
from harness.evidence import Evidence, Provenance, sha256_of
from harness.images import Output, Size
from harness.inputs import Inputs
from harness.lab import DeviceUnderTest
from harness.lab.facts import Facts
from harness.limits import Limits
from harness.samples import Sample
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


class _Phones:
    """Several phones that answer tile by tile, each what it is given."""

    def __init__(self, answers: list[tuple[str, Evidence, float | None]]) -> None:
        self._answers = iter(answers)

    def feed(self, variant: Variant, given: Inputs, size: Size) -> Output:
        phone, evidence, repeat = next(self._answers)
        return Output(
            values={"out": given.single},
            provenance=Provenance(evidence=evidence, device=phone, variant_sha256="a"),
            repeat_relative_l2=repeat,
        )


def _in_tiles(*answers: tuple[str, Evidence, float | None]) -> Output:
    variant = Variant(
        name="net",
        precision=Precision.FP32,
        path=Path("net.tflite"),
        sha256="a",
        limits=Limits(source="a test"),
    )
    subject = Subject(
        name="s",
        task="deblur",
        variants=(variant,),
        source="a test",
        tiles=Tiling(resolution="32x32"),
    )
    sample = Sample(
        name="a",
        size=Size(width_px=64, height_px=32),
        inputs=Inputs.of(np.zeros((1, 32, 64, 3), np.float32)),
        targets={},
        sha256="a",
        target_sha256="",
    )
    return observations.made(_Phones(list(answers)), subject, variant, sample)  # type: ignore[arg-type]


@pytest.mark.parametrize("repeats", [(0.5, 0.0), (0.0, 0.5)])
def test_a_photograph_in_tiles_repeats_as_badly_as_its_worst_tile(
    repeats: tuple[float, float],
) -> None:
    phone = Evidence.PHONE

    whole = _in_tiles(("p", phone, repeats[0]), ("p", phone, repeats[1]))

    assert whole.repeat_relative_l2 == 0.5


def test_a_photograph_in_tiles_that_were_made_once_says_nothing_of_repeats() -> None:
    whole = _in_tiles(("p", Evidence.HOST, None), ("p", Evidence.HOST, None))

    assert whole.repeat_relative_l2 is None


def test_a_photograph_whose_tiles_two_phones_made_names_both() -> None:
    whole = _in_tiles(("p", Evidence.PHONE, 0.0), ("q", Evidence.PHONE, 0.0))

    assert whole.provenance.device == "p, q"


def test_a_photograph_in_tiles_is_known_as_weakly_as_its_weakest_tile() -> None:
    whole = _in_tiles(("p", Evidence.HOST, None), ("q", Evidence.VENDOR, None))

    assert whole.provenance.evidence is Evidence.HOST
