"""Further ways to measure an image, each asked only where a limit asks: SSIM, colour, shift, own.

They rest on scikit-image (extra `measures`) and LPIPS (extra `lpips`), imported when first asked.
"""

import functools
import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from harness import extras, fidelity, metrics
from harness.errors import ConfigError, MeasurementError, ModelError, StackMissing
from harness.images import UNIT_RANGE, Pixels
from harness.limits import Limits
from harness.metrics import Metric
from harness.text import meant
from harness.verdict import FIDELITY, Sense

ENTRY_POINTS = "device_harness.measures"
"""Group of the entry points that name a team's own measures."""
Measured = Callable[[np.ndarray, np.ndarray], float]
"""A measure: of an image and what it should be, both float64 [H, W, C] in [0, 1]."""

SSIM_SIGMA = 1.5
"""Of the Gaussian window of 11 x 11.

Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE Transactions on Image Processing 13(4), 2004, section III.B.
"""
SSIM_WINDOW_PX = 11
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, the finest first.

Source: Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment",
Asilomar 2003, section 3.2.
"""
_NO_LUMINANCE = 1e6
"""A K1 of SSIM at which its luminance term is 1 to twelve digits: contrast and structure remain."""
_SHIFT_STEPS = 50
"""Steps in a pixel to which a shift is found."""
SHIFT_SEEN_PX = 0.1
"""Least shift that is named as the cause of a low PSNR."""
_SHIFT_GAIN_DB = 3.0
"""Least PSNR that moving the image back must gain for the shift to be the cause."""
_BORDER_PX = 8
"""Edge left out where an image is moved back, for what comes in from outside."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure that a limit asks for.

    Attributes:
        metric: Its name, sense and unit.
        limit: The limit.
        of: What measures it.
        output_range: The values for black and white that the subject states.
    """

    metric: Metric
    limit: float
    of: Measured
    output_range: tuple[float, float] = UNIT_RANGE

    def value(self, pixels: Pixels, reference: Pixels) -> float:
        """Return the value of an output against what it should be.

        Args:
            pixels: What was made, float32 [1, H, W, C].
            reference: What it should be, of the same shape.

        Raises:
            ModelError: the shapes differ, or the measure is not of such images.
            BlessedDataError: the reference holds NaN or infinite values.
            MeasurementError: the measure gives no number.
            StackMissing: what it needs is not installed.
        """
        got, wanted = fidelity.on_display(pixels, reference, self.output_range)
        found = self.of(got[0], wanted[0])
        if not isinstance(found, (int, float, np.number)) or not math.isfinite(found):
            raise MeasurementError(f"{self.metric.name}: measures {found!r}, which is no number")
        return float(found)


def installed() -> Mapping[str, Measured]:
    """Return the team's own measures that installed packages name as entry points.

    Raises:
        ConfigError: one cannot be imported.
    """
    found: dict[str, Measured] = {}
    for point in metadata.entry_points(group=ENTRY_POINTS):
        try:
            found[point.name] = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"measure {point.name!r} ({point.value}) cannot be imported: {error}"
            ) from None
    return found


def asks(limits: Limits) -> bool:
    """Return whether limits ask for any measure of these."""
    return bool(limits.own) or any(getattr(limits, m.name) is not None for m in _OF)


def asked(
    limits: Limits,
    own: Mapping[str, Measured],
    *,
    output_range: tuple[float, float] = UNIT_RANGE,
) -> Iterator[Measure]:
    """Yield the measures that limits ask for.

    Args:
        limits: Of a variant.
        own: The team's own measures by name.
        output_range: The values for black and white that the subject states.

    Raises:
        ConfigError: a measure of the team's own is not registered, or has the name of another.
    """
    for metric, measure in _OF.items():
        limit = getattr(limits, metric.name)
        if limit is not None:
            yield Measure(metric=metric, limit=limit, of=measure, output_range=output_range)
    for name, wanted in limits.own.items():
        if name not in own:
            raise ConfigError(
                f"limits.own.{name}: no measure of this name; registered: "
                f"{', '.join(sorted(own)) or 'none'}{meant(name, own)}. Register one by the hook "
                f"pytest_harness_measures or an entry point of the group {ENTRY_POINTS}"
            )
        if name in _TAKEN:
            raise ConfigError(f"limits.own.{name}: the harness has a metric of this name; rename")
        at_least = wanted.at_least is not None
        limit = wanted.at_least if at_least else wanted.at_most
        assert limit is not None
        sense = Sense.AT_LEAST if at_least else Sense.AT_MOST
        metric = Metric(gate=FIDELITY, name=name, sense=sense, unit=wanted.unit, about="your own")
        yield Measure(metric=metric, limit=limit, of=own[name], output_range=output_range)


def ssim(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Return the mean structural similarity, over all channels.

    Raises:
        ModelError: the image is smaller than the window.
    """
    return float(np.mean(list(_similarities(pixels, reference))))


def ms_ssim(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Return the structural similarity over five scales, each half the one before.

    The mean contrast and structure of each scale, to the scale's exponent, times the luminance of
    the coarsest; then the mean over the channels.

    Raises:
        ModelError: the coarsest scale is smaller than the window.
    """
    least = SSIM_WINDOW_PX * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
    if min(pixels.shape[:2]) < least:
        raise ModelError(
            f"MS-SSIM halves an image four times and needs {least} px on each edge, and this has "
            f"{pixels.shape[1]}x{pixels.shape[0]}; take a larger frame, or a limit on ssim"
        )
    product = np.ones(pixels.shape[2])
    for scale, weight in enumerate(MS_SSIM_WEIGHTS, start=1):
        last = scale == len(MS_SSIM_WEIGHTS)
        alike = _similarities(pixels, reference, luminance=last)
        product *= np.maximum(list(alike), 0.0) ** weight
        pixels, reference = _half(pixels), _half(reference)
    return float(product.mean())


def delta_e_2000(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Return the mean CIEDE2000 colour difference of two sRGB images.

    Source: CIE 142-2001; sRGB to CIELAB under D65 by scikit-image.

    Raises:
        ModelError: they have not three channels.
    """
    color = _skimage("color")
    if pixels.shape[2] != 3:
        raise ModelError(f"CIEDE2000 is of RGB images, and this has {pixels.shape[2]} channels")
    lab = color.rgb2lab(pixels), color.rgb2lab(reference)
    return float(np.mean(color.deltaE_ciede2000(*lab)))


def shift_px(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Return how far an image is moved against another, to 0.02 px."""
    return math.hypot(*shift(pixels, reference))


def shift(pixels: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return how many px right and down an image is moved, (0, 0) for one without features.

    Source: Guizar-Sicairos, Thurman, Fienup, "Efficient subpixel image registration algorithms",
    Optics Letters 33, 2008, as scikit-image has it, under a Hann window against the image's edge.
    """
    registration, filters = _skimage("registration"), _skimage("filters")
    window = filters.window("hann", pixels.shape[:2])
    got, wanted = ((i.mean(axis=2) - i.mean()) * window for i in (pixels, reference))
    if min(float(np.ptp(got)), float(np.ptp(wanted))) < 1e-6:
        return 0.0, 0.0
    back, _, _ = registration.phase_cross_correlation(
        wanted, got, upsample_factor=_SHIFT_STEPS, normalization=None
    )
    return -float(back[1]), -float(back[0])


def moved(
    pixels: Pixels, reference: Pixels, *, output_range: tuple[float, float] = UNIT_RANGE
) -> str:
    """Return where an image that is right otherwise is moved to, or ''.

    It is moved back to see: where that does not gain 3 dB, a shift is not what is wrong with it.
    Without scikit-image nothing is said.

    Args:
        pixels: What was made, float32 [1, H, W, C].
        reference: What it should be, of the same shape.
        output_range: The values for black and white that the subject states.
    """
    got, wanted = (i[0] for i in fidelity.on_display(pixels, reference, output_range))
    if min(got.shape[:2]) <= 4 * _BORDER_PX:
        return ""
    try:
        right, down = shift(got, wanted)
        ndimage = importlib.import_module("scipy.ndimage")
    except (StackMissing, ModuleNotFoundError):
        return ""
    if math.hypot(right, down) < SHIFT_SEEN_PX:
        return ""
    inner = (slice(_BORDER_PX, -_BORDER_PX),) * 2
    back = ndimage.shift(got, (-down, -right, 0.0), order=3, mode="nearest")
    was, now = (
        fidelity.psnr_db(float(np.mean(np.square(image[inner] - wanted[inner]))))
        for image in (got, back)
    )
    if now - was < _SHIFT_GAIN_DB:
        return ""
    return (
        f"the image is moved {abs(right):.2f} px {'right' if right > 0 else 'left'} and "
        f"{abs(down):.2f} px {'down' if down > 0 else 'up'}, and has {now:.1f} dB when it is "
        "moved back: look at how it is resized or padded"
    )


def lpips(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Return the learned perceptual distance of two RGB images.

    Source: Zhang, Isola, Efros, Shechtman, Wang, "The unreasonable effectiveness of deep features
    as a perceptual metric", CVPR 2018, version 0.1 with AlexNet.

    Raises:
        ModelError: they have not three channels.
    """
    torch, network = _lpips()
    if pixels.shape[2] != 3:
        raise ModelError(f"LPIPS is of RGB images, and this has {pixels.shape[2]} channels")
    pair = [
        torch.from_numpy(np.float32(np.moveaxis(image, 2, 0)[np.newaxis] * 2.0 - 1.0))
        for image in (pixels, reference)
    ]
    with torch.no_grad():
        return float(network(*pair).item())


_OF: Mapping[Metric, Measured] = {
    metrics.SSIM: ssim,
    metrics.MS_SSIM: ms_ssim,
    metrics.DELTA_E_2000: delta_e_2000,
    metrics.SHIFT_PX: shift_px,
    metrics.LPIPS: lpips,
}
_TAKEN = frozenset(metric.name for metric in metrics.ALL)


def _similarities(
    pixels: np.ndarray, reference: np.ndarray, *, luminance: bool = True
) -> Iterator[float]:
    """Yield the mean SSIM of each channel, or its contrast and structure without luminance."""
    measuring = _skimage("metrics")
    if min(pixels.shape[:2]) < SSIM_WINDOW_PX:
        raise ModelError(
            f"SSIM needs {SSIM_WINDOW_PX} px on each edge, and this image has "
            f"{pixels.shape[1]}x{pixels.shape[0]}"
        )
    for channel in range(pixels.shape[2]):
        yield float(
            measuring.structural_similarity(
                pixels[..., channel],
                reference[..., channel],
                data_range=fidelity.PEAK,
                gaussian_weights=True,
                sigma=SSIM_SIGMA,
                use_sample_covariance=False,
                **({} if luminance else {"K1": _NO_LUMINANCE}),
            )
        )


def _half(image: np.ndarray) -> np.ndarray:
    """Return the mean of each 2 x 2; an odd edge is repeated."""
    image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), "symmetric")
    pairs = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, -1)
    half: np.ndarray = pairs.mean(axis=(1, 3))
    return half


def _skimage(part: str) -> Any:
    """Return a part of scikit-image.

    Raises:
        StackMissing: it is not installed.
    """
    try:
        return importlib.import_module(f"skimage.{part}")
    except ModuleNotFoundError as error:
        said = f"{error.name} is not installed; {extras.install_command('measures')}"
        raise StackMissing(said) from None


@functools.cache
def _lpips() -> tuple[Any, Any]:
    """Return torch and the network, whose AlexNet torchvision downloads when it is first asked.

    Raises:
        StackMissing: they are not installed, or the weights cannot be had.
    """
    try:
        torch, package = importlib.import_module("torch"), importlib.import_module("lpips")
        return torch, package.LPIPS(net="alex", verbose=False).eval()
    except ModuleNotFoundError as error:
        said = f"{error.name} is not installed; {extras.install_command('lpips')}"
        raise StackMissing(said) from None
    except OSError as error:
        raise StackMissing(
            f"LPIPS: the weights of AlexNet are not on this machine ({error}); where there is a "
            "network, `python -c \"import lpips; lpips.LPIPS(net='alex')\"` downloads them once"
        ) from None
