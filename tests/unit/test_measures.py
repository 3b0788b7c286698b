"""Tests of the measures that only a limit asks for."""

import contextlib
import importlib.util
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness import extras, gate, measures, subjects
from harness.errors import ConfigError, ModelError, StackMissing
from harness.evidence import Evidence, Provenance
from harness.images import Pixels
from harness.limits import Limits, OwnLimit
from harness.model import Model
from harness.stacks import xnnpack
from harness.verdict import Lack, Outcome, Sense
from tests import models, needs, tiny

HOST = Provenance(evidence=Evidence.HOST, device="host", variant_sha256="0" * 64)
skimage = pytest.mark.measures


def photograph(height: int = 200, width: int = 240, seed: int = 0) -> Pixels:
    """Return a smooth image with structure at every scale, float32 [1, H, W, 3]."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:height, :width].astype(np.float64)
    image = np.full((height, width, 3), 0.5)
    for period_px in (9.0, 23.0, 61.0, 140.0):
        for channel in range(3):
            angle, phase = rng.uniform(0.0, np.pi), rng.uniform(0.0, 2 * np.pi)
            along = xs * np.cos(angle) + ys * np.sin(angle)
            image[..., channel] += 0.1 * np.sin(2 * np.pi * along / period_px + phase)
    return image[np.newaxis].astype(np.float32)


def moved(image: Pixels, right_px: float, down_px: float) -> Pixels:
    """Return an image moved by a part of a pixel, by its Fourier series."""
    height, width = image.shape[1:3]
    rows, columns = np.fft.fftfreq(height)[:, np.newaxis], np.fft.fftfreq(width)
    turned = np.exp(-2j * np.pi * (rows * down_px + columns * right_px))[..., np.newaxis]
    spectrum = np.fft.fft2(image[0], axes=(0, 1)) * turned
    return np.fft.ifft2(spectrum, axes=(0, 1)).real[np.newaxis].astype(np.float32)


def asked(limits: Limits, **own: measures.Measured) -> list[measures.Measure]:
    return list(measures.asked(limits, own))


def noisy(image: Pixels, sigma: float = 0.05) -> Pixels:
    noise = np.random.default_rng(1).normal(0.0, sigma, image.shape)
    return np.clip(image + noise, 0.0, 1.0).astype(np.float32)


def test_without_a_limit_nothing_more_is_asked() -> None:
    limits = Limits(source="test", psnr_db=40.0)

    assert not measures.asks(limits)
    assert asked(limits) == []


@skimage
def test_an_image_is_like_itself_by_every_measure() -> None:
    needs.package("skimage")
    limits = Limits(source="test", ssim=1.0, ms_ssim=1.0, delta_e_2000=0.0, shift_px=0.0)
    image = photograph()

    verdicts = [gate.measured(one, image, image, HOST) for one in asked(limits)]

    assert [v.metric for v in verdicts] == ["ssim", "ms_ssim", "delta_e_2000", "shift_px"]
    assert {v.outcome for v in verdicts} == {Outcome.PASS}


@skimage
def test_a_noisy_image_breaks_tight_limits() -> None:
    needs.package("skimage")
    limits = Limits(source="test", ssim=0.99, ms_ssim=0.999, delta_e_2000=0.5, shift_px=0.1)
    image = photograph()

    verdicts = [gate.measured(one, noisy(image), image, HOST) for one in asked(limits)]

    assert [v.metric for v in verdicts if v.outcome is Outcome.FAIL] == [
        "ssim", "ms_ssim", "delta_e_2000",
    ]  # fmt: skip


@pytest.mark.measures
@pytest.mark.train
@pytest.mark.parametrize("size", [(200, 240), (177, 191)])
def test_ssim_over_one_scale_and_over_five_is_that_of_tensorflow(size: tuple[int, int]) -> None:
    needs.package("skimage")
    tf = needs.package("tensorflow")
    image = photograph(*size)
    got = noisy(image)
    pair = [tf.constant(one.astype(np.float32)) for one in (got, image)]

    one, five = measures.ssim(got[0], image[0]), measures.ms_ssim(got[0], image[0])

    assert one == pytest.approx(float(tf.image.ssim(*pair, 1.0)[0]), abs=2e-4)
    assert five == pytest.approx(float(tf.image.ssim_multiscale(*pair, 1.0)[0]), abs=2e-4)


@skimage
def test_a_colour_difference_is_that_of_the_published_example() -> None:
    color = needs.package("skimage.color")
    # Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula", 2005, table 1, pair 7.
    published = color.deltaE_ciede2000((50.0, 0.0, 0.0), (50.0, -1.0, 2.0))
    grey, red = np.full((8, 8, 3), 0.5), np.full((8, 8, 3), (0.6, 0.5, 0.5))

    assert published == pytest.approx(2.3669, abs=1e-4)
    assert measures.delta_e_2000(grey, grey) == 0.0
    assert measures.delta_e_2000(red, grey) > 5.0


@skimage
@pytest.mark.parametrize("right_px, down_px", [(0.5, 0.0), (0.0, -0.5), (0.24, 1.5), (-3.0, 2.0)])
def test_a_shift_is_found_to_a_part_of_a_pixel(right_px: float, down_px: float) -> None:
    needs.package("skimage")
    image = photograph()

    found = measures.shift(moved(image, right_px, down_px)[0], image[0])

    assert found == pytest.approx((right_px, down_px), abs=0.05)


@skimage
def test_half_a_pixel_is_named_as_what_is_wrong() -> None:
    needs.package("skimage")
    image = photograph()

    said = measures.moved(moved(image, 0.5, 0.0), image)

    assert "moved 0.50 px right" in said


@skimage
def test_a_resampling_with_other_pixel_centres_is_named_by_its_shift() -> None:
    needs.package("skimage")
    outputs = []
    for half_pixel_centers in (False, True):
        model = models.ModelBuilder()
        x = model.activation((1, 64, 80, 3))
        y = model.resize(x, half_pixel_centers=half_pixel_centers)
        data = model.build([x], [y])
        outputs.append(xnnpack.run(Model(name="resize", data=data), photograph(64, 80)))

    said = measures.moved(outputs[0], outputs[1])

    assert re.search(r"moved 0\.(4|5)\d px left and 0\.(4|5)\d px up", said)


@skimage
@pytest.mark.parametrize("spoilt", [noisy(photograph()), photograph(seed=5), photograph() * 0.5])
def test_no_shift_is_named_where_another_thing_is_wrong(spoilt: Pixels) -> None:
    needs.package("skimage")

    assert measures.moved(spoilt, photograph()) == ""


@skimage
def test_a_flat_image_has_no_shift() -> None:
    needs.package("skimage")
    flat = np.full((1, 64, 64, 3), 0.5, np.float32)

    assert measures.shift_px(flat[0], flat[0]) == 0.0


@skimage
@pytest.mark.parametrize(
    ("limits", "shape"),
    [
        (Limits(source="test", ssim=0.9), (1, 8, 8, 3)),
        (Limits(source="test", ms_ssim=0.9), (1, 128, 128, 3)),
        (Limits(source="test", delta_e_2000=1.0), (1, 64, 64, 1)),
    ],
)
def test_an_image_that_a_measure_is_not_of_is_inconclusive(
    limits: Limits, shape: tuple[int, ...]
) -> None:
    needs.package("skimage")
    image = np.zeros(shape, np.float32)
    (measure,) = asked(limits)

    verdict = gate.measured(measure, image, image, HOST)

    assert (verdict.outcome, verdict.lacks) == (Outcome.INCONCLUSIVE, Lack.FACT)


class StubNetwork:
    """What LPIPS gives, of the same API: a distance of two batches [1, 3, H, W] in [-1, 1]."""

    def __init__(self, *, net: str, verbose: bool) -> None:
        assert (net, verbose) == ("alex", False)
        self.training = True

    def eval(self) -> "StubNetwork":
        self.training = False
        return self

    def __call__(self, got: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        assert not self.training
        for batch in (got, wanted):
            assert (batch.shape[:2], batch.dtype) == ((1, 3), np.float32)
            assert -1.0 <= batch.min() < 0.0 < batch.max() <= 1.0
        return np.mean(np.abs(got - wanted)).reshape(1, 1, 1, 1)


@pytest.fixture
def _new_network() -> Iterator[None]:
    """Let LPIPS be loaded in this test, and again in the next."""
    measures._lpips.cache_clear()
    yield
    measures._lpips.cache_clear()


@pytest.mark.usefixtures("_new_network")
def test_lpips_is_given_batches_in_minus_1_to_1_without_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = types.SimpleNamespace(from_numpy=np.asarray, no_grad=contextlib.nullcontext)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=StubNetwork))
    image = photograph()
    (measure,) = asked(Limits(source="test", lpips=0.05))

    alike, apart = (measure.value(one, image) for one in (image, noisy(image)))
    with pytest.raises(ModelError, match="LPIPS is of RGB images"):
        measure.value(image[..., :1], image[..., :1])

    assert alike == 0.0
    assert apart == pytest.approx(2 * np.mean(np.abs(noisy(image) - image)), rel=1e-4)


@pytest.mark.usefixtures("_new_network")
def test_lpips_without_weights_says_how_to_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("no network")

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=refuse))
    (measure,) = asked(Limits(source="test", lpips=0.05))

    verdict = gate.measured(measure, photograph(), photograph(), HOST)

    assert verdict.lacks is Lack.STACK
    assert "downloads them once" in verdict.cause


def test_lpips_without_torch_says_what_to_install() -> None:
    if importlib.util.find_spec("lpips") is not None:
        pytest.skip("LPIPS is installed here")
    image = photograph(64, 64)
    (measure,) = asked(Limits(source="test", lpips=0.1))

    verdict = gate.measured(measure, image, image, HOST)

    assert (verdict.outcome, verdict.lacks) == (Outcome.INCONCLUSIVE, Lack.STACK)
    assert extras.install_command("lpips") in verdict.cause


class TestMeasuresOfTheTeamsOwn:
    def test_are_judged_by_the_end_that_their_limit_gives(self) -> None:
        limits = Limits(
            source="test",
            own={"floor": OwnLimit(at_least=0.4), "roof": OwnLimit(at_most=0.4, unit="dB")},
        )
        image = np.full((1, 8, 8, 3), 0.5, np.float32)
        floor, roof = asked(limits, floor=lambda a, b: a.mean(), roof=lambda a, b: b.mean())

        kept, broken = (gate.measured(one, image, image, HOST) for one in (floor, roof))

        assert (kept.metric, kept.sense, kept.outcome) == ("floor", Sense.AT_LEAST, Outcome.PASS)
        assert (broken.outcome, broken.unit) == (Outcome.FAIL, "dB")

    def test_get_the_images_over_their_stated_range(self) -> None:
        limits = Limits(source="test", own={"mean": OwnLimit(at_least=0.0)})
        white = np.full((1, 8, 8, 3), 255.0, np.float32)
        own = {"mean": lambda a, b: float(a.mean())}
        (measure,) = measures.asked(limits, own, output_range=(0.0, 255.0))

        assert measure.value(white, white) == 1.0

    @pytest.mark.parametrize("answer", [float("nan"), None, "0.5"])
    def test_that_give_no_number_are_inconclusive(self, answer: object) -> None:
        limits = Limits(source="test", own={"odd": OwnLimit(at_least=0.0)})
        image = np.zeros((1, 8, 8, 3), np.float32)
        (measure,) = measures.asked(limits, {"odd": lambda a, b: answer})  # type: ignore[dict-item, return-value]

        assert gate.measured(measure, image, image, HOST).outcome is Outcome.INCONCLUSIVE

    @pytest.mark.parametrize(
        ("name", "message"),
        [("edge_los", "did you mean 'edge_loss'"), ("psnr_db", "the harness has a metric of")],
    )
    def test_that_are_not_to_be_had_are_an_error(self, name: str, message: str) -> None:
        limits = Limits(source="test", own={name: OwnLimit(at_most=1.0)})

        with pytest.raises(ConfigError, match=message):
            asked(limits, edge_loss=lambda a, b: 0.0, psnr_db=lambda a, b: 0.0)

    @pytest.mark.parametrize("ends", ["", "at_least = 1.0, at_most = 2.0"])
    def test_have_one_end_in_their_limit(self, golden_dir: Path, ends: str) -> None:
        toml = golden_dir / tiny.NAME / "subject.toml"
        tiny.edit(toml, "relative_l2 = ", f"own = {{ a = {{ {ends} }} }}\nrelative_l2 = ")

        with pytest.raises(ConfigError, match="one of at_least and at_most"):
            subjects.load(toml.parent)


def test_a_shape_that_is_not_the_goldens_is_an_error() -> None:
    limits = Limits(source="test", own={"any": OwnLimit(at_least=0.0)})
    (measure,) = measures.asked(limits, {"any": lambda a, b: 1.0})

    with pytest.raises(ModelError):
        measure.value(photograph(64, 64), photograph(64, 32))


def test_what_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage.metrics", None)

    with pytest.raises(StackMissing) as caught:
        measures.ssim(photograph(64, 64)[0], photograph(64, 64)[0])

    assert extras.install_command("measures") in str(caught.value)
