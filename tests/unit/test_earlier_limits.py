"""What an earlier run judged by, beside today's limits, baselines, frames and resolutions."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import baselines, cases, earlier_runs, judging, profiles, results, subjects
from harness.cases import Case
from harness.devices.connect import Origin
from harness.earlier_runs import EarlierRun
from harness.fact_lines import line
from harness.history import runs
from harness.lab import Facts
from harness.lab.local import LocalLab
from harness.requests import Fact
from harness.results import End
from harness.strictness import Strictness
from tests import tiny

BUDGET = """latency_ms = 1000
p95_ms = 2000
peak_memory_mib = 900
weights_mib = 800
file_size_mib = 700
first_inference_ms = 600
cpu_time_share = 0.5"""


@pytest.fixture(scope="module")
def judged(blessed_golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a subject and the run `before` that judged it by many limits."""
    root = tmp_path_factory.mktemp("judged")
    shutil.copytree(blessed_golden, root / "golden")
    toml = root / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, "latency_ms = 1000", BUDGET)
    tiny.edit(toml, "quality_drop_db = 0.5", "quality_drop_db = 0.5\nown.edges.at_most = 2.0")
    writer = results.Writer(root, run_id="before")

    def tell(fact: Fact) -> Fact:
        writer.write(line(fact))
        return fact

    facts = Facts(LocalLab(origin=Origin.EMULATED), tell)
    planned = judging.trials(_cases(root))
    for record in judging.judge(planned, facts, own={"edges": lambda one, other: 1.0}):
        writer.write(record)
    writer.write(End(time_utc="2026-01-01T00:00:00+00:00", exit_code=0))
    return root


@pytest.fixture
def root(judged: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may change."""
    return Path(shutil.copytree(judged, tmp_path / "project"))


def _cases(root: Path) -> tuple[Case, ...]:
    targets = profiles.select(profiles.load_all([profiles.shipped_folder()]), ["pixel4"])
    return cases.plan(subjects.load_all(root / "golden"), targets).cases


def _run(root: Path) -> EarlierRun:
    run = earlier_runs.in_results(root, "before")
    assert run is not None
    return run


def _told(root: Path, effect: Strictness = Strictness.EASIER) -> list[str]:
    found = [one for one in _run(root).differences(_cases(root), "*") if one.effect is effect]
    return [one.what for one in dict.fromkeys(found) if "int8_ptq" not in one.what]


def test_what_is_judged_as_before_is_not_told(root: Path) -> None:
    assert list(_run(root).differences(_cases(root), "*")) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("latency_ms = 1000", "latency_ms = 2000", "latency_ms at 64x64 1000 -> 2000"),
        ("latency_ms = 1000\n", "", "latency_ms at 64x64 1000 -> no limit"),
        ("peak_memory_mib = 900", "peak_memory_mib = 950", "peak_memory_mib at 64x64 900 -> 950"),
        ("weights_mib = 800\n", "", "weights_mib at 64x64 800 -> no limit"),
        ("file_size_mib = 700", "file_size_mib = 800", "file_size_mib at 64x64 700 -> 800"),
        ("cpu_ops_allowed = 0", "cpu_ops_allowed = 9", "cpu_ops_allowed at 64x64 0 -> 9"),
        ("partitions_max = 1", "partitions_max = 3", "partitions_max at 64x64 1 -> 3"),
        ("own.edges.at_most = 2.0", "own.edges.at_most = 3.0", "own.edges 2 -> 3"),
        ("own.edges.at_most = 2.0\n", "", "own.edges 2 -> no limit"),
        ("quality_drop_db = 0.5", "quality_drop_db = 0.6", "quality_drop_db 0.5 -> 0.6"),
        ("\nexponent = 1.3", "\nexponent = 1.4", "scaling exponent 1.3 -> 1.4"),
        ("cliff_ratio = 1.5", "cliff_ratio = 9.5", "scaling cliff_ratio 1.5 -> 9.5"),
        ('["32x32", "64x64"]', '["48x48", "64x64"]', "scaling no longer asks for 32x32"),
        ('resolution = "64x64"', 'resolution = "32x32"',
         "latency_ms at 64x64 1000 -> no limit"),
    ],
)  # fmt: skip
def test_what_allows_more_than_the_run_judged_by_is_told(
    root: Path, old: str, new: str, says: str
) -> None:
    tiny.edit(root / "golden" / tiny.NAME / "subject.toml", old, new)

    told = _told(root)

    assert [one for one in told if one.removeprefix("fp32: ") == says]
    assert _told(root, Strictness.HARDER) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("latency_ms = 1000", "latency_ms = 500", "latency_ms at 64x64 1000 -> 500"),
        ("own.edges.at_most = 2.0", "own.edges.at_most = 1.0", "own.edges 2 -> 1"),
        ("cliff_ratio = 1.5", "cliff_ratio = 1.4", "scaling cliff_ratio 1.5 -> 1.4"),
    ],
)
def test_what_allows_less_is_told_apart(root: Path, old: str, new: str, says: str) -> None:
    tiny.edit(root / "golden" / tiny.NAME / "subject.toml", old, new)

    (told,) = _told(root, Strictness.HARDER)
    assert told.removeprefix("fp32: ") == says
    assert _told(root) == []


def test_a_growth_that_is_asked_for_no_more_is_told(root: Path) -> None:
    toml = root / "golden" / tiny.NAME / "subject.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text[: text.index("[scaling]")], encoding="utf-8")

    assert _told(root) == ["[scaling] is gone"]


@pytest.mark.parametrize(
    ("edit", "effect", "says"),
    [
        (lambda value: value * 2, Strictness.EASIER, "baseline latency_ms at 64x64 4.25333 -> 8.4"),
        (lambda value: value / 2, Strictness.HARDER, "baseline latency_ms at 64x64 4.25333 -> 2.1"),
    ],
)
def test_another_baseline_is_told_by_what_it_allows(
    root: Path, edit: Callable[[float], float], effect: Strictness, says: str
) -> None:
    subject = subjects.load(root / "golden" / tiny.NAME)
    path = subject.folder / "baselines.json"
    (value,) = {
        one.value
        for one in baselines.load(subject)
        if (one.variant, one.metric) == ("fp32", "latency_ms")
    }
    tiny.edit(path, f'"value": {value}', f'"value": {edit(value)}')

    (told,) = _told(root, effect)

    assert told.startswith(f"fp32: {says}")


def test_a_baseline_that_is_gone_is_told(root: Path) -> None:
    (root / "golden" / tiny.NAME / "baselines.json").unlink()

    assert any("baseline latency_ms at 64x64 4.25333 -> no limit" in one for one in _told(root))


def test_a_resolution_that_is_judged_no_more_is_told(root: Path) -> None:
    (root / "golden" / tiny.NAME / "baselines.json").unlink()
    toml = root / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, 'resolution = "64x64"', 'resolution = "32x32"')

    assert _told(root) == ["fp32 is judged no more at 64x64"]


def test_frames_that_are_gone_or_others_are_told(root: Path) -> None:
    frames = root / "golden" / tiny.NAME / "frames"
    shutil.copyfile(frames / "b.blurred.png", frames / "a.blurred.png")
    (frames / "b.blurred.png").unlink()

    assert "golden b is gone" in _told(root)
    assert _told(root, Strictness.OTHER) == []  # `a` is a frame that the run had
    shutil.copyfile(frames / "b.sharp.png", frames / "a.blurred.png")
    assert _told(root, Strictness.OTHER) == ["golden a: another frame"]


def test_another_profile_is_told_and_so_is_what_a_run_does_not_hold(root: Path) -> None:
    cases_now = _cases(root)
    profile = dataclasses.replace(cases_now[0].target.profile, ram_mib=1)
    target = dataclasses.replace(cases_now[0].target, profile=profile)
    others = [dataclasses.replace(case, target=target) for case in cases_now]

    told = {str(one) for one in _run(root).differences(others, "*")}

    assert told == {"pixel4: its profile changed; today's numbers are by today's"}
    assert "sharp targets" in _run(root).uncompared


def test_a_run_of_the_history_has_no_limits_to_compare_and_says_so(root: Path) -> None:
    tiny.edit(
        root / "golden" / tiny.NAME / "subject.toml", "latency_ms = 1000", "latency_ms = 9000"
    )
    found = results.load(results.latest(root))

    run = EarlierRun(entry=runs.entry(found))

    assert list(run.differences(_cases(root), "*")) == []
    assert run.uncompared.startswith("Not in run before, and compared by nobody: limits, ")
