"""Images of the host's software as runs keep them for reports."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from harness import fact_files
from harness.errors import ConfigError
from harness.evidence import Evidence, Provenance
from harness.fact_lines import Taken
from harness.images import Output, sha256_of_pixels
from harness.inputs import Values
from harness.requests import Fact, Request

REQUEST = "ab" * 32


def _fact(pixels: Values, evidence: Evidence = Evidence.HOST) -> Fact:
    made = Provenance(evidence=evidence, device="d", variant_sha256="cd")
    request = SimpleNamespace(key=REQUEST)
    return Fact(
        request=cast(Request, request), answer=Output(values={"out": pixels}, provenance=made)
    )


def _taken(*pixels: Values) -> Taken:
    hashes = {"outputs_sha256": [sha256_of_pixels(one) for one in pixels]} if pixels else {}
    return Taken(
        device="d", delegate="nnapi", request=REQUEST, verb="run", file_sha256="cd",
        kind="Output",
        answer={"outputs": ["out"], "provenance": {}, **hashes},
    )  # fmt: skip


def test_a_kept_image_comes_back_within_half_a_step_of_16_bits(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).normal(size=(1, 8, 9, 3)).astype(np.float32)

    fact_files.keep_image(_fact(pixels), tmp_path)

    shown = fact_files.shown_images(_taken(pixels), tmp_path)
    (path,) = fact_files.images(_taken(pixels), tmp_path)
    assert path.suffix == ".npz"
    assert shown is not None
    assert np.abs(shown["out"] - pixels).max() <= np.ptp(pixels) / 65535 * 0.51 + 1e-6


def test_an_image_without_any_finite_value_is_kept_as_black(tmp_path: Path) -> None:
    pixels = np.full((1, 4, 4, 3), np.nan, dtype=np.float32)

    fact_files.keep_image(_fact(pixels), tmp_path)

    shown = fact_files.shown_images(_taken(pixels), tmp_path)
    assert shown is not None
    assert not shown["out"].any()


@pytest.mark.parametrize("evidence", [Evidence.HOST, Evidence.PHONE])
def test_an_image_that_is_there_is_not_written_again_and_another_lies_beside_it(
    tmp_path: Path, evidence: Evidence
) -> None:
    first = np.zeros((1, 4, 4, 3), dtype=np.float32)
    fact_files.keep_image(_fact(first, evidence), tmp_path)
    (path,) = fact_files.images(_taken(first), tmp_path)
    written = path.stat().st_mtime_ns, path.read_bytes()

    fact_files.keep_image(_fact(first, evidence), tmp_path)
    fact_files.keep_image(_fact(first + 1.0, evidence), tmp_path)

    assert (path.stat().st_mtime_ns, path.read_bytes()) == written
    assert fact_files.images(_taken(first + 1.0), tmp_path) != [path]


def test_images_of_runs_that_named_them_by_request_are_still_found(tmp_path: Path) -> None:
    path = tmp_path / ".results" / "images" / f"{REQUEST}.0.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.ones((1, 2, 2, 3), dtype=np.float32))

    shown = fact_files.shown_images(_taken(), tmp_path)

    assert shown is not None
    assert shown["out"].all()


@pytest.mark.parametrize("hashes", [["../../etc/passwd"], ["ab" * 32, "cd" * 32], "ab"])
def test_a_content_hash_that_is_none_is_refused(tmp_path: Path, hashes: object) -> None:
    taken = replace(_taken(), answer={"outputs": ["out"], "outputs_sha256": hashes})

    with pytest.raises(ConfigError):
        fact_files.shown_images(taken, tmp_path)


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x05\x06" + b"\0" * 18])
def test_a_missing_or_damaged_image_is_none(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / ".results" / "images" / f"{REQUEST}.0.npz"
    assert fact_files.shown_images(_taken(), tmp_path) is None
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)

    assert fact_files.shown_images(_taken(), tmp_path) is None
