"""Tests of subject.toml."""

import dataclasses
from pathlib import Path

import pytest

from harness import subjects
from harness.errors import BlessedDataError, ConfigError
from harness.subjects import Precision
from tests import tiny


@pytest.fixture
def toml(golden_dir: Path) -> Path:
    """Return the subject.toml of a subject that may be changed."""
    return golden_dir / tiny.NAME / "subject.toml"


def test_a_subject_knows_its_variants_and_where_they_are(golden_dir: Path) -> None:
    subject = subjects.load(golden_dir / tiny.NAME)

    assert [v.precision for v in subject.variants] == [Precision.FP32, Precision.INT8_PTQ]
    assert subject.reference.name == "fp32"
    assert all(v.path.is_absolute() and v.path.is_file() for v in subject.variants)


def test_a_variant_reads_the_bytes_that_were_blessed(golden_dir: Path) -> None:
    variant = subjects.load(golden_dir / tiny.NAME).reference

    assert variant.model().data == (golden_dir / tiny.NAME / "fp32.tflite").read_bytes()


def test_a_variant_whose_file_changed_is_not_read_and_bless_is_named(golden_dir: Path) -> None:
    variant = subjects.load(golden_dir / tiny.NAME).reference
    variant.path.write_bytes(variant.path.read_bytes() + b"\0")

    with pytest.raises(
        BlessedDataError, match=r"content changed since it was blessed.*harness bless"
    ):
        variant.model()


def test_a_variant_without_its_file_says_so(golden_dir: Path) -> None:
    variant = subjects.load(golden_dir / tiny.NAME).reference
    variant.path.unlink()

    with pytest.raises(BlessedDataError, match=r"fp32\.tflite: cannot be read"):
        variant.model()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "unet"', 'name = "vnet"', "says name = 'vnet'; name it 'unet'"),
        ('name = "int8_ptq"', 'name = "fp32"', "two variants have the same name"),
        ('precision = "fp32"', 'precision = "fp8"', "known: fp32, fp16, int8_ptq"),
        ('resolution = "64x64"', 'resolution = "64"', r"budgets\[0\]: '64' is not"),
        ('["32x32", "64x64"]', '["32", "64x64"]', r"scaling.resolutions: '32' is not a"),
        ("output_range = [0.0, ", "output_range = [9.0, ", r"output_range is \[black, white\]"),
        ("psnr_db = ", "psnr_dB = ", "unknown key psnr_dB"),
        ("latency_ms = 1000", "latency = 1000", "latency; known.*; did you mean 'latency_ms'"),
        ("latency_ms = 1000", 'latency_ms = "1 s"', "expected float"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_a_config_error(
    toml: Path, old: str, new: str, message: str
) -> None:
    tiny.edit(toml, old, new)

    with pytest.raises(ConfigError, match=message):
        subjects.load(toml.parent)


def test_the_reference_of_a_subject_without_an_fp32_variant_is_its_first_one(
    golden_dir: Path,
) -> None:
    subject = subjects.load(golden_dir / tiny.NAME)
    quantized = dataclasses.replace(subject, variants=subject.variants[1:])

    assert (subject.has_fp32, quantized.has_fp32) == (True, False)
    assert quantized.reference is subject.variants[1]


def test_where_a_variant_ships_is_said_with_the_reason(toml: Path) -> None:
    text = toml.read_text(encoding="utf-8").replace('devices = ["*"]', 'devices = ["pixel*"]', 1)
    toml.write_text(
        text + '\n[[withheld]]\ndevices = ["pixel4"]\ndelegates = ["gpu"]\nvariants = ["int8*"]\n'
        'because = "too slow"\n',
        encoding="utf-8",
    )
    subject = subjects.load(toml.parent)

    assert subject.withheld_because("pixel4", "nnapi", "int8_ptq") is None
    assert subject.withheld_because("pixel4", "gpu", "int8_ptq") == "too slow"
    assert subject.withheld_because("pixel4", "gpu", "fp32") is None
    assert "no [[ships]] entry" in str(subject.withheld_because("reno3", "nnapi", "fp32"))


def test_of_several_budgets_for_a_size_the_first_one_counts(toml: Path) -> None:
    own = (
        '[[budgets]]\ndevices = ["pixel4"]\ndelegates = ["*"]\nvariants = ["fp32"]\n'
        'resolution = "{}"\nlatency_ms = {}\nsource = "test"\n\n'
    )
    text = toml.read_text(encoding="utf-8")
    toml.write_text(
        text.replace(
            "[[budgets]]", own.format("64x64", 5) + own.format("16x16", 7) + "[[budgets]]"
        ),
        encoding="utf-8",
    )
    subject = subjects.load(toml.parent)

    def limits(device: str, variant: str) -> list[tuple[str, float | None]]:
        found = subject.budgets_of(device, "nnapi", variant)
        return [(b.resolution, b.latency_ms) for b in found]

    assert limits("pixel4", "fp32") == [("16x16", 7.0), ("64x64", 5.0)]
    assert limits("pixel4", "int8_ptq") == [("64x64", 1000.0)]
    assert limits("reno3", "fp32") == [("64x64", 1000.0)]


@pytest.mark.parametrize(
    ("pattern", "asked", "by_name"),
    [
        ("*", True, False), ("unet", True, False), ("unet.*", True, False),
        ("unet.int8*", True, False), ("*.int8_ptq", True, True), ("unet.fp32", False, False),
    ],
)  # fmt: skip
def test_a_pattern_asks_for_a_variant_by_name_only_when_it_is_spelled_out(
    pattern: str, asked: bool, by_name: bool
) -> None:
    assert subjects.wanted("int8_ptq", pattern) == (asked, by_name)


def test_an_empty_folder_of_subjects_names_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="harness init"):
        subjects.load_all(tmp_path)
