"""Check the simulated camera shake."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training import blur


@given(seed=st.integers(0, 2**32), extent_px=st.floats(1.0, 30.0))
def test_a_path_has_the_extent_asked_for_and_is_centred(seed, extent_px):
    path = blur.camera_path(np.random.default_rng(seed), extent_px=extent_px)

    distances = np.linalg.norm(path[:, None] - path[None, :], axis=-1)
    assert distances.max() == pytest.approx(extent_px)
    np.testing.assert_allclose(path.mean(axis=0), 0.0, atol=1e-9)


@given(seed=st.integers(0, 2**32), extent_px=st.floats(1.0, 30.0))
def test_a_kernel_keeps_the_light_and_the_centre(seed, extent_px):
    kernel = blur.shake_kernel(blur.camera_path(np.random.default_rng(seed), extent_px=extent_px))

    assert kernel.min() >= 0.0
    assert kernel.sum() == pytest.approx(1.0)
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    assert (kernel.sum(axis=1) * offsets).sum() == pytest.approx(0.0, abs=1e-9)
    assert (kernel.sum(axis=0) * offsets).sum() == pytest.approx(0.0, abs=1e-9)


@given(value=st.integers(0, 255))
def test_the_srgb_curve_and_its_inverse_agree(value):
    light = blur.linear_light(np.array([value / 255.0]))

    assert blur.srgb_curve(light)[0] * 255.0 == pytest.approx(value, abs=1e-6)


def test_half_the_light_is_srgb_188_not_128():
    light = blur.srgb_curve(np.array([0.5]))

    assert round(float(light[0]) * 255) == 188


def test_a_flat_image_stays_as_it_is():
    flat = np.full((40, 40, 3), 93, np.uint8)

    blurred, sharp = blur.blur(flat, blur.random_kernel(np.random.default_rng(1)))

    np.testing.assert_array_equal(blurred, sharp)


def test_an_edge_is_averaged_in_linear_light():
    edge = np.zeros((9, 9, 3), np.uint8)
    edge[:, 5:] = 255
    two_taps = np.zeros((3, 3))
    two_taps[1, 1] = two_taps[1, 2] = 0.5

    blurred, _ = blur.blur(edge, two_taps)

    assert blurred[3, :, 0].tolist() == [0, 0, 0, 0, 188, 255, 255]


def test_blur_matches_the_sum_over_shifted_images():
    rng = np.random.default_rng(2)
    sharp = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    kernel = rng.random((5, 5))
    kernel /= kernel.sum()

    blurred, target = blur.blur(sharp, kernel)

    light = blur.linear_light(sharp / 255.0)
    expected = np.zeros((16, 20, 3))
    for row in range(5):
        for column in range(5):
            expected += kernel[row, column] * light[4 - row : 20 - row, 4 - column : 24 - column]
    np.testing.assert_array_equal(blurred, np.rint(blur.srgb_curve(expected) * 255.0))
    np.testing.assert_array_equal(target, sharp[2:-2, 2:-2])
