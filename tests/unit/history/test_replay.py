"""Feed recorded nights to a rule as if they came in now."""

import gzip
import json
from pathlib import Path

import pytest

from harness import changes, cli
from harness.errors import ConfigError, MeasurementError
from harness.history import peers, replay, yardstick

RECORDED = Path(__file__).parents[2] / "data" / "nightly_history.csv.gz"
HEAD = "model,device,date,latency_ms"


@pytest.fixture
def write(tmp_path):
    def file(*lines, name="nights.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return file


def step(days=12, before=10.0, after=12.0):
    return [f"m,phone,2026-01-{day:02},{before if day < 7 else after}" for day in range(1, days)]


def test_rows_become_nights_in_the_order_of_their_dates(write):
    nights = replay.read(write(HEAD, "m,b,2026-01-02,11", "m,b,2026-01-01,10", "k,a,2026-01-02,9"))

    assert [(one.date, one.phone) for one in nights] == [
        ("2026-01-01", "b"), ("2026-01-02", "a"), ("2026-01-02", "b"),
    ]  # fmt: skip


def test_rows_of_one_night_are_repeats_unless_their_tags_differ(write):
    head = f"{HEAD},tag"
    row = "m,b,2026-01-01,{},{}"

    (night,) = replay.read(write(head, row.format(10, "v1"), row.format(11, "v1")))
    assert night.readings[0].values == (10.0, 11.0)
    assert len(replay.read(write(head, row.format(10, "v1"), row.format(11, "v2")))) == 2


def test_nights_are_sorted_by_time_and_not_by_how_it_is_written(write):
    nights = replay.read(
        write(HEAD, "m,b,2026-01-02T00:30:00+02:00,11", "m,b,2026-01-01,9", "m,b,20260102,12")
    )

    assert [one.readings[0].values for one in nights] == [(9.0,), (11.0,), (12.0,)]
    assert changes.find(nights) == ()


def test_names_from_a_file_cannot_command_a_terminal(write):
    (night,) = replay.read(write(f"{HEAD},driver", "a\x1b[2Jb,c\x07,2026-01-01,9,\u202e1"))

    assert night.readings[0].series == "a\\x1b[2Jb"
    assert (night.phone, night.conditions) == ("c\\x07", (("driver", "\\u202e1"),))


def test_units_intervals_temperature_and_conditions_are_read(write):
    (night,) = replay.read(
        write(
            f"{HEAD},low_ms,high_ms,layers_npu,layers_gpu,layers_cpu,temperature_c,driver",
            "m,b,2026-01-01,10,9,11,0,40,2,31.5,1.3",
        )
    )

    (reading,) = night.readings
    assert (reading.low, reading.high, reading.units) == (9.0, 11.0, ("gpu", "cpu"))
    assert (night.temperature_c, night.conditions) == (31.5, (("driver", "1.3"),))


@pytest.mark.parametrize(
    ("lines", "error", "says"),
    [
        (["model,device,date"], ConfigError, "lacks latency_ms"),
        (["device,date,latency_ms"], ConfigError, "a column that names the series"),
        ([HEAD], ConfigError, "has no rows"),
        ([HEAD, "m,b,2026-01-01"], ConfigError, ":2: has not as many fields"),
        ([HEAD, "m,b,2026-01-01,10,11"], ConfigError, ":2: has not as many fields"),
        ([HEAD, "m,b,2026-01-01,fast"], ConfigError, ":2: latency_ms is 'fast'"),
        ([HEAD, "m,b,2026-01-01,nan"], MeasurementError, "nan is no measurement"),
        ([HEAD, "m,b,2026-01-01,0"], MeasurementError, "0.0 is no measurement"),
    ],
)
def test_wrong_files_are_refused_with_what_is_wrong(write, lines, error, says):
    with pytest.raises(error, match=says):
        replay.read(write(*lines))


def test_a_file_that_is_missing_damaged_or_no_text_is_refused(write, tmp_path):
    packed = tmp_path / "half.csv.gz"
    packed.write_bytes(gzip.compress(b"model,device,date,latency_ms\n" * 99)[:40])
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")

    for path, says in ((tmp_path / "no", "cannot be read"), (packed, "cannot be unpacked"),
                       (binary, "no UTF-8")):  # fmt: skip
        with pytest.raises(ConfigError, match=says):
            replay.read(path)


def test_a_file_that_unpacks_to_too_much_is_refused(write, monkeypatch):
    monkeypatch.setattr(replay, "_BYTES_MAX", 20)

    with pytest.raises(ConfigError, match="unpacks to more"):
        replay.read(write(HEAD, *step()))


def test_a_shared_finding_is_an_alarm_on_each_series_that_is_off_its_level(write):
    rows = [
        f"m{k},phone,2026-01-{day:02},{(10 + k) * (1.0 if day < 7 else 1.2 if k < 8 else 1.06)}"
        for day in range(1, 13)
        for k in range(10)
    ]
    nights = replay.read(write(HEAD, *rows))

    said = replay.alarms(nights)

    assert [one.kind for one in changes.find(nights)] == [changes.Kind.SHARED]
    assert {name for name, alarms in said.items() if alarms} == {f"phone m{k}" for k in range(8)}
    assert said["phone m0"] == (yardstick.Alarm(night=7, direction=1),)


def test_an_alarm_never_depends_on_later_nights(write):
    nights = replay.read(RECORDED)
    half = nights[: len(nights) // 2]

    whole, part = replay.alarms(nights), replay.alarms(half)

    assert all(whole[name][: len(alarms)] == alarms for name, alarms in part.items())


def test_the_rule_keeps_its_aims_on_the_recorded_nights():
    """The figures are in docs/regressions.md; the aims are those the rule was chosen for."""
    nights = replay.read(RECORDED)
    series, said = replay.records(nights), replay.alarms(nights)

    result = yardstick.score(series, [said[one.name] for one in series])

    assert (result.units, result.units_found) == (185, 185)
    assert result.step_share is not None
    assert result.step_share >= 0.95
    assert result.false_per_1000 is not None
    assert result.false_per_1000 <= 10
    assert result.right_share is not None
    assert result.right_share >= 0.90


def test_replay_prints_every_rule_and_says_what_is_not_installed(write, capsys, monkeypatch):
    missing = peers.Peer(name="other engine", changes=None)
    monkeypatch.setattr(peers, "every", lambda: (missing,))

    with pytest.raises(SystemExit) as end:
        cli.main(["history", "replay", str(write(HEAD, *step())), "--findings"])

    printed = capsys.readouterr().out
    assert end.value.code == 0
    assert "phone: m +20.0% (10 -> 12) since 2026-01-07" in printed
    assert "1 lasting steps and 0 unit changes in 6 series-nights" in printed
    assert "100.0%" in next(line for line in printed.splitlines() if "this harness" in line)
    assert "not installed" in next(line for line in printed.splitlines() if "other" in line)


def test_replay_prints_json(write, capsys, monkeypatch):
    monkeypatch.setattr(peers, "every", tuple)

    with pytest.raises(SystemExit):
        cli.main(["history", "replay", str(write(HEAD, *step())), "--json"])

    assert json.loads(capsys.readouterr().out)["rules"][0]["score"]["steps_found"] == 1


def test_a_wrong_file_ends_the_command_with_2(write, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["history", "replay", str(write(HEAD))])

    assert end.value.code == 2
    assert "has no rows" in capsys.readouterr().err
