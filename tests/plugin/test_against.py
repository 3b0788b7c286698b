"""Judge a change with `--against`: today's variants beside what they were."""

import shutil
import subprocess
from pathlib import Path

import pytest

import harness
from harness import profiles, results
from harness.evidence import sha256_of
from harness.report import markdown, ruling
from harness.results import Results
from harness.verdict import Change, Outcome
from tests import kinds, models, tiny


def _newest(project: pytest.Pytester) -> Results:
    return results.load(results.latest(project.path))


def _replace_fp32(golden: Path, data: bytes) -> None:
    """Put another file in the place of the FP32 variant, as an export and a review would."""
    file = golden / tiny.NAME / "fp32.tflite"
    tiny.edit(golden / tiny.NAME / "subject.toml", sha256_of(file.read_bytes()), sha256_of(data))
    file.write_bytes(data)


@pytest.fixture
def earlier(project: pytest.Pytester) -> Path:
    """Return a copy of the subjects, to judge a change against."""
    return Path(shutil.copytree(project.path / "golden", project.path / "earlier"))


def test_where_nothing_differs_nothing_is_judged_and_the_run_passes(
    project: pytest.Pytester, earlier: Path
) -> None:
    result = project.runpytest("--device=pixel4", f"--against={earlier}")

    found = _newest(project)
    assert result.ret == pytest.ExitCode.OK
    assert (found.records, found.plans[0].unchanged) == ((), 2)
    assert ruling.of(found).outcome is Outcome.PASS


def test_a_costlier_file_is_worse_and_the_cheaper_one_it_was_is_better(
    project: pytest.Pytester, earlier: Path
) -> None:
    _replace_fp32(project.path / "golden", models.unet(size_px=tiny.SIZE_PX, levels=3))
    ruled = {}
    for now, before in (("golden", "earlier"), ("earlier", "golden")):
        project.makeini(f"[pytest]\ngolden_dir = {now}\n")
        project.runpytest("--device=pixel4", f"--against={before}", "test_change.py", "-k", "cost")
        found = _newest(project)
        ruled[now] = {r.verdict.metric: r.verdict.change for r in found.records}
        assert {r.variant for r in found.records} == {"fp32"}
        assert before in {fact.revision for fact in found.facts}

    assert ruled["golden"]["macs"] is Change.WORSE
    assert ruled["golden"]["file_size_mib"] is Change.WORSE
    assert ruled["golden"]["latency_ms"] is Change.WORSE
    assert ruled["golden"]["cpu_ops"] is Change.EQUAL
    assert ruled["earlier"]["macs"] is Change.BETTER
    assert ruled["earlier"]["latency_ms"] is Change.BETTER


def test_a_change_of_a_photograph_in_tiles_is_judged_of_all_of_them(
    project: pytest.Pytester,
) -> None:
    golden = project.path / "golden"
    toml, file = golden / tiny.NAME / "subject.toml", golden / tiny.NAME / "int8_ptq.tflite"
    toml.write_text(f'{toml.read_text()}\n[tiles]\nresolution = "32x32"\n', encoding="utf-8")
    shutil.copytree(golden, project.path / "earlier")
    other = kinds.scaled(file.read_bytes(), 0.9)
    tiny.edit(toml, sha256_of(file.read_bytes()), sha256_of(other))
    file.write_bytes(other)

    project.runpytest("--device=pixel4:cpu", "--against=earlier", "test_change.py")

    found = _newest(project)
    ruled = {one.verdict.metric: one.verdict for one in found.records}
    one_ms = harness.connect("pixel4:cpu").time(harness.load(file).at("32x32")).ms
    assert ruled["latency_ms"].observed == pytest.approx(4 * one_ms)
    assert ruled["pixels_db"].change is not Change.EQUAL
    assert {fact.resolution for fact in found.facts} == {"32x32"}


def test_a_loosened_limit_is_judged_again_and_shown_first(
    project: pytest.Pytester, earlier: Path
) -> None:
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, "latency_ms = 1000", "latency_ms = 2000")

    result = project.runpytest("--device=pixel4", f"--against={earlier}", "test_latency.py")

    (plan,) = _newest(project).plans
    assert plan.tests
    assert [one for one in plan.loosened if "latency_ms 1000 -> 2000 in subject.toml" in one]
    result.stdout.fnmatch_lines(["Against *", "*easier to pass*", "*latency_ms 1000 -> 2000*"])


def _second(golden: Path) -> Path:
    """Put a copy of the subject beside it, named `other`."""
    folder = Path(shutil.copytree(golden / tiny.NAME, golden / "other"))
    tiny.edit(folder / "subject.toml", f'name = "{tiny.NAME}"', 'name = "other"')
    return folder


@pytest.mark.parametrize(
    ("asked", "told"), [([], ("other: the whole subject is gone",)), (["--subject=unet"], ())]
)
def test_a_subject_that_is_gone_is_told_though_another_is_judged(
    project: pytest.Pytester, earlier: Path, asked: list[str], told: tuple[str, ...]
) -> None:
    _second(earlier)

    project.runpytest("--device=pixel4", f"--against={earlier}", *asked)

    found = _newest(project)
    assert found.plans[0].loosened == told
    assert ruling.of(found).outcome is (Outcome.INCONCLUSIVE if told else Outcome.PASS)


def test_a_subject_none_of_whose_variants_ships_any_more_is_told(
    project: pytest.Pytester,
) -> None:
    toml = _second(project.path / "golden") / "subject.toml"
    shutil.copytree(project.path / "golden", project.path / "earlier")
    with toml.open("a", encoding="utf-8") as file:
        file.write(
            '\n[[withheld]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["*"]\n'
            'because = "red"\n'
        )

    project.runpytest("--device=pixel4", "--against=earlier")

    told = _newest(project).plans[0].loosened
    assert "other: fp32 no longer ships: red" in told
    assert "other: int8_ptq no longer ships: red" in told


def test_a_git_revision_is_read_without_touching_the_work_tree(project: pytest.Pytester) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(project.path)]
    for words in (["init", "-q"], ["add", "golden"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    _replace_fp32(project.path / "golden", models.unet(size_px=tiny.SIZE_PX, levels=3))

    project.runpytest("--device=pixel4", "--against=HEAD", "test_change.py", "-k", "cost")

    status = subprocess.run([*git, "status", "--short"], check=True, capture_output=True, text=True)
    changes = {r.verdict.metric: r.verdict.change for r in _newest(project).records}
    assert changes["macs"] is Change.WORSE
    assert {line.split()[-1] for line in status.stdout.splitlines() if line[:2] == " M"} == {
        "golden/unet/fp32.tflite",
        "golden/unet/subject.toml",
    }


def _commit(folder: Path, *files: str) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    for words in (["init", "-q"], ["add", *files], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)


def test_a_phone_whose_profile_changed_is_judged_again_and_named(
    project: pytest.Pytester,
) -> None:
    phones = project.mkdir("phones")
    shipped = (profiles.shipped_folder() / "pixel4.toml").read_text(encoding="utf-8")
    for name in ("mine", "other"):
        text = shipped.replace('name = "pixel4"', f'name = "{name}"')
        (phones / f"{name}.toml").write_text(text, encoding="utf-8")
    _commit(project.path, "golden", "phones")
    with (phones / "other.toml").open("a", encoding="utf-8") as file:
        file.write("# nothing but a remark\n")
    tiny.edit(phones / "mine.toml", "driver_feature_level = 29", "driver_feature_level = 28")

    project.runpytest(
        "--device=mine,other", "--against=HEAD", "-o", "profile_dirs=phones", "test_fallback.py"
    )

    found = _newest(project)
    assert {record.device for record in found.records} == {"mine"}
    (plan,) = found.plans
    assert plan.altered == ("mine: its profile changed; both sides are judged by today's",)
    assert plan.tightened == ("mine: driver_feature_level 29 -> 28, by which its rules take ops",)
    assert plan.loosened == ()


def test_a_subject_that_the_revision_does_not_have_is_new_and_judged_alone(
    project: pytest.Pytester,
) -> None:
    (project.path / "README").write_text("no subjects yet", encoding="utf-8")
    _commit(project.path, "README")

    result = project.runpytest("--device=pixel4", "--against=HEAD", "test_fallback.py")

    found = _newest(project)
    assert result.ret == pytest.ExitCode.OK
    assert found.plans[0].new == ("unet",)
    assert len(found.records) > 0
    result.stdout.fnmatch_lines(["unet is not in HEAD: new, judged by limits and budgets alone."])
    assert "unet is not in HEAD" in markdown.summary(found)


def test_one_byte_more_is_worse_and_told_and_passes(
    project: pytest.Pytester, earlier: Path
) -> None:
    file = project.path / "golden" / tiny.NAME / "fp32.tflite"
    _replace_fp32(project.path / "golden", file.read_bytes() + b"\0")

    result = project.runpytest(
        "--device=pixel4", f"--against={earlier}", "test_change.py", "-k", "cost"
    )

    ruled = {r.verdict.metric: r.verdict for r in _newest(project).records}["file_size_mib"]
    assert result.ret == pytest.ExitCode.OK
    assert (ruled.change, ruled.outcome) == (Change.WORSE, Outcome.PASS)
    result.stdout.fnmatch_lines(["Worse, and allowed: unet.fp32 on pixel4:nnapi*file_size_mib*"])
    assert "file_size_mib" in markdown.summary(_newest(project)).split("<details>")[0]

    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    toml.write_text(f"{toml.read_text('utf-8')}\n[change]\nfile_size_share = 0.0\n", "utf-8")
    strict = project.runpytest(
        "--device=pixel4", f"--against={earlier}", "test_change.py", "-k", "cost"
    )
    assert strict.ret == pytest.ExitCode.TESTS_FAILED


def test_new_pixels_are_judged_against_the_old_and_both_against_the_truth(
    project: pytest.Pytester, earlier: Path
) -> None:
    folder = project.path / "golden" / tiny.NAME
    data = (folder / "int8_ptq.tflite").read_bytes()
    other = models.unet(size_px=tiny.SIZE_PX, dtype="int8", even_weights=True)
    tiny.edit(folder / "subject.toml", sha256_of(data), sha256_of(other))
    (folder / "int8_ptq.tflite").write_bytes(other)

    project.runpytest("--device=pixel4", f"--against={earlier}", "test_change.py", "-k", "pixels")

    ruled = [r.verdict for r in _newest(project).records]
    by_metric = {v.metric: v for v in ruled}
    assert {v.metric for v in ruled} == {"quality_db", "pixels_db"}
    assert by_metric["pixels_db"].change is by_metric["quality_db"].change
    assert by_metric["pixels_db"].observed < 50.0


def test_a_revision_that_is_not_there_is_a_usage_error(project: pytest.Pytester) -> None:
    result = project.runpytest("--device=pixel4", "--against=no-such-revision")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
