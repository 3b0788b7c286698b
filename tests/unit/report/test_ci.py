"""Tell CI what a run ruled: Markdown, annotations and benchmark files."""

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path

import pytest

from harness import limit_lines, results, subjects
from harness.cli import main
from harness.errors import ConfigError
from harness.evidence import Evidence, Provenance
from harness.report import benchmarks, joining, markdown, ruling
from harness.results import SCHEMA, End, Planned, Record, Results, Run, Unruled
from harness.verdict import Outcome, Sense, Verdict

ROOT = Path(__file__).parents[3]
SUBJECT = ROOT / "golden" / "deblur_dbpn"


def record(metric="latency_ms", value=25.0, outcome=Outcome.FAIL, **parts) -> Record:
    sense = Sense.AT_LEAST if metric.endswith("_db") else Sense.AT_MOST
    evidence = parts.pop("evidence", Evidence.MODEL)
    verdict = Verdict(
        gate=parts.pop("gate", "latency"), metric=metric, sense=sense, observed=value, limit=20.0,
        unit=parts.pop("unit", "ms"), outcome=outcome, cause=parts.pop("cause", ""),
        low=parts.pop("low", 20.0), high=parts.pop("high", 30.0),
        provenance=Provenance(evidence=evidence, device="d", variant_sha256="ab"),
    )  # fmt: skip
    names = {
        "device": "pixel4", "delegate": "nnapi", "subject": "deblur_dbpn", "variant": "int8_ptq",
        "resolution": "256x256",
    }  # fmt: skip
    return Record(test="test_x", verdict=verdict, **(names | parts))


def run(*records: Record, exit_code: int | None = 0, planned=("test_x",), done=()) -> Results:
    head = Run(schema=SCHEMA, id="r1", command=(), host="h", time_utc="2026-01-01T00:00:00+00:00")
    end = None if exit_code is None else End(time_utc=head.time_utc, exit_code=exit_code)
    return Results(
        path=Path("x"), run=head, plans=(Planned(tests=planned),), facts=(), records=records,
        done=tuple(Unruled(test=test) for test in done), end=end,
    )  # fmt: skip


def strictly(*records: Record, exit_code: int = 1) -> Results:
    found = run(*records, exit_code=exit_code)
    plans = (dataclasses.replace(found.plans[0], strict=True),)
    return dataclasses.replace(found, plans=plans)


PASSED = record(outcome=Outcome.PASS)
UNSURE = record(outcome=Outcome.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (run(PASSED), "**PASS**: 1 verdict"),
        (run(PASSED, UNSURE, record(), exit_code=1),
         "**FAIL**: latency latency_ms of deblur_dbpn.int8_ptq on pixel4:nnapi at 256x256"),
        (run(PASSED, UNSURE),
         "**INCONCLUSIVE**: nothing failed, but 1 of 2 verdicts could not be ruled"),
        (strictly(PASSED, UNSURE),
         "**INCONCLUSIVE**: nothing failed, but 1 of 2 verdicts could not be ruled: with --strict, "
         "pytest failed"),
        (strictly(PASSED, UNSURE, exit_code=2),
         "**FAIL**: no verdict failed, but pytest ended with 2: see its log"),
        (strictly(PASSED),
         "**FAIL**: no verdict failed, but pytest ended with 1: see its log"),
        (run(PASSED, UNSURE, exit_code=1),
         "**FAIL**: no verdict failed, but pytest ended with 1: see its log"),
        (run(PASSED, exit_code=None),
         "**INCONCLUSIVE**: the run was cut short"),
        (run(PASSED, planned=("test_x", "test_y")),
         "**INCONCLUSIVE**: the run was cut short; 1 planned test did not run"),
        (run(planned=()), "**INCONCLUSIVE**: nothing was ruled"),
        (run(PASSED, exit_code=1),
         "**FAIL**: no verdict failed, but pytest ended with 1: see its log"),
    ],
)  # fmt: skip
def test_the_first_line_says_what_the_run_ruled(found: Results, says: str) -> None:
    assert markdown.summary(found).splitlines()[0] == says


def test_what_failed_is_shown_and_what_passed_is_folded() -> None:
    lines = markdown.summary(run(PASSED, record())).splitlines()

    shown = "\n".join(lines[: lines.index("<details><summary>1 other verdict</summary>")])
    assert shown.count("| FAIL |") == 1
    assert "| PASS |" not in shown
    assert lines[-1] == "<!-- device-harness:gates -->"


def test_what_an_earlier_run_ruled_otherwise_is_shown_as_changed() -> None:
    now, before = run(PASSED, record("p95_ms", outcome=Outcome.PASS)), run(UNSURE)

    shown = markdown.summary(now, before=before).split("<details>")[0]

    assert "INCONCLUSIVE → PASS" in shown
    assert "p95" not in shown


def test_what_the_change_loosens_comes_before_the_verdicts() -> None:
    effects = ruling.by_effect(
        loosened=["net: psnr_db 42 -> 30"], tightened=["net: latency_ms 9 -> 8"], altered=[]
    )
    lines = markdown.summary(run(record()), effects=effects).splitlines()

    assert lines[2:5] == [
        "**This change makes it easier to pass:**", "", "- net: psnr_db 42 -\\> 30",
    ]  # fmt: skip
    assert lines[6:9] == [
        "**This change makes it harder to pass:**", "", "- net: latency_ms 9 -\\> 8",
    ]  # fmt: skip


def test_names_of_others_are_data() -> None:
    evil = record(
        subject="a|b<img src=x>`*@everyone", cause="![x](y) <!-- device-harness:gates -->"
    )

    row = next(one for one in markdown.summary(run(evil)).splitlines() if one.startswith("| FAIL"))

    plain = row.replace("@<!-- -->", "").replace("\\|", "").replace("\\<", "").replace("\\>", "")
    assert "@everyone" not in row
    assert "<" not in plain
    assert plain.count("|") == 5


def test_a_summary_keeps_its_size_and_says_what_it_leaves_out() -> None:
    many = [record(frame=f"f{number}", cause="ö" * 300) for number in range(4000)]

    for limit in (markdown.COMMENT_BYTES, markdown.SUMMARY_BYTES):
        written = markdown.summary(run(*many, PASSED), at_most_bytes=limit)
        assert len(written.encode()) <= limit
        assert "more are in the results file" in written
        assert written.endswith("<!-- device-harness:gates -->\n")


def test_annotations_are_escaped_and_the_tenth_counts_the_rest() -> None:
    places = [(record(cause="50%\r\nof it"), "a,b:c.toml", 7)] * 12

    commands = list(markdown.annotations(places))

    assert commands[0].startswith("::error file=a%2Cb%3Ac.toml,line=7,title=latency deblur_dbpn")
    assert "pixel4%3Annapi" in commands[0].split("::")[1]
    assert "50%25" in commands[0]
    assert len(commands) == 10
    assert "3 more failed verdicts" in commands[9]
    assert all("\n" not in one and "\r" not in one for one in commands)


def test_the_line_is_that_of_the_limit() -> None:
    text = (SUBJECT / "subject.toml").read_text(encoding="utf-8")
    subject = subjects.load(SUBJECT)
    lines = text.splitlines()

    def line(metric: str, variant: str, delegate: str = "cpu") -> str:
        about = record(variant=variant, delegate=delegate)
        return lines[limit_lines.line_of(subject, text, about, metric) - 1]

    assert line("psnr_db", "fp32") == "psnr_db = 100.0"
    assert line("psnr_db", "fp32", "gpu") == "psnr_db = 55.0"
    assert line("psnr_db", "int8_ptq") == "psnr_db = 49.0"
    assert line("worst_tile_psnr_db", "int8_ptq") == "worst_tile_psnr_db = 40.0"
    assert line("scaling_exponent", "fp32").startswith("exponent")


def test_what_a_change_made_worse_is_noted_where_its_file_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse = record("cpu_ops", 3.0, gate="change", delegate="cpu")

    command(stored(tmp_path, worse, exit_code=1), "--golden-dir", str(ROOT / "golden"),
            "--annotations", "--output", str(tmp_path / "out.md"))  # fmt: skip

    toml = (SUBJECT / "subject.toml").read_text(encoding="utf-8").splitlines()
    number = int(re.search(r",line=(\d+),", capsys.readouterr().out)[1])
    assert toml[number - 1].startswith("sha256 = ")
    assert 'name = "int8_ptq"' in toml[number - 5 : number]


def test_the_line_of_a_budget_is_that_of_the_one_which_counts() -> None:
    text = (SUBJECT / "subject.toml").read_text(encoding="utf-8")
    subject = subjects.load(SUBJECT)
    budget = subject.budgets[-1]
    about = record(
        device=budget.devices[0].replace("*", "x"), delegate=budget.delegates[0],
        variant=budget.variants[0].replace("*", "fp32"), resolution=budget.resolution,
    )  # fmt: skip
    counts = next(
        one
        for one in subject.budgets_of(about.device, about.delegate, about.variant)
        if one.resolution == budget.resolution
    )

    number = limit_lines.line_of(subject, text, about, "cpu_ops")

    above = text.splitlines()[:number]
    assert above.count("[[budgets]]") == subject.budgets.index(counts) + 1


def test_benchmark_files_keep_evidence_and_sense_apart() -> None:
    phone = record(evidence=Evidence.PHONE, value=22.0, low=None, high=None)
    psnr = record("psnr_db", 40.0, unit="dB", low=None, high=math.inf)
    lost = record("psnr_db", math.inf, frame="f")
    found = run(record(), phone, psnr, lost, record("cpu_ops", None))

    written = benchmarks.bmf(found)
    smaller = benchmarks.github(found, Sense.AT_MOST)
    bigger = benchmarks.github(found, Sense.AT_LEAST)

    name = "deblur_dbpn/int8_ptq/pixel4/nnapi/256x256"
    assert written == {
        f"{name}/MODEL": {
            "latency-ms": {"value": 25.0, "lower_value": 20.0, "upper_value": 30.0},
            "psnr-db": {"value": 40.0},
        },
        f"{name}/PHONE": {"latency-ms": {"value": 22.0}},
    }
    assert [one["name"] for one in smaller] == [
        f"{name}/MODEL latency_ms", f"{name}/PHONE latency_ms",
    ]  # fmt: skip
    assert (smaller[0]["range"], smaller[0]["unit"]) == ("± 5", "ms")
    assert [one["name"] for one in bigger] == [f"{name}/MODEL psnr_db"]
    json.dumps([written, smaller, bigger], allow_nan=False)


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["ci-summary", *arguments])
    code = ended.value.code
    assert isinstance(code, int)
    return code


def stored(folder: Path, *records: Record, exit_code: int = 0, strict: bool = False) -> str:
    writer = results.Writer(folder)
    for line in (Planned(tests=("test_x",), strict=strict), *records):
        writer.write(line)
    writer.write(End(time_utc="2026-01-01T00:00:00+00:00", exit_code=exit_code))
    return str(writer.path)


@pytest.mark.parametrize(
    ("records", "more", "code"),
    [
        ([PASSED], [], 0), ([UNSURE], [], 0), ([UNSURE], ["--strict"], 3), ([record()], [], 1),
        ([PASSED, record()], ["--strict"], 1), ([PASSED], ["--strict"], 0),
    ],
)  # fmt: skip
def test_it_ends_as_the_run_did(tmp_path: Path, records, more, code: int) -> None:
    assert command(stored(tmp_path, *records), *more) == code


def test_it_ends_as_a_strict_run_did(tmp_path: Path) -> None:
    assert command(stored(tmp_path, UNSURE, exit_code=1, strict=True)) == 3


def test_a_wrong_input_ends_with_2(tmp_path: Path) -> None:
    assert command(str(tmp_path / "none.jsonl")) == 2


def test_the_command_writes_every_file_and_annotates_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    now, was = tmp_path / "golden", tmp_path / "was"
    for folder in (now, was):
        (folder / SUBJECT.name).mkdir(parents=True)
        shutil.copy(SUBJECT / "subject.toml", folder / SUBJECT.name)
    toml = now / SUBJECT.name / "subject.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace("49.0", "30.0"), encoding="utf-8")
    failed = record("psnr_db", 10.0, gate="fidelity", delegate="cpu")
    summary, comment = tmp_path / "summary.md", tmp_path / "comment.md"
    summary.write_text("before\n", encoding="utf-8")

    code = command(
        stored(tmp_path, failed, exit_code=1), "--against", str(was), "--golden-dir", str(now),
        "--output", str(summary), "--comment", str(comment), "--annotations", "--key", "mine",
        "--bmf", str(tmp_path / "bmf.json"), "--benchmarks", str(tmp_path / "bench"),
    )  # fmt: skip

    assert code == 1
    written = summary.read_text(encoding="utf-8").splitlines()
    assert written[0] == "before"
    assert written[1].startswith("**FAIL**: fidelity psnr")
    assert any("int8_ptq: psnr_db 49 -\\> 30 in subject.toml" in one for one in written[2:6])
    assert comment.read_text(encoding="utf-8").endswith("<!-- device-harness:mine -->\n")
    annotation = capsys.readouterr().out.strip()
    number = toml.read_text(encoding="utf-8").splitlines().index("psnr_db = 30.0") + 1
    assert annotation.startswith(
        f"::error file=golden/deblur_dbpn/subject.toml,line={number},title=fidelity"
    )
    assert json.loads((tmp_path / "bench" / "bigger.json").read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "bench" / "smaller.json").read_text(encoding="utf-8")) == []


def shard(number: int, *records: Record, whole: str = "plan", commit: str = "c", of: int = 3):
    found = run(*records, planned=tuple(one.test for one in records))
    (plan,) = found.plans
    plan = dataclasses.replace(plan, shard=f"{number}/{of}", whole=whole)
    head = dataclasses.replace(found.run, id=f"r{number}", git_commit=commit)
    return dataclasses.replace(found, run=head, plans=(plan,))


def about(test: str, outcome: Outcome = Outcome.PASS) -> Record:
    return dataclasses.replace(record(outcome=outcome), test=test)


def test_the_shards_of_a_plan_are_one_run() -> None:
    parts = [shard(n, about(f"test_{n}")) for n in (1, 2, 3)]

    joined = joining.join(parts)

    assert (ruling.of(joined).outcome, joined.unrecorded) == (Outcome.PASS, ())
    assert {one.test for one in joined.records} == {"test_1", "test_2", "test_3"}
    assert "Run r1, r2, r3" in markdown.summary(joined)


def test_a_shard_that_did_not_arrive_is_inconclusive_and_named() -> None:
    joined = joining.join([shard(2, about("test_2"))])

    assert ruling.of(joined).outcome is Outcome.INCONCLUSIVE
    assert "1/3, 3/3 of the plan's shards did not arrive" in markdown.summary(joined)


def test_a_failed_verdict_goes_before_a_shard_that_did_not_arrive_which_is_still_said() -> None:
    joined = joining.join([shard(1, about("test_1", Outcome.FAIL)), shard(2, about("test_2"))])

    assert ruling.of(joined).outcome is Outcome.FAIL
    assert "**Shards that did not arrive:** 3/3" in markdown.summary(joined)


def test_a_shard_that_was_cut_short_or_failed_speaks_for_all() -> None:
    whole, cut = shard(1, about("test_1"), of=2), shard(2, about("test_2"), of=2)
    broken = dataclasses.replace(cut, end=End(time_utc=cut.run.time_utc, exit_code=3))

    lost = ruling.of(joining.join([whole, dataclasses.replace(cut, end=None)]))
    assert lost.outcome is Outcome.INCONCLUSIVE
    assert ruling.of(joining.join([whole, broken])).outcome is Outcome.FAIL


@pytest.mark.parametrize("other", [{"whole": "another"}, {"commit": "d"}, {"of": 4}])
def test_shards_of_two_plans_or_commits_are_refused(other: dict) -> None:
    with pytest.raises(ConfigError, match="2 different"):
        joining.join([shard(1, about("test_1")), shard(2, about("test_2"), **other)])


def test_of_two_rulings_of_one_test_the_newer_counts() -> None:
    old, new = run(record()), run(PASSED)
    later = dataclasses.replace(new.run, time_utc="2026-01-02T00:00:00+00:00")

    joined = joining.join([dataclasses.replace(new, run=later), old])

    assert [one.verdict.outcome for one in joined.records] == [Outcome.PASS]


@pytest.mark.parametrize(
    ("old", "outcome"),
    [
        (run(record(), exit_code=1), Outcome.PASS),
        (strictly(UNSURE), Outcome.PASS),
        (run(PASSED, exit_code=1), Outcome.FAIL),
        (run(UNSURE, exit_code=1), Outcome.FAIL),
    ],
)
def test_a_run_that_failed_by_rulings_that_are_newer_elsewhere_fails_no_more(
    old: Results, outcome: Outcome
) -> None:
    later = dataclasses.replace(old.run, time_utc="2026-01-02T00:00:00+00:00")

    joined = joining.join([old, dataclasses.replace(run(PASSED), run=later)])

    assert ruling.of(joined).outcome is outcome


def test_a_great_number_of_lost_shards_is_counted() -> None:
    joined = joining.join([shard(1, about("test_1", Outcome.FAIL), of=9999)])

    assert "2/9999, 3/9999" in markdown.summary(joined)
    assert "and 9990 more" in markdown.summary(joined)
    assert len(markdown.summary(joined)) < 2000
