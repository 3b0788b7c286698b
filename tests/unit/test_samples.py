"""Samples: a folder with a file for each tensor, within bounds."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import arrays, samples
from harness.errors import BlessedDataError
from harness.roles import Channels, InputSpec

RAW = InputSpec(name="x", channels=Channels.RAW)
PLANES = InputSpec(name="x", channels=Channels.PLANES)
RGB = InputSpec(name="x", range=(-1.0, 1.0))
LEVELS = (np.arange(4 * 6, dtype=np.uint16).reshape(4, 6) * 2000).astype(np.uint16)


def test_a_mosaic_of_16_bits_is_read_in_16_bits(tmp_path: Path) -> None:
    Image.fromarray(LEVELS).save(tmp_path / "x.png")

    planes = samples.read_image(tmp_path, RAW)

    np.testing.assert_allclose(planes[0, :, :, 3], LEVELS[1::2, 1::2] / 65535, atol=1e-7)


def test_planes_are_files_in_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(11):
        Image.fromarray(LEVELS + np.uint16(number)).save(tmp_path / f"x.plane{number}.png")

    planes = samples.read_image(tmp_path, PLANES)

    assert planes.shape == (1, 4, 6, 11)
    np.testing.assert_allclose(planes[0, 0, 0] * 65535, np.arange(11), atol=1e-2)


def test_an_array_is_the_tensor_as_the_model_takes_it(tmp_path: Path) -> None:
    tensor = np.random.default_rng(0).uniform(-1, 1, (1, 4, 6, 3)).astype(np.float32)
    np.savez(tmp_path / "x.npz", tensor)

    image = samples.read_image(tmp_path, RGB)

    np.testing.assert_allclose(RGB.encode(image), tensor, atol=1e-6)


def test_a_missing_file_is_named_with_what_may_stand_there(tmp_path: Path) -> None:
    with pytest.raises(BlessedDataError, match=r"x\.png.*x\.plane0\.png"):
        samples.read_image(tmp_path, RGB)


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return file.getvalue()


def claims_too_much() -> bytes:
    file = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (2**20, 2**10)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(64)


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(2**29))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.npy", pickled),
        ("a.npy", claims_too_much),
        ("a.npy", lambda: b"no array"),
        ("a.npz", bomb),
        ("a.npz", lambda: b"PK no zip"),
    ],
)
def test_a_file_that_holds_no_bounded_array_is_refused(
    tmp_path: Path, name: str, data: Callable[[], bytes]
) -> None:
    (tmp_path / name).write_bytes(data())

    with pytest.raises(BlessedDataError, match="not a readable array"):
        arrays.load(tmp_path / name)
