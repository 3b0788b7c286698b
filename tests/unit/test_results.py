"""Tests of verdicts on disk."""

import json
import os
import shutil
from pathlib import Path

import pytest

from harness import results
from harness.errors import ConfigError, HarnessError
from harness.evidence import Evidence, Provenance
from harness.results import End, Planned, Record, Unruled
from harness.verdict import Outcome, Sense, Verdict


def record(number: int, *, known: bool = True) -> Record:
    made = Provenance(
        evidence=Evidence.PHONE, device="d", variant_sha256="ab", runtime={"litert": "2"},
        device_state={"temperature_c": 31.5, "governor": "performance"},
    )  # fmt: skip
    return Record(
        test=f"test_{number}", subject="s", variant="v", device="d",
        delegate="gpu", resolution="1x1", frame="a",
        verdict=Verdict(
            gate="latency", metric="latency_ms", sense=Sense.AT_MOST, outcome=Outcome.FAIL,
            observed=float(number), limit=1.0, unit="ms", low=0.5,
            provenance=made if known else None, cause="PRELU", remedy="use RELU",
        ),
    )  # fmt: skip


def write(root: Path, *records: Record) -> Path:
    writer = results.Writer(root)
    for one in records:
        writer.write(one)
    assert writer.path is not None
    return writer.path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    wanted = [record(1), record(2, known=False)]

    path = write(tmp_path, *wanted)

    assert list(results.load(path).records) == wanted


def test_a_record_is_on_disk_before_the_next_one_is_made(tmp_path: Path) -> None:
    writer = results.Writer(tmp_path)
    seen = []

    for number in range(3):
        writer.write(record(number))
        assert writer.path is not None
        seen.append(len(list(results.load(writer.path).records)))

    assert seen == [1, 2, 3]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_whose_last_line_a_kill_cut_short_is_readable(tmp_path: Path, share: float) -> None:
    path = write(tmp_path, record(1), record(2))
    head, first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + first + second[: int(share * len(second))])

    assert [r.test for r in results.load(path).records] == ["test_1"]


def test_a_last_line_cut_within_a_character_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, record(1))
    path.write_bytes(path.read_bytes() + '{"test": "é'.encode()[:-1])

    assert [r.test for r in results.load(path).records] == ["test_1"]


def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(tmp_path: Path) -> None:
    path = write(tmp_path, record(1), record(2))
    head, rest = path.read_text(encoding="utf-8").split("\n", 1)
    path.write_text(f"{head}\n{{\n{rest}", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"jsonl:2: not a JSON line"):
        list(results.load(path).records)


def test_two_runs_in_one_second_have_two_files(tmp_path: Path) -> None:
    paths = {write(tmp_path, record(number)) for number in range(5)}

    assert len(paths) == 5


def test_the_newest_run_is_found(tmp_path: Path) -> None:
    write(tmp_path, record(1))
    newest = write(tmp_path, record(2))

    assert results.latest(tmp_path) == newest


def _began(root: Path, monkeypatch: pytest.MonkeyPatch, time_utc: str) -> Path:
    monkeypatch.setattr(results.evidence, "now_utc", lambda: time_utc)
    return write(root, record(1))


def test_a_run_that_is_touched_or_copied_is_no_newer_than_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _began(tmp_path, monkeypatch, "2026-01-01T00:00:00+00:00")
    newest = _began(tmp_path, monkeypatch, "2026-01-02T00:00:00+00:00")
    old.touch()
    copy = shutil.copyfile(old, old.with_name("9.jsonl"))

    assert results.latest(tmp_path) == newest
    assert results.all_runs(tmp_path) == [old, copy, newest]


def test_of_the_runs_of_one_second_the_last_is_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [_began(tmp_path, monkeypatch, "2026-01-01T00:00:00+00:00") for _ in range(12)]
    for path in paths:
        os.utime(path, (0, 0))

    assert results.all_runs(tmp_path) == paths


def test_a_run_that_does_not_say_when_it_began_is_placed_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _began(tmp_path, monkeypatch, "2026-01-01T00:00:00+00:00")
    cut = _began(tmp_path, monkeypatch, "2026-01-02T00:00:00+00:00")
    last = _began(tmp_path, monkeypatch, "2026-01-03T00:00:00+00:00")
    odd = _began(tmp_path, monkeypatch, "long ago")
    cut.write_bytes(b"")
    shutil.copyfile(odd, odd.with_name("1.jsonl"))

    assert results.all_runs(tmp_path) == [odd.with_name("1.jsonl"), first, cut, last]


def test_without_a_run_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run `pytest --device=NAME` first"):
        results.latest(tmp_path)


def test_a_run_that_rules_on_nothing_leaves_no_file(tmp_path: Path) -> None:
    writer = results.Writer(tmp_path)

    assert writer.path is None
    assert list(tmp_path.iterdir()) == []


def test_two_runs_that_start_in_one_second_have_a_file_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results.evidence, "now_utc", lambda: "2026-01-01T00:00:00+00:00")
    one, other = results.Writer(tmp_path), results.Writer(tmp_path)

    one.write(record(1))
    other.write(record(2))
    one.write(record(3))

    assert one.path is not None
    assert other.path is not None
    assert list(results.load(one.path).records) == [record(1), record(3)]
    assert list(results.load(other.path).records) == [record(2)]


def test_a_file_in_the_folders_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / results.FOLDER).write_text("", encoding="utf-8")

    with pytest.raises(HarnessError, match=r"\.results: cannot be written \(File exists\)"):
        results.Writer(tmp_path).write(record(1))


def test_a_run_says_what_was_planned_and_what_became_of_it(tmp_path: Path) -> None:
    writer = results.Writer(tmp_path, command=("pytest", "--device=d"))
    writer.write(Planned(tests=("test_1", "test_2", "test_3")))
    writer.write(record(1))
    writer.write(Unruled(test="test_2"))
    assert writer.path is not None

    found = results.load(writer.path)

    assert found.run.command == ("pytest", "--device=d")
    assert found.planned == ("test_1", "test_2", "test_3")
    assert found.unrecorded == ("test_3",)
    assert found.end is None


def test_an_unfinished_run_of_the_same_plan_can_be_gone_on_with(tmp_path: Path) -> None:
    writer = results.Writer(tmp_path)
    asked = {"origin": "phone"}
    writer.write(Planned(tests=("test_1", "test_2"), asked=asked))

    found = results.unfinished(tmp_path, ("test_2", "test_1"), asked)

    assert found is not None
    assert found.run.id == writer.run.id
    assert results.unfinished(tmp_path, ("test_1",), asked) is None
    assert results.unfinished(tmp_path, ("test_2", "test_1"), {"origin": "auto"}) is None
    writer.write(End(time_utc="2026-01-01T00:00:00+00:00", exit_code=0))
    assert results.unfinished(tmp_path, ("test_2", "test_1"), asked) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"test": "a", "verdict": {}}', "earlier version"),
        ('{"run": {"schema": 99, "id": "a", "command": [], "host": "h", "time_utc": "t"}}', "99"),
        ("", "is empty"),
    ],
)
def test_a_file_of_another_format_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError, match=words):
        results.load(path)


def test_the_page_on_the_format_names_its_number() -> None:
    path = Path(__file__).parents[2] / "docs" / "records.md"

    assert f"The format's number is {results.SCHEMA}." in path.read_text(encoding="utf-8")


def test_the_schema_in_the_docs_is_that_of_the_format() -> None:
    path = Path(__file__).parents[2] / "docs" / "records.schema.json"

    assert json.loads(path.read_text(encoding="utf-8")) == results.json_schema()
