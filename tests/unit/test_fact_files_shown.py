"""Images of the host's software as runs keep them for reports."""

from pathlib import Path

import numpy as np
import pytest

from harness import fact_files
from harness.fact_lines import Taken


def _taken() -> Taken:
    return Taken(
        device="d", delegate="nnapi", request="ab" * 32, verb="run", file_sha256="cd",
        kind="Output",
        answer={"outputs": ["out"], "provenance": {}},
    )  # fmt: skip


def test_a_kept_image_comes_back_within_half_a_step_of_16_bits(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).normal(size=(1, 8, 9, 3)).astype(np.float32)
    path = fact_files._image_path(tmp_path, _taken().request, 0)
    fact_files._write_shown(path.with_suffix(".npz"), pixels)

    shown = fact_files.shown_images(_taken(), tmp_path)

    assert fact_files.images(_taken(), tmp_path) == [path.with_suffix(".npz")]
    assert shown is not None
    assert np.abs(shown["out"] - pixels).max() <= np.ptp(pixels) / 65535 * 0.51 + 1e-6


def test_an_image_without_any_finite_value_is_kept_as_black(tmp_path: Path) -> None:
    pixels = np.full((1, 4, 4, 3), np.nan, dtype=np.float32)
    path = fact_files._image_path(tmp_path, _taken().request, 0)
    fact_files._write_shown(path.with_suffix(".npz"), pixels)

    shown = fact_files.shown_images(_taken(), tmp_path)

    assert shown is not None
    assert not shown["out"].any()


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x05\x06" + b"\0" * 18])
def test_a_missing_or_damaged_image_is_none(tmp_path: Path, damage: bytes) -> None:
    path = fact_files._image_path(tmp_path, _taken().request, 0).with_suffix(".npz")
    assert fact_files.shown_images(_taken(), tmp_path) is None
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)

    assert fact_files.shown_images(_taken(), tmp_path) is None
