"""Tests of goldens and baselines."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import baselines, blessed_outputs, goldens, samples, subjects
from harness.baselines import Baseline
from harness.errors import BlessedDataError, ConfigError
from harness.evidence import Evidence
from harness.subjects import Subject
from tests import tiny


@pytest.fixture
def subject(golden_dir: Path) -> Subject:
    """Return a blessed subject that may be changed."""
    return subjects.load(golden_dir / tiny.NAME)


def test_a_golden_holds_frame_reference_and_target(subject: Subject) -> None:
    golden = goldens.load(subject, "a")

    assert golden.frame.shape == golden.fp32_output.shape == (1, 64, 64, 3)
    assert golden.target is not None
    assert str(golden.size) == "64x64"
    assert not np.array_equal(golden.target, golden.frame)


def test_what_is_stored_is_read_back_to_16_bits_and_clipped(subject: Subject) -> None:
    low, high = subject.output_range
    output = np.random.default_rng(1).uniform(low, high, (1, 64, 64, 3)).astype(np.float32)
    output[0, 0, 0] = high + 0.5
    sample = samples.load(subject, "a")

    blessed_outputs.store(subject, sample, [output])

    again = goldens.load(subject, "a").fp32_output
    step = (high - low) / 65535
    np.testing.assert_allclose(again, np.clip(output, low, high), atol=0.5 * step + 2e-7)


@pytest.mark.parametrize("brightness", [0.01, 0.0])
def test_a_dark_output_is_stored_as_finely_as_a_bright_one(
    subject: Subject, brightness: float
) -> None:
    output = np.random.default_rng(1).uniform(0, brightness, (1, 64, 64, 3)).astype(np.float32)
    sample = samples.load(subject, "a")

    blessed_outputs.store(subject, sample, [output])

    again = goldens.load(subject, "a").fp32_output
    np.testing.assert_allclose(again, output, atol=0.51 * brightness / 65535)


def test_a_reference_without_its_span_is_one_between_0_and_1(subject: Subject) -> None:
    path = subject.references / "a.npz"
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files if name != "span"}
    np.savez(path, **parts)

    golden = goldens.load(subject, "a")

    np.testing.assert_allclose(golden.fp32_output, parts["output"] / 65535, atol=1e-7)


@pytest.mark.parametrize("span", [[0.0], [1.0, 0.0], [0.0, np.nan], [0.0, np.inf]])
def test_a_span_that_makes_no_sense_is_damage(subject: Subject, span: list[float]) -> None:
    path = subject.references / "a.npz"
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files}
    np.savez(path, **parts | {"span": np.array(span)})

    with pytest.raises(BlessedDataError, match="damaged reference"):
        goldens.load(subject, "a")


def test_an_output_that_its_range_would_cut_off_is_not_blessed(subject: Subject) -> None:
    output = np.full((1, 64, 64, 3), 200.0, np.float32)
    before = (subject.references / "a.npz").read_bytes()

    with pytest.raises(BlessedDataError, match=r"100\.0% of the FP32 output .* output_range in"):
        blessed_outputs.store(subject, samples.load(subject, "a"), [output])
    assert (subject.references / "a.npz").read_bytes() == before


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_not_blessed(subject: Subject, bad: float) -> None:
    output = np.full((1, 64, 64, 3), 0.5, np.float32)
    output[0, 3, 4, 1] = bad
    before = (subject.references / "a.npz").read_bytes()

    with pytest.raises(BlessedDataError, match="not finite"):
        blessed_outputs.store(subject, samples.load(subject, "a"), [output])
    assert (subject.references / "a.npz").read_bytes() == before


def test_a_frame_that_changed_makes_its_golden_stale(subject: Subject) -> None:
    path = subject.frames / "a.blurred.png"
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)

    with pytest.raises(BlessedDataError, match=r"stale, the frame has changed.*harness bless unet"):
        goldens.load(subject, "a")


def test_another_fp32_model_makes_goldens_stale(golden_dir: Path) -> None:
    toml = golden_dir / tiny.NAME / "subject.toml"
    blessed = subjects.load(toml.parent).reference.sha256
    tiny.edit(toml, blessed, "0" * 64)

    with pytest.raises(BlessedDataError, match="stale, made by another FP32 model"):
        goldens.load(subjects.load(toml.parent), "a")


def test_a_missing_reference_names_bless(subject: Subject) -> None:
    (subject.references / "a.npz").unlink()

    with pytest.raises(BlessedDataError, match="missing; run `harness bless unet`"):
        goldens.load(subject, "a")


@pytest.mark.parametrize("length", [0, 3, 100, 1000])
def test_a_reference_cut_short_is_an_error(subject: Subject, length: int) -> None:
    path = subject.references / "a.npz"
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(BlessedDataError, match="damaged reference"):
        goldens.load(subject, "a")


@pytest.mark.parametrize("seed", range(20))
def test_a_reference_with_flipped_bytes_is_refused_or_whole(subject: Subject, seed: int) -> None:
    path = subject.references / "a.npz"
    data = bytearray(path.read_bytes())
    whole = goldens.load(subject, "a").fp32_output
    random = np.random.default_rng(seed)
    for place in random.integers(0, len(data), 3):
        data[place] ^= int(random.integers(1, 256))
    path.write_bytes(data)

    try:
        again = goldens.load(subject, "a").fp32_output
    except BlessedDataError as error:
        assert "harness bless" in str(error)  # noqa: PT017 - a flip may hit what nobody reads
    else:
        np.testing.assert_array_equal(again, whole)


def test_frames_are_listed_by_name(subject: Subject) -> None:
    assert samples.names(subject) == ("a", "b")


class TestBaselines:
    def test_what_is_stored_is_read_back_in_a_stable_order(self, subject: Subject) -> None:
        known = baselines.load(subject)
        assert len(known) == 8
        blessed = baselines.path_of(subject).read_bytes()

        baselines.store(subject, list(reversed(known)))

        assert baselines.load(subject) == known
        assert baselines.path_of(subject).read_bytes() == blessed

    def test_a_subject_that_was_never_blessed_has_none(self, subject: Subject) -> None:
        baselines.path_of(subject).unlink()

        assert baselines.load(subject) == ()

    @pytest.mark.parametrize("text", ["", "{", '{"baselines": 3}', '{"baselines": [{"x": 1}]}'])
    def test_a_damaged_file_is_an_error_that_names_it(self, subject: Subject, text: str) -> None:
        baselines.path_of(subject).write_text(text, encoding="utf-8")

        with pytest.raises(ConfigError, match=r"baselines\.json"):
            baselines.load(subject)

    @pytest.mark.parametrize("field", ['"spread": -1.0', '"low": 2.0, "high": 1.0'])
    def test_a_spread_or_interval_that_makes_no_sense_is_an_error(
        self, subject: Subject, field: str
    ) -> None:
        path = baselines.path_of(subject)
        text = path.read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if '"because"' in line)
        path.write_text(text.replace(line, f"{field},\n{line}", 1), encoding="utf-8")

        with pytest.raises(ConfigError, match=r"baselines\.json"):
            baselines.load(subject)

    def test_facts_of_unequal_evidence_are_about_different_things(self) -> None:
        def baseline(evidence: Evidence) -> Baseline:
            return Baseline(
                variant="v", file_sha256="", device="d", delegate="x", resolution="1x1",
                evidence=evidence, metric="latency_ms", value=1.0, spread=0.0, because="",
            )  # fmt: skip

        assert baseline(Evidence.PHONE).key != baseline(Evidence.MODEL).key
