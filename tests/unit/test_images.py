"""Tests of frames and of their way into and out of a model."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from harness import images
from harness.errors import BlessedDataError, ConfigError, ModelError
from harness.graph import Quantization, Tensor
from harness.images import Size


def tensor(dtype: str, scale: float = 1 / 255, zero_point: int = 0, *, scales: int = 1) -> Tensor:
    quantization = None
    if dtype != "float32" and scales:
        quantization = Quantization(
            scales=(scale,) * scales, zero_points=(zero_point,) * scales, axis=0
        )
    return Tensor(index=0, name="x", shape=(1, 1, 1, 3), dtype=dtype, quantization=quantization)


class TestSize:
    @given(width=st.integers(1, 99_999), height=st.integers(1, 99_999))
    def test_is_read_as_it_is_written(self, width: int, height: int) -> None:
        size = Size(width_px=width, height_px=height)

        assert Size.parse(str(size)) == size

    @pytest.mark.parametrize(
        "text",
        ["", "1280", "1280x", "x720", "1280X720", "0x720", "1280x-1", "1e3x1", " 1x1", "1x1\n"],
    )
    def test_refuses_what_is_no_size(self, text: str) -> None:
        with pytest.raises(ConfigError, match="write it as 1280x720"):
            Size.parse(text)

    def test_of_an_image_is_width_first(self) -> None:
        assert str(Size.of(np.zeros((1, 720, 1280, 3)))) == "1280x720"
        assert Size(width_px=1280, height_px=720).megapixels == 0.9216


class TestFiles:
    def test_pixels_are_float_between_black_and_white(self, tmp_path: Path) -> None:
        stored = np.array([[[0, 51, 255], [255, 0, 102]]], np.uint8)
        Image.fromarray(stored).save(tmp_path / "a.png")

        pixels = images.load(tmp_path / "a.png")

        assert pixels.dtype == np.float32
        np.testing.assert_allclose(pixels, [[[[0, 0.2, 1], [1, 0, 0.4]]]], rtol=1e-6)
        assert images.size_of(tmp_path / "a.png") == Size(width_px=2, height_px=1)

    @pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
    def test_other_kinds_of_image_become_rgb(self, tmp_path: Path, mode: str) -> None:
        Image.new(mode, (4, 2)).save(tmp_path / "a.png")

        assert images.load(tmp_path / "a.png").shape == (1, 2, 4, 3)

    @pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
    def test_a_damaged_image_is_an_error_that_names_the_file(
        self, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "a.png").write_bytes(content)

        with pytest.raises(BlessedDataError, match=r"a\.png: not a readable image"):
            images.load(tmp_path / "a.png")
        with pytest.raises(BlessedDataError, match=r"a\.png"):
            images.size_of(tmp_path / "a.png")

    def test_an_image_cut_short_is_an_error(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.png")
        whole = (tmp_path / "a.png").read_bytes()
        (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])

        with pytest.raises(BlessedDataError, match=r"a\.png: not a readable image"):
            images.load(tmp_path / "a.png")

    def test_a_missing_image_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(BlessedDataError, match="no such frame"):
            images.load(tmp_path / "a.png")


class TestStored:
    def test_float_pixels_stay_as_they_are(self) -> None:
        pixels = np.array([[[[0.1, -2.0, 3.0]]]], np.float32)

        np.testing.assert_array_equal(images.to_stored(pixels, tensor("float32")), pixels)
        np.testing.assert_array_equal(images.from_stored(pixels, tensor("float32")), pixels)

    @pytest.mark.parametrize(
        ("dtype", "zero_point", "stored"),
        [("uint8", 0, [0, 128, 255]), ("int8", -128, [-128, 0, 127]), ("int16", 0, [0, 128, 255])],
    )
    def test_black_grey_and_white_have_their_numbers(
        self, dtype: str, zero_point: int, stored: list[int]
    ) -> None:
        pixels = np.array([[[[0.0, 128 / 255, 1.0]]]], np.float32)

        made = images.to_stored(pixels, tensor(dtype, zero_point=zero_point))

        assert made.dtype == dtype
        assert made.ravel().tolist() == stored

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
    def test_what_does_not_fit_is_clipped_and_never_wraps_round(self, dtype: str) -> None:
        pixels = np.array([[[[-1e6, 0.0, 1e6]]]], np.float32)

        low, _, high = images.to_stored(pixels, tensor(dtype)).ravel().tolist()

        assert (low, high) == (np.iinfo(dtype).min, np.iinfo(dtype).max)

    @given(
        pixels=hnp.arrays(np.float32, (1, 3, 4, 3), elements=st.floats(0, 1, width=32)),
        dtype=st.sampled_from(["uint8", "int8", "int16"]),
    )
    def test_there_and_back_is_within_half_a_step(self, pixels: np.ndarray, dtype: str) -> None:
        limits = np.iinfo(dtype)
        scale = 1.0 / (limits.max - limits.min)
        kind = tensor(dtype, scale, int(limits.min))

        again = images.from_stored(images.to_stored(pixels, kind), kind)

        assert float(np.abs(again.astype(np.float64) - pixels).max()) <= scale / 2 + 1e-6

    @pytest.mark.parametrize(
        "kind",
        [
            tensor("int8", scales=0),
            tensor("int32"),
            tensor("float16"),
            tensor("int8", scales=3),
            tensor("int8", scale=0.0),
            tensor("int8", scale=-0.5),
            tensor("int8", scale=float("nan")),
            tensor("int8", scale=float("inf")),
        ],
        ids=["no scale", "int32", "float16", "per channel", "zero", "negative", "nan", "inf"],
    )
    def test_a_tensor_that_images_do_not_come_in_is_a_model_error(self, kind: Tensor) -> None:
        with pytest.raises(ModelError, match="an image input or output is"):
            images.to_stored(np.zeros((1, 1, 1, 3), np.float32), kind)

    def test_a_scale_without_its_zero_point_is_a_model_error(self) -> None:
        kind = Tensor(
            index=0, name="x", shape=(1, 1, 1, 3), dtype="int8",
            quantization=Quantization(scales=(0.1,), zero_points=(), axis=0),
        )  # fmt: skip

        with pytest.raises(ModelError, match="an image input or output is"):
            images.from_stored(np.zeros((1, 1, 1, 3), np.int8), kind)


def test_what_was_worked_out_of_a_read_only_array_lives_as_long_as_it() -> None:
    memo, made = images.ArrayMemo[int](), []

    def compute() -> int:
        made.append(1)
        return len(made)

    array = np.zeros(3, np.float32)
    assert [memo.of((array,), "x", compute) for _ in range(2)] == [1, 2]
    array.flags.writeable = False
    assert [memo.of((array,), "x", compute) for _ in range(2)] == [3, 3]
    assert memo.of((array,), "y", compute) == 4
    del array
    assert memo._known == {}


def test_the_hash_of_an_image_is_that_of_its_shape_and_values() -> None:
    pixels = np.full((1, 4, 4, 3), 0.5, np.float32)
    by_value = images.sha256_of_pixels(pixels)
    pixels.flags.writeable = False

    assert images.sha256_of_pixels(pixels) == images.sha256_of_pixels(pixels) == by_value
    assert images.sha256_of_pixels(np.full((1, 4, 12, 1), 0.5, np.float32)) != by_value
