"""Tests of `harness bless`: nothing is accepted unseen."""

import io
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import baselines, goldens, subjects
from tests import models, tiny


@pytest.fixture
def subject_dir(golden_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a blessed subject, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "160")
    return golden_dir / tiny.NAME


def _bless(folder: Path, *arguments: str) -> int:
    return tiny.command(
        "bless", folder.name, "--device=pixel4", "--golden-dir", folder.parent, *arguments
    )


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _export_anew(folder: Path) -> None:
    (folder / "fp32.tflite").write_bytes(models.unet(size_px=tiny.SIZE_PX, levels=1))


def test_without_a_terminal_nothing_is_written(
    subject_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    _export_anew(subject_dir)
    before = _contents(subject_dir)

    code = _bless(subject_dir, "--because", "a test")

    assert code == 2
    assert "add --yes" in capsys.readouterr().err
    assert _contents(subject_dir) == before


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("YES", 0), ("n", 1), ("", 1), ("ja", 1)])
def test_on_a_terminal_only_yes_is_yes(
    subject_dir: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    controller, terminal = os.openpty()
    _export_anew(subject_dir)
    before = _contents(subject_dir)
    with os.fdopen(terminal) as stdin, os.fdopen(controller, "wb", buffering=0) as keyboard:
        monkeypatch.setattr("sys.stdin", stdin)
        keyboard.write(answer.encode() + b"\n")

        ended = _bless(subject_dir, "--because", "a test")

    assert ended == code
    assert (_contents(subject_dir) != before) is (code == 0)


def test_what_would_change_is_shown_before_it_is_asked(
    subject_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    _export_anew(subject_dir)

    _bless(subject_dir)

    out = capsys.readouterr().out
    assert re.search(r"a +64x64 +\d\d?\.\d dB, stale, replaced", out)  # old to new, per frame
    assert "fp32 pixel4:nnapi 64x64 quality_db: " in out
    assert " -> " in out
    assert "int8_ptq pixel4:nnapi 64x64 latency_ms" not in out  # it has not changed


def test_a_blessed_number_does_not_change_without_a_reason(
    subject_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _export_anew(subject_dir)
    before = _contents(subject_dir)

    code = _bless(subject_dir, "--yes")

    assert code == 2
    assert "blessed numbers would change; say why with --because" in capsys.readouterr().err
    assert _contents(subject_dir) == before


def test_a_variant_that_fails_its_own_gates_is_named(
    subject_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = models.unet(size_px=tiny.SIZE_PX, dtype="int8", levels=1)
    (subject_dir / "int8_ptq.tflite").write_bytes(broken)

    _bless(subject_dir, "--yes", "--because", "a test")

    said = "int8_ptq on pixel4:nnapi fails a gate of its own: FAIL fidelity: psnr_db "
    out = capsys.readouterr().out
    assert said in out
    assert "fp32 on pixel4" not in out


def test_a_changed_model_is_accepted_with_hash_goldens_and_baselines(subject_dir: Path) -> None:
    before = {b.key: b.value for b in baselines.load(subjects.load(subject_dir))}
    _export_anew(subject_dir)

    code = _bless(subject_dir, "--yes", "--because", "five channels")

    subject = subjects.load(subject_dir)
    hashes = {variant.name: variant.sha256 for variant in subject.variants}
    assert code == 0
    assert subject.reference.model()
    assert goldens.load(subject, "a").size.width_px == tiny.SIZE_PX
    blessed = baselines.load(subject)
    assert {b.because for b in blessed if b.value != before[b.key]} == {"five channels"}
    assert all(b.file_sha256 == hashes[b.variant] for b in blessed)


def test_a_person_comment_in_the_subject_file_stays(subject_dir: Path) -> None:
    toml = subject_dir / "subject.toml"
    toml.write_text("# ours, see the wiki\n" + toml.read_text(encoding="utf-8"), encoding="utf-8")
    _export_anew(subject_dir)

    _bless(subject_dir, "--yes", "--because", "a test")

    assert toml.read_text(encoding="utf-8").startswith("# ours, see the wiki\n")


def test_blessing_what_is_blessed_already_changes_nothing_that_is_judged_by(
    subject_dir: Path,
) -> None:
    subject = subjects.load(subject_dir)
    before = {b.key: b.value for b in baselines.load(subject)}
    toml = (subject_dir / "subject.toml").read_bytes()

    _bless(subject_dir, "--yes")

    assert {b.key: b.value for b in baselines.load(subject)} == before
    assert (subject_dir / "subject.toml").read_bytes() == toml


def test_a_blessing_writes_only_what_is_not_there_already(subject_dir: Path) -> None:
    reference = subject_dir / "references" / "a.npz"
    members = dict(np.load(reference))
    rounded = members["output"] ^ 1  # another host's rounding
    np.savez_compressed(reference, **{**members, "output": rounded})
    before = _contents(subject_dir)

    _bless(subject_dir, "--yes")

    assert _contents(subject_dir) == before
    assert '"run"' not in (subject_dir / "baselines.json").read_text(encoding="utf-8")


def test_a_blessing_writes_a_reference_that_is_another(subject_dir: Path) -> None:
    reference = subject_dir / "references" / "a.npz"
    members = dict(np.load(reference))
    np.savez_compressed(reference, **{**members, "output": members["output"] ^ 64})
    before = _contents(subject_dir)

    _bless(subject_dir, "--yes")

    assert dict(np.load(reference))["output"].tobytes() == members["output"].tobytes()
    assert {name for name, data in _contents(subject_dir).items() if before[name] != data} == {
        "references/a.npz"
    }


def test_a_number_that_moved_within_its_noise_does_not_creep(subject_dir: Path) -> None:
    path = subject_dir / "baselines.json"
    baseline = next(b for b in baselines.load(subjects.load(subject_dir)) if b.spread > 0.0)
    other = baseline.value + 0.9 * baseline.spread
    moved = path.read_text(encoding="utf-8").replace(repr(baseline.value), repr(other))
    path.write_text(moved, encoding="utf-8")

    _bless(subject_dir, "--yes")

    values = {b.key: b.value for b in baselines.load(subjects.load(subject_dir))}
    assert values[baseline.key] == other


def test_baselines_of_other_devices_stay(subject_dir: Path) -> None:
    tiny.command("bless", tiny.NAME, "--device=reno3", "--yes", "--golden-dir", subject_dir.parent)

    devices = {b.device for b in baselines.load(subjects.load(subject_dir))}

    assert devices == {"pixel4", "reno3"}


def test_without_frames_there_is_nothing_to_bless(
    subject_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(subject_dir / "frames")

    code = _bless(subject_dir, "--yes")

    assert code == 2
    assert "holds no <frame>.blurred.png to bless" in capsys.readouterr().err


def test_an_unknown_subject_is_one_line_that_names_the_known_ones(
    subject_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command("bless", "vnet", "--yes", "--golden-dir", subject_dir.parent)

    assert code == 2
    assert "vnet: has no subject.toml; subjects in" in capsys.readouterr().err


def test_a_reference_that_is_not_finite_is_not_blessed(subject_dir: Path) -> None:
    """ADD of the image and infinity: every pixel of the output is infinite."""
    model = models.ModelBuilder()
    image = model.activation((1, 64, 64, 3))
    endless = model.tensor((1, 1, 1, 3), data=float("inf"))
    (subject_dir / "fp32.tflite").write_bytes(
        model.build([image], [model.same("ADD", image, endless)])
    )
    before = _contents(subject_dir)

    code = _bless(subject_dir, "--yes")

    assert code == 2
    assert _contents(subject_dir) == before
