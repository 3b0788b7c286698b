"""Simulated camera shake: a random smooth path of the image, averaged in linear light.

A frame of the REDS data set is the mean of many sharp frames taken while the camera moves, made
in linear light and stored with 8 bits. For one photograph and a camera that only translates, that
mean is a convolution of the linear image with the path drawn as a kernel, which is how it is done
here.

Source: Nah et al., "NTIRE 2019 Challenge on Video Deblurring and Super-Resolution: Dataset and
Study", CVPRW 2019 (frames averaged in linear light); IEC 61966-2-1 (the sRGB curve).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]  # [H, W, 3], sRGB
Kernel = npt.NDArray[np.float64]  # [K, K], sums to 1

LEAST_EXTENT_PX = 7.0
GREATEST_EXTENT_PX = 13.0
PATH_SAMPLES = 64


def linear_light(srgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Undo the sRGB curve: values in [0, 1] to linear light in [0, 1].

    Source: IEC 61966-2-1:1999, with its thresholds 0.04045 and slope 12.92.
    """
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_curve(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Apply the sRGB curve: linear light in [0, 1] to values in [0, 1].

    Source: IEC 61966-2-1:1999.
    """
    lifted = 1.055 * np.maximum(linear, 0.0031308) ** (1.0 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, lifted)


def camera_path(rng: np.random.Generator, *, extent_px: float) -> npt.NDArray[np.float64]:
    """Draw a smooth random path of the image on the sensor while the shutter is open.

    The velocity is a constant drift and two random harmonics, so that paths reach from nearly
    straight to hooked.

    Args:
        rng: Source of randomness.
        extent_px: The greatest distance between two points of the path.

    Returns:
        [PATH_SAMPLES, 2] offsets (rows, columns) in px, centred on their mean.
    """
    t = np.linspace(0.0, 1.0, PATH_SAMPLES)
    path = np.outer(t, rng.normal(size=2))
    for harmonic in (1, 2):
        amplitude = rng.normal(scale=0.25 / harmonic, size=(2, 2))
        angle = np.pi * harmonic * t
        path += np.outer(np.sin(angle), amplitude[0]) + np.outer(np.cos(angle), amplitude[1])
    distances = np.linalg.norm(path[:, None] - path[None, :], axis=-1)
    path *= extent_px / distances.max()
    centred: npt.NDArray[np.float64] = path - path.mean(axis=0)
    return centred


def shake_kernel(path: npt.NDArray[np.float64]) -> Kernel:
    """Draw a path as a kernel, each sample shared among its four nearest pixels.

    Args:
        path: [samples, 2] offsets in px.

    Returns:
        [K, K] with K odd, the origin in the middle, summing to 1.
    """
    reach = int(np.ceil(np.abs(path).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    corner = np.floor(path).astype(int)
    part = path - corner
    for row in (0, 1):
        for column in (0, 1):
            weight = np.abs(1 - row - part[:, 0]) * np.abs(1 - column - part[:, 1])
            at = (corner[:, 0] + row + reach, corner[:, 1] + column + reach)
            np.add.at(kernel, at, weight)
    unit: Kernel = kernel / kernel.sum()
    return unit


def random_kernel(
    rng: np.random.Generator,
    *,
    least_extent_px: float = LEAST_EXTENT_PX,
    greatest_extent_px: float = GREATEST_EXTENT_PX,
) -> Kernel:
    """Draw a kernel whose extent is uniform between two lengths."""
    extent_px = rng.uniform(least_extent_px, greatest_extent_px)
    return shake_kernel(camera_path(rng, extent_px=extent_px))


def blur(sharp: Image, kernel: Kernel) -> tuple[Image, Image]:
    """Blur an image with a kernel in linear light and round to 8 bits.

    Only the part whose every source pixel lies inside the image is returned, so that no invented
    border enters the data.

    Args:
        sharp: [H, W, 3], sRGB.
        kernel: [K, K], K odd.

    Returns:
        The blurred image and the matching part of the sharp one, both [H-K+1, W-K+1, 3].
    """
    light = linear_light(sharp.astype(np.float64) / 255.0)
    mean = _convolved(light, kernel)
    blurred = np.rint(srgb_curve(np.clip(mean, 0.0, 1.0)) * 255.0).astype(np.uint8)
    edge = kernel.shape[0] // 2
    height, width = blurred.shape[:2]
    return blurred, sharp[edge : edge + height, edge : edge + width]


def _convolved(light: npt.NDArray[np.float64], kernel: Kernel) -> npt.NDArray[np.float64]:
    """Convolve [H, W, 3] with a kernel and keep what no border touches."""
    size = light.shape[:2]
    spectrum = np.fft.rfft2(light, axes=(0, 1)) * np.fft.rfft2(kernel, size)[:, :, None]
    whole = np.fft.irfft2(spectrum, size, axes=(0, 1))
    return whole[kernel.shape[0] - 1 :, kernel.shape[1] - 1 :]
