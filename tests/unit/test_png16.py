"""Colour PNG of 16 bits."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import images, png16, samples
from harness.errors import BlessedDataError
from harness.roles import Channels, InputSpec
from tests import kinds, models, tiny

DEEP = np.random.default_rng(0).integers(0, 65536, (48, 52, 3)).astype(np.uint16)


def by_hand(row: bytes, *, colour_type: int = 2) -> bytes:
    """Return a PNG of one row of two pixels of 16 bits, as the standard has it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        size, check = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(kind + data))
        return size + kind + data + check

    head = struct.pack(">IIBBBBB", 2, 1, 16, colour_type, 0, 0, 0)
    rows = zlib.compress(b"\0" + row)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff() -> bytes:
    """Return an uncompressed TIFF of one pixel of three times 16 bits."""
    bits, data, tags = 8, 14, 20
    entries = [
        (256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, data), (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 6),
    ]  # fmt: skip
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (
        struct.pack("<2sHI", b"II", 42, tags)
        + struct.pack("<3H", 16, 16, 16)
        + struct.pack("<3H", 1, 2, 3)
        + struct.pack("<H", len(entries)) + table + bytes(4)
    )  # fmt: skip


def test_all_16_bits_of_a_value_are_read_the_higher_byte_first(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(by_hand(struct.pack(">6H", 0, 1, 255, 256, 257, 65535)))

    pixels = images.load(path)

    np.testing.assert_array_equal(np.round(pixels[0, 0] * 65535), [[0, 1, 255], [256, 257, 65535]])


def test_transparency_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(by_hand(struct.pack(">8H", 9, 8, 7, 1, 300, 2, 1, 65535), colour_type=6))

    pixels = images.load(path)

    np.testing.assert_array_equal(np.round(pixels[0, 0] * 65535), [[9, 8, 7], [300, 2, 1]])


@pytest.mark.parametrize("channels", [3, 4])
def test_what_is_written_is_read_again(channels: int, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (5, 7, channels)).astype(np.uint16)

    png16.write(tmp_path / "x.png", values)

    with images.opened(tmp_path / "x.png") as image:
        assert png16.holds(image)
        np.testing.assert_array_equal(png16.decode(image), values[..., :3])


def test_8_bits_are_not_taken_for_16(tmp_path: Path) -> None:
    Image.fromarray((DEEP >> 8).astype(np.uint8)).save(tmp_path / "x.png")

    with images.opened(tmp_path / "x.png") as image:
        assert not png16.holds(image)


def test_another_format_of_16_bits_is_refused_rather_than_read_in_8(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(tiff())

    with pytest.raises(BlessedDataError, match="16 bits in a TIFF; save it as PNG"):
        images.load(tmp_path / "x.tif")


def test_a_file_that_ends_within_its_pixels_is_refused(tmp_path: Path) -> None:
    png16.write(tmp_path / "x.png", DEEP)
    data = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(data[: len(data) // 2])

    with pytest.raises(BlessedDataError, match="not a readable image"):
        images.load(tmp_path / "x.png")


def test_a_sample_of_another_order_of_channels_keeps_16_bits(tmp_path: Path) -> None:
    png16.write(tmp_path / "x.png", DEEP)

    image = samples.read_image(tmp_path, InputSpec(name="x", channels=Channels.BGR))

    np.testing.assert_array_equal(np.round(image[0] * 65535), DEEP[..., ::-1])


@pytest.mark.parametrize(
    ("data", "written"),
    [(models.restorer(size_px=32), "a.blurred.png"), (kinds.nchw(), "a/image.png")],
)
def test_init_keeps_16_bits_of_what_it_cuts_out(data: bytes, written: str, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    png16.write(tmp_path / "frames" / "a.png", DEEP)
    (tmp_path / "net.tflite").write_bytes(data)

    code = tiny.command(
        "init", tmp_path / "net.tflite", "--frames", tmp_path / "frames", "--golden-dir",
        tmp_path / "golden",
    )  # fmt: skip

    kept = images.load(tmp_path / "golden" / "net" / "frames" / written)
    assert code == 0
    np.testing.assert_array_equal(np.round(kept[0] * 65535), DEEP[8:40, 10:42])
