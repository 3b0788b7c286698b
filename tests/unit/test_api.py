"""What `import harness` offers."""

import ast
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import harness
from harness import api, child, profiles, results
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, ModelError
from harness.lab.local import LocalLab
from harness.latency import Estimate
from harness.placement import Placement
from harness.requests import Fact, Request
from harness.stacks import qnn
from harness.verdict import Lack, Outcome
from tests import models, tiny


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """Return a small .tflite."""
    path = tmp_path / "int8_ptq.tflite"
    path.write_bytes(models.unet(size_px=32, dtype="int8"))
    return path


def python(code: str, cwd: Path | None = None) -> str:
    """Run Python code in a process of its own, and return what it prints."""
    done = child.run([sys.executable, "-c", code], stage="python", timeout_s=240.0, cwd=cwd)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_all_that_is_offered_is_there_and_typed() -> None:
    source = Path(harness.__file__).read_text(encoding="utf-8")
    (imported,) = (
        n
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.ImportFrom) and n.module == "harness.api"
    )

    functions = [name for name in harness.__all__ if not name.startswith("_")]

    assert functions == ["connect", "inspect", "judge", "load", "plan"]
    assert [name.name for name in imported.names] == functions
    assert all(getattr(harness, name) is getattr(api, name) for name in functions)
    assert set(harness.__all__) <= set(dir(harness))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = harness.lode  # type: ignore[attr-defined]


def test_import_harness_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import harness; "
        "print(*sorted(set(sys.modules) - before))"
    )

    assert python(code).split() == ["harness"]


def test_a_phone_places_and_times_a_model_in_four_lines(model_file: Path) -> None:
    with harness.connect("pixel4") as phone:
        model = harness.load(str(model_file)).at("64x32")
        placement, estimate = phone.place(model), phone.time(model)

    assert str(model.size) == "64x32"
    assert len(placement.nodes) == len(model.graph.ops)
    assert isinstance(estimate, Estimate)
    assert estimate.provenance.variant_sha256 == model.sha256


def test_the_lines_of_the_first_page_work_as_written(
    model_file: Path,
    golden_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (golden_dir / "unet").rename(golden_dir / "deblur_unet")
    tiny.edit(golden_dir / "deblur_unet" / "subject.toml", 'name = "unet"', 'name = "deblur_unet"')
    monkeypatch.chdir(model_file.parent)
    capsys.readouterr()

    phone = harness.connect("pixel4")
    model = harness.load("int8_ptq.tflite").at("1280x720")
    phone.place(model)
    phone.time(model)
    for verdict in harness.judge("golden/deblur_unet", "pixel4"):
        print(verdict)

    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines} == {"deblur_unet.fp32", "deblur_unet.int8_ptq"}
    assert all(" PASS " in line for line in lines)


def test_judge_rules_what_pytest_rules(project: pytest.Pytester) -> None:
    toml = project.path / "golden" / "unet" / "subject.toml"
    tiny.edit(toml, "\npsnr_db", "\n# psnr_db")
    tiny.edit(toml, 'resolution = "64x64"', 'resolution = "64x64"\npeak_memory_mib = 0.1')

    ours = list(harness.judge(project.path / "golden", "pixel4,pixel4:cpu", jobs=1))
    project.runpytest_inprocess("--device=pixel4,pixel4:cpu", "--origin=emulated", "--jobs=1")

    theirs = results.load(results.latest(project.path)).records
    assert {r.verdict.outcome for r in ours} == set(Outcome)
    assert {r.verdict.gate for r in ours} >= {
        "latency",
        "cpu_fallback",
        "fidelity",
        "regression",
        "memory",
    }
    assert sorted(map(_ruling, ours)) == sorted(map(_ruling, theirs))


def _ruling(record: results.Record) -> tuple[str, str, str]:
    """Return what a record says, but for the times at which its facts were taken."""
    return record.test, record.verdict.metric, str(record)


def test_a_caller_that_stops_half_way_asks_for_nothing_more(
    golden_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    answer, close = LocalLab.answer, LocalLab.close

    def answered(lab: LocalLab, requests: Sequence[Request]) -> Iterator[Fact]:
        try:
            yield from answer(lab, requests)
        finally:
            ended.append("asking")

    def closed(lab: LocalLab) -> list[str]:
        ended.append("lab")
        return close(lab)

    monkeypatch.setattr(LocalLab, "answer", answered)
    monkeypatch.setattr(LocalLab, "close", closed)
    verdicts = api.judge(golden_dir, "pixel4", subject="*.int8_ptq", jobs=1)
    next(verdicts)

    verdicts.close()

    assert ended == ["asking", "lab"]


def test_judge_needs_no_pytest(golden_dir: Path) -> None:
    code = (
        "import sys, harness\n"
        "for verdict in harness.judge('golden/unet', 'pixel4', subject='*.int8_ptq', jobs=1):\n"
        "    print(verdict)\n"
        "assert 'pytest' not in sys.modules\n"
    )

    lines = python(code, cwd=golden_dir.parent).splitlines()

    assert any(line.startswith("pixel4:nnapi unet.int8_ptq 64x64 PASS latency: ") for line in lines)
    assert any(
        line.startswith("pixel4:nnapi unet.int8_ptq 64x64 a PASS fidelity: ") for line in lines
    )


def test_what_keeps_a_gate_from_ruling_is_an_inconclusive_verdict(
    golden_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qnn, "missing", lambda: "the compiler is not installed")
    (golden_dir / "unet" / "references" / "a.npz").unlink()

    found = list(harness.judge(golden_dir / "unet", "galaxy_s24", subject="*.int8_ptq", jobs=1))

    said = {(r.verdict.gate, r.frame): r.verdict for r in found}
    assert said["latency", ""].outcome is Outcome.INCONCLUSIVE
    assert said["latency", ""].lacks is Lack.STACK
    assert "the compiler is not installed" in said["latency", ""].cause
    assert said["fidelity", "a"].outcome is Outcome.INCONCLUSIVE
    assert said["fidelity", "a"].metric == "error"
    assert "BlessedDataError" in said["fidelity", "a"].cause


def test_nothing_to_judge_is_an_error_that_says_why(golden_dir: Path) -> None:
    toml = golden_dir / "unet" / "subject.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(
        text + '\n[[withheld]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["*"]\n'
        'because = "not yet"\n',
        encoding="utf-8",
    )

    withheld = harness.plan(golden_dir, "pixel4").withheld

    assert {one.because for one in withheld} == {"not yet"}
    with pytest.raises(ConfigError, match="nothing to judge: not yet"):
        harness.judge(golden_dir, "pixel4")
    with pytest.raises(ConfigError, match="no variant fits"):
        harness.judge(golden_dir / "unet", "pixel4", subject="*.int4")


def test_plan_takes_a_golden_folder_a_subject_and_a_subjects_folder(golden_dir: Path) -> None:
    of_folder = harness.plan(golden_dir, ["pixel4", "mate30pro"])
    of_subject = harness.plan(golden_dir / "unet", ["pixel4", "mate30pro"])
    of_object = harness.plan(of_folder.cases[0].subject, "pixel4,mate30pro", subject="*.int8_ptq")

    assert [str(case) for case in of_folder.cases] == [
        "pixel4:nnapi-unet.fp32",
        "pixel4:nnapi-unet.int8_ptq",
        "mate30pro:nnapi-unet.fp32",
        "mate30pro:nnapi-unet.int8_ptq",
    ]
    assert [str(case) for case in of_subject.cases] == [str(case) for case in of_folder.cases]
    assert [str(case) for case in of_object.cases] == [
        "pixel4:nnapi-unet.int8_ptq",
        "mate30pro:nnapi-unet.int8_ptq",
    ]


def test_inspect_says_where_and_how_long_or_why_not(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qnn, "missing", lambda: "the compiler is not installed")

    found = harness.inspect(model_file, ["pixel4", "galaxy_s24"])

    assert set(found.placements) == set(found.estimates) == {"pixel4:nnapi", "galaxy_s24:qnn"}
    assert isinstance(found.placements["pixel4:nnapi"], Placement)
    assert isinstance(found.estimates["pixel4:nnapi"], Estimate)
    assert found.estimates["galaxy_s24:qnn"] == "the compiler is not installed"
    assert found.model == harness.load(model_file)


def test_profiles_are_those_of_the_ini_file_and_those_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        copy = tmp_path / name / f"{name}.toml"
        shutil.copy(profiles.shipped_folder() / "pixel4.toml", copy)
        tiny.edit(copy, 'name = "pixel4"', f'name = "{name}"')
    (tmp_path / "pytest.ini").write_text("[pytest]\nprofile_dirs = one\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert harness.connect("one:gpu").delegate == "gpu"
    assert harness.connect("two", profiles=["two"]).profile.name == "two"
    with pytest.raises(ConfigError, match="no device profile 'two'; known: "):
        harness.connect("two")


def test_connect_takes_one_phone_from_a_known_origin() -> None:
    assert isinstance(harness.connect("pixel4"), Emulated)
    with pytest.raises(ConfigError, match="names 2 phones"):
        harness.connect("pixel4,reno3")
    with pytest.raises(ConfigError, match="no origin 'cloud'; known: auto, phone, emulated"):
        harness.connect("pixel4", origin="cloud")  # type: ignore[arg-type]


def test_a_file_that_is_no_model_is_said_by_load(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.tflite"):
        harness.load(tmp_path / "nowhere.tflite")
