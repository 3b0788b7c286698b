"""Files that no reader may wait for or keep in memory: pipes, devices, bombs, deep nesting."""

import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness import child, files, goldens, graph, images, ledger, results, schema, subjects
from harness.errors import BlessedDataError, ConfigError, HarnessError, ModelError
from tests import tiny

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Anything that TOML and JSON can be read into."""

    value: object = None


_READERS: dict[str, Callable[[Path], object]] = {
    "model": graph.load,
    "frame": images.load,
    "frame size": images.size_of,
    "TOML": lambda path: schema.load_toml(_Table, path),
    "JSON": lambda path: schema.load_json(_Table, path),
    "ledger": ledger.read,
    "records": lambda path: list(results.load(path).records),
}


@pytest.mark.parametrize("reader", _READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_regular_files_are_read(reader: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()

    with pytest.raises(HarnessError, match=r"it: cannot be read \(it is a .* give a regular file"):
        _READERS[reader](path)


def test_a_file_larger_than_its_kind_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with path.open("wb") as file:
        file.truncate(files.RUN_BYTES_MAX + 1)

    with pytest.raises(ConfigError, match="larger than 512 MiB"):
        list(results.load(path).records)


@pytest.mark.parametrize("reader", ["TOML", "JSON"])
def test_a_deeply_nested_file_is_named(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "deep"
    depth = 100_000
    path.write_text(("value = " if reader == "TOML" else "") + "[" * depth + "]" * depth)

    with pytest.raises(ConfigError, match=rf"deep: not valid {reader}: it is nested too deeply"):
        _READERS[reader](path)


def test_a_number_that_no_integer_holds_is_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "number.toml"
    path.write_text("value = " + "9" * 50_000)

    with pytest.raises(ConfigError, match=r"number\.toml: not valid TOML"):
        schema.load_toml(_Table, path)


def _png(width: int, height: int) -> bytes:
    """Write a PNG of one colour, a thousandth of the size of its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("width", "height"), [(8000, 8000), (60000, 2000), (12000, 12000)])
def test_an_image_that_fills_memory_is_not_decoded(width: int, height: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png(width, height))

    with pytest.raises(BlessedDataError, match="at most 34 megapixels"):
        images.load(path)
    with pytest.raises(BlessedDataError, match="at most 34 megapixels"):
        images.size_of(path)


def test_a_photograph_that_is_another_kind_of_file_starts_no_interpreter(tmp_path: Path) -> None:
    """Pillow runs Ghostscript on PostScript, whatever the file is called."""
    path = tmp_path / "frame.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")

    with pytest.raises(BlessedDataError, match="not a readable image"):
        images.load(path)


def test_a_reference_that_unpacks_to_gigabytes_is_not_unpacked(golden_dir: Path) -> None:
    subject = subjects.load(golden_dir / tiny.NAME)
    path = subject.references / f"{tiny.FRAMES[0]}.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("output.npy", "w") as member,
    ):
        np.lib.format.write_array_header_1_0(  # type: ignore[attr-defined]
            member, {"descr": "<u2", "fortran_order": False, "shape": (2**28,)}
        )
        for _ in range(512):
            member.write(bytes(2**20))

    with pytest.raises(BlessedDataError, match=r"damaged reference .* when unpacked"):
        goldens.load(subject, tiny.FRAMES[0])


def test_a_variant_that_is_a_pipe_ends_a_gate_run_and_does_not_hang_it(golden_dir: Path) -> None:
    variant = subjects.load(golden_dir / tiny.NAME).reference
    variant.path.unlink()
    os.mkfifo(variant.path)

    done = child.run(
        [sys.executable, "-m", "pytest", "--device=pixel4:cpu", "-o", f"golden_dir={golden_dir}",
         "-p", "no:cacheprovider"],
        stage="gate run", timeout_s=120, cwd=golden_dir.parent,
    )  # fmt: skip

    assert done.exit_code != 0
    assert "it is a pipe, socket or device" in done.stdout + done.stderr


def test_a_model_at_a_path_that_is_none_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        graph.load(Path("no\0file.tflite"))
