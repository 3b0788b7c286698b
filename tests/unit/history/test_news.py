"""Tell what the latest runs changed."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

from harness.cli import main
from harness.history import news
from harness.history.entries import FactEntry, RunEntry, SeriesKey
from harness.history.news import FindingState
from harness.history.rows import Acknowledged
from harness.history.store import Store

pytestmark = pytest.mark.history

START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL, HARNESS = "a" * 64, "0.1.0"


def key(index=0, **parts):
    names = {
        "subject": f"net{index}", "variant": "int8_ptq", "profile": "pixel4", "delegate": "nnapi",
        "size": "1280x720", "metric": "latency_ms", "evidence": "MODEL",
    }  # fmt: skip
    return SeriesKey(**(names | parts))


def fact(value, series, *, outcome="PASS", model=MODEL, harness=HARNESS, **runtime):
    made = {"variant_sha256": model, "harness_version": harness, "runtime": runtime}
    return FactEntry(series=series, value=value, outcome=outcome, provenance=json.dumps(made))


def run(night, *facts, commit="c0ffee"):
    time = (START + timedelta(days=night)).isoformat()
    return RunEntry(id=f"run{night}", time_utc=time, commit=commit, host="lab1", facts=facts)


def phone(index=0, **parts):
    return key(index, evidence="PHONE", fingerprint="Pixel 4 (1)", **parts)


def nights(values, series=None, **parts):
    return [run(at, fact(value, series or phone(), **parts)) for at, value in enumerate(values)]


def test_facts_that_repeat_are_quiet():
    assert news.look_back([run(0, fact(10.0, key())), run(1, fact(10.0, key()))]) == ()


def test_any_difference_of_what_repeats_is_news_on_its_first_night():
    (found,) = news.look_back([run(0, fact(10.0, key())), run(1, fact(10.0001, key()))])

    assert (found.state, found.worse, found.counts, found.run) == (
        FindingState.NEW,
        True,
        True,
        "run1",
    )
    assert found.cause == "nothing that was recorded differs"


def test_what_one_cause_changed_is_one_finding_however_many_series_it_moved():
    series = [key(index) for index in range(100)]
    before = run(0, *(fact(10.0, one) for one in series))
    after = run(1, *(fact(11.0, one, harness="0.2.0") for one in series))

    (found,) = news.look_back([before, after])

    assert found.cause == "harness 0.1.0 -> 0.2.0"
    assert len(found.moves) == 100


def test_another_model_and_another_runtime_are_two_causes():
    before = run(0, fact(10.0, key(0)), fact(10.0, key(1), litert="2.1"))
    after = run(1, fact(11.0, key(0), model="b" * 64), fact(11.0, key(1), litert="2.2"))

    found = news.look_back([before, after])

    assert {one.cause for one in found} == {
        f"net0.int8_ptq: model {'a' * 12} -> {'b' * 12}",
        "litert 2.1 -> 2.2",
    }


def test_a_new_export_is_one_cause_at_every_size():
    sizes = [key(size="64x64"), key(size="128x128")]

    def exported(value, file, one):
        made = {"variant_sha256": file + one.size, "file_sha256": file}
        return FactEntry(series=one, value=value, outcome="PASS", provenance=json.dumps(made))

    before = run(0, *(exported(10.0, "a" * 64, one) for one in sizes))
    after = run(1, *(exported(11.0, "b" * 64, one) for one in sizes))

    (found,) = news.look_back([before, after])

    assert found.cause == f"net0.int8_ptq: model {'a' * 12} -> {'b' * 12}"
    assert len(found.moves) == 2


@pytest.mark.parametrize(
    ("metric", "now", "worse"),
    [("latency_ms", 9.0, False), ("psnr_db", 9.0, True), ("psnr_db", 11.0, False)],
)
def test_worse_is_what_the_metric_says(metric, now, worse):
    series = key(metric=metric)

    (found,) = news.look_back([run(0, fact(10.0, series)), run(1, fact(now, series))])

    assert (found.worse, found.counts) == (worse, worse)


def test_the_same_value_under_another_limit_is_news_of_the_limit():
    runs = [run(0, fact(10.0, key())), run(1, fact(10.0, key(), outcome="FAIL"))]

    (found,) = news.look_back(runs)

    assert (found.cause, found.counts) == ("the limit or what is required", True)


def placed(value, *units, outcome="PASS", series=None, op="CONV_2D"):
    nodes = [[at, op, unit, "refused" if unit == "cpu" else ""] for at, unit in enumerate(units)]
    one = series or key(metric="cpu_ops", evidence="RULES")
    given = fact(value, one, outcome=outcome)
    return dataclasses.replace(given, placement=json.dumps(nodes))


def test_a_placement_that_changed_names_the_ops_that_moved():
    before, after = placed(0, *["npu"] * 9), placed(7, *["cpu"] * 7, "npu", "npu", outcome="FAIL")

    (found,) = news.look_back([run(0, before), run(1, after)])

    (move,) = found.moves
    assert [(op.index, op.was, op.now) for op in move.ops] == [(i, "npu", "cpu") for i in range(7)]
    said = str(found)
    assert "7 ops moved: #0 CONV_2D npu -> cpu (refused)" in said
    assert said.endswith("; and 3 more")


def test_ops_that_changed_places_are_news_though_their_number_is_the_same():
    (found,) = news.look_back([run(0, placed(1, "cpu", "npu")), run(1, placed(1, "npu", "cpu"))])

    assert not found.worse
    assert "2 ops moved" in str(found)
    assert found.cause == "nothing that was recorded differs"


@pytest.mark.parametrize("damaged", ["[", "{}", "[[1]]", "[[1, 2, 3, 4, 5]]", "7"])
def test_a_placement_that_is_none_of_ours_tells_of_no_ops(damaged):
    before = dataclasses.replace(placed(0, "npu"), placement=damaged)

    (found,) = news.look_back([run(0, before), run(1, placed(1, "cpu"))])

    assert found.moves[0].ops == ()


def test_a_series_that_a_run_left_out_is_compared_with_the_last_run_that_had_it():
    (found,) = news.look_back([run(0, fact(10.0, key())), run(1), run(2, fact(12.0, key()))])

    assert found.run == "run2"


def test_a_regression_is_new_once_then_known_then_gone():
    worse, same, back = run(1, fact(12.0, key())), run(2, fact(12.0, key())), run(3, fact(9, key()))
    runs = [run(0, fact(10.0, key())), worse, same, back]

    first, second, third = (news.look_back(runs[:count]) for count in (2, 3, 4))

    assert [one.state for one in first] == [FindingState.NEW]
    assert [(one.state, one.counts) for one in second] == [(FindingState.KNOWN, False)]
    assert [(one.state, one.worse) for one in third] == [
        (FindingState.NEW, False),
        (FindingState.GONE, True),
    ]
    assert first[0].id == second[0].id == third[1].id
    assert news.look_back([*runs, run(4, fact(9, key()))]) == ()


def test_several_new_runs_are_looked_at_together():
    runs = [run(0, fact(10.0, key())), run(1, fact(12.0, key())), run(2, fact(12.0, key()))]

    assert [one.counts for one in news.look_back(runs, newest=2)] == [True]


def test_an_acknowledged_finding_is_quiet_until_its_day_and_comes_back_after_it():
    runs = [run(0, fact(10.0, key())), run(1, fact(12.0, key())), run(2, fact(12.0, key()))]
    (found,) = news.look_back(runs[:2])
    known = [Acknowledged(finding=found.id, because="a slower op, on purpose", until="2026-02-01")]

    def counts(at, today):
        (one,) = news.look_back(runs[:at], acknowledged=known, today=today)
        return one.counts

    assert not counts(2, "2026-02-01")
    assert not counts(3, "2026-02-01")
    assert counts(3, "2026-02-02")


def test_noise_of_a_phone_is_quiet_and_a_lasting_step_is_found_on_its_second_night():
    quiet = [10.0, 10.2, 9.9, 10.1, 10.0, 9.8, 10.1, 10.0]

    assert news.look_back(nights(quiet)) == ()
    assert news.look_back(nights([*quiet, 12.0])) == ()
    (found,) = news.look_back(nights([*quiet, 12.0, 12.1]))
    assert (found.state, found.counts) == (FindingState.NEW, True)
    assert found.moves[0].was == pytest.approx(10.0, rel=0.02)
    assert found.moves[0].now == pytest.approx(12.05, rel=0.01)
    (later,) = news.look_back(nights([*quiet, 12.0, 12.1, 12.0]))
    assert (later.state, later.id) == (FindingState.KNOWN, found.id)


def test_a_count_that_a_phone_took_is_exact():
    (found,) = news.look_back(nights([0.0, 0.0, 4.0], phone(metric="cpu_ops")))

    assert (found.moves[0].was, found.moves[0].now, found.counts) == (0.0, 4.0, True)


def test_decibels_of_a_phone_are_compared_as_decibels():
    series = phone(metric="psnr_db")

    (found,) = news.look_back(nights([40.0] * 8 + [38.0] * 2, series))

    assert (found.moves[0].was, found.moves[0].now) == pytest.approx((40.0, 38.0))
    assert found.counts
    assert news.look_back(nights([40.0] * 8 + [39.9] * 2, series)) == ()


def test_a_shift_that_many_models_of_a_phone_share_is_one_finding_with_its_cause():
    series = [phone(index) for index in range(10)]
    runs = [
        run(at, *(fact(10.0, one, android_api_level="29") for one in series)) for at in range(8)
    ]
    shifted = run(8, *(fact(13.0, one, android_api_level="30") for one in series))

    (found,) = news.look_back([*runs, shifted])

    assert len(found.moves) == 10
    assert "android_api_level 29 -> 30" in found.cause


def harness(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["history", *arguments])
    return ended.value.code


@pytest.fixture
def history(tmp_path):
    path = tmp_path / "history.db"
    with Store.open(str(path)) as store:
        store.add(run(0, fact(10.0, key())))
        store.add(run(1, fact(12.0, key(), model="b" * 64)))
    return str(path)


def test_check_ends_with_1_until_the_finding_is_acknowledged(history, capsys):
    assert harness("check", "--history", history) == 1
    out = capsys.readouterr().out
    assert "net0.int8_ptq: model" in out
    finding = out.split()[1].rstrip(":")

    because = ["--because", "the larger model", "--until", "2999-01-01"]
    assert harness("ack", finding, *because, "--history", history) == 0
    assert harness("check", "--history", history) == 0
    assert "until 2999-01-01: the larger model" in capsys.readouterr().out


def test_only_a_finding_that_there_is_can_be_acknowledged(history, capsys):
    more = ["--because", "x", "--until", "2999-01-01", "--history", history]

    assert harness("ack", "c0ffee", *more) == 2
    assert "no finding" in capsys.readouterr().err
    assert harness("ack", "c0ffee", "--because", "x", "--until", "2001-01-01") == 2
    assert "is over" in capsys.readouterr().err


def test_a_series_is_drawn_and_several_are_listed(history, capsys):
    assert harness("show", "net0", "--history", history) == 0
    out = capsys.readouterr().out
    assert out.index("10 PASS") < out.index("12 PASS")
    with Store.open(history) as store:
        store.add(run(2, fact(10.0, key(metric="p95_ms"))))

    assert harness("show", "net0", "--history", history) == 2
    assert "2 series have these names" in capsys.readouterr().err
    assert harness("show", "nothing", "--history", history) == 2


def test_an_empty_history_is_no_pass(tmp_path, capsys):
    assert harness("check", "--history", str(tmp_path / "new.db")) == 2
    assert "has no run" in capsys.readouterr().err
