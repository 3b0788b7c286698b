"""Tests of the pictures of a run."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import HarnessError, StackMissing
from harness.evidence import Evidence
from harness.placement import CPU, NodePlacement
from harness.report import figures
from harness.results import Results
from harness.verdict import FIDELITY, Outcome
from tests.unit.report.pages import estimate, placement, record, run

pytestmark = pytest.mark.study

pytest.importorskip("matplotlib")

_EVIL = "$\\frac{<script>\u202e漢"


def _run(variant: str = "int8_ptq", device: str = "pixel4") -> Results:
    nodes = [
        NodePlacement(index=0, op="CONV_2D", unit="npu"),
        NodePlacement(index=1, op="TRANSPOSE_CONV", unit=CPU, reason="refused"),
    ]
    shares = {"CONV_2D #0": 0.25, "TRANSPOSE_CONV #1": 0.75}
    seen = record(
        FIDELITY, Outcome.PASS, observed=48.0, variant=variant, device=device,
        evidence=Evidence.HOST,
    )  # fmt: skip
    facts = [
        estimate(device, variant, "256x256", 5.0, shares),
        placement(device, variant, "256x256", nodes),
    ]
    return run(replace(seen, subject="unet"), facts=facts)


def _written(runs: Sequence[Results], folder: Path) -> dict[str, np.ndarray]:
    paths = figures.write(runs, folder, golden_dir=folder / "none")
    assert sorted(paths) == sorted(folder.glob("*"))
    return {path.name: np.asarray(Image.open(path).convert("RGB")) for path in paths}


def _columns_of(pixels: np.ndarray, colour: str) -> int:
    """Return how many columns of a picture hold a colour."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int(np.all(np.abs(pixels.astype(int) - wanted) < 3, axis=-1).any(axis=0).sum())


def test_a_run_gives_its_plane_and_its_strips(tmp_path: Path) -> None:
    drawn = _written([_run()], tmp_path / "new")

    assert list(drawn) == [
        "plane-unet-on-pixel4-nnapi-at-256x256.png",
        "strip-unet.int8_ptq.png",
    ]


def test_the_blocks_of_a_strip_are_as_wide_as_their_share_of_the_time(tmp_path: Path) -> None:
    strip = _written([_run()], tmp_path)["strip-unet.int8_ptq.png"]

    on_cpu, on_npu = _columns_of(strip, "#c11a23"), _columns_of(strip, "#1a7f37")
    assert on_npu > 100
    assert on_cpu / on_npu == pytest.approx((13 + 525) / (13 + 175), rel=0.02)


def test_phones_are_above_each_other_in_one_picture(tmp_path: Path) -> None:
    one = _written([_run()], tmp_path / "one")["strip-unet.int8_ptq.png"]
    later = replace(_run(device="reno3"), run=replace(_run().run, id="2"))
    two = _written([_run(), later], tmp_path / "two")["strip-unet.int8_ptq.png"]

    assert two.shape[0] > 1.5 * one.shape[0]
    assert two.shape[1] == one.shape[1]


def test_names_are_data_and_never_leave_the_folder(tmp_path: Path) -> None:
    drawn = _written([_run(variant=f"../{_EVIL}")], tmp_path / "a" / "b")

    assert len(drawn) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_names_that_differ_in_what_no_file_may_have_are_two_files(tmp_path: Path) -> None:
    two = replace(_run("net/a"), run=replace(_run().run, id="2"))

    drawn = _written([_run("net:a"), two], tmp_path)

    assert sum(name.startswith("strip-") for name in drawn) == 2


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(HarnessError, match=r"file.*cannot be written"):
        figures.write([_run()], tmp_path / "file", golden_dir=tmp_path)


def test_without_matplotlib_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(StackMissing, match=r"matplotlib is not installed; pip install"):
        figures.write([_run()], tmp_path, golden_dir=tmp_path)
