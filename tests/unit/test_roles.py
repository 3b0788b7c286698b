"""What inputs and outputs are, and images as the tensors that models take."""

import numpy as np
import pytest

from harness import roles
from harness.errors import ConfigError
from harness.roles import Channels, InputSpec, Layout, OutputSpec, Role

RGB = np.random.default_rng(0).random((1, 4, 6, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 64, 64, 3), Layout.NHWC),
        ((1, 3, 64, 64), Layout.NCHW),
        ((1, 64, 48, 32), Layout.NHWC),
        ((1, 32, 64, 64), Layout.NCHW),
        ((1, 16, 16, 64), Layout.NHWC),
        ((1, 1, 1, 3), Layout.NHWC),
        ((1, 64, 64, 1), Layout.NHWC),
        ((2, 64, 64, 3), None),
        ((1, 5), None),
        ((1, 0, 0, 3), Layout.NHWC),
    ],
)
def test_a_layout_is_told_from_a_shape(shape: tuple[int, ...], layout: Layout | None) -> None:
    assert roles.layout_of(shape) is layout


@pytest.mark.parametrize("layout", Layout)
def test_what_is_encoded_is_decoded_into_its_range(layout: Layout) -> None:
    known = {"layout": layout, "range": (-1.0, 1.0), "mean": (0.5, 0.4, 0.3), "std": (0.2,)}
    spec = InputSpec(name="x", **known)

    tensor = spec.encode(RGB)

    axis = 1 if layout is Layout.NCHW else 3
    assert tensor.shape[axis] == 3
    first = (RGB[0, 0, 0, 1] * 2 - 1 - 0.4) / 0.2
    assert tensor[(0, 1, 0, 0) if axis == 1 else (0, 0, 0, 1)] == pytest.approx(first, abs=1e-6)
    np.testing.assert_allclose(OutputSpec(name="x", **known).decode(tensor), RGB * 2 - 1, atol=1e-6)


def test_a_mosaic_has_the_cells_of_an_rggb_sensor_as_planes() -> None:
    planes = roles.of_rgb(RGB, Channels.RAW)

    assert planes.shape == (1, 2, 3, 4)
    np.testing.assert_array_equal(planes[..., 0], RGB[:, ::2, ::2, 0])
    np.testing.assert_array_equal(planes[..., 1], RGB[:, ::2, 1::2, 1])
    np.testing.assert_array_equal(planes[..., 2], RGB[:, 1::2, ::2, 1])
    np.testing.assert_array_equal(planes[..., 3], RGB[:, 1::2, 1::2, 2])


def test_grey_is_its_own_luma_and_has_no_colour() -> None:
    grey = np.full((1, 2, 2, 3), 0.25, np.float32)

    np.testing.assert_allclose(roles.of_rgb(grey, Channels.LUMA), 0.25, atol=1e-6)
    np.testing.assert_allclose(
        roles.of_rgb(grey, Channels.YUV)[0, 0, 0], [0.25, 0.5, 0.5], atol=1e-6
    )


def test_a_mosaic_of_odd_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="2x2"):
        roles.packed(np.zeros((1, 3, 4, 1), np.float32))


@pytest.mark.parametrize(
    "wrong",
    [
        {"range": (1.0, 0.0)},
        {"std": (0.0,)},
        {"mean": (float("nan"),)},
        {"role": Role.STATE},
        {"role": Role.CONSTANT},
        {"value": 1.0},
        {"of": "y"},
    ],
)
def test_keys_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        InputSpec(name="x", **wrong)
