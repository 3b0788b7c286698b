"""Tests of `harness nightly`: a whole night, its exit codes, and who is told what."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

import harness
from harness import results
from harness.history.entries import RunEntry
from harness.history.store import Store
from harness.nightly import lock
from tests import phones, tiny
from tests.servers import Answer, web_server

pytestmark = pytest.mark.history

GATE = ("--", "test_fallback.py", "--harness-subject=unet.fp32", "--harness-origin=emulated")


@pytest.fixture
def lab(blessed_golden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to spend nights in, with a phone in its ini key."""
    shutil.copytree(blessed_golden, tmp_path / "golden")
    (tmp_path / "pytest.ini").write_text("[pytest]\nnightly =\n    --device=pixel4\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:benchmark")
    return tmp_path


def night(*arguments: str) -> int:
    return tiny.command("nightly", *arguments, *GATE)


def test_a_night_is_judged_kept_drawn_and_told(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", "SECRET-KEY")
    with web_server(Answer(status=500), Answer()) as server:
        monkeypatch.setenv("HOOK", server.address)
        code = night("--webhook=json env:HOOK", "--webhook-key=env:KEY")

    assert code == 0
    told = json.loads(server.requests[1].body)["summary"]
    run = results.load(results.latest(lab))
    assert (told["outcome"], told["run"]) == ("PASS", run.run.id)
    assert any("pixel4:nnapi (RULES)" in line for line in told["left_out"]), told["left_out"]
    assert server.requests[1].headers["webhook-signature"].startswith("v1,")
    with Store.open(str(lab / ".results" / "history.db")) as store:
        assert [one.id for one in store.runs()] == [run.run.id]
    assert b"<html" in (lab / ".results" / "nightly.html").read_bytes()
    said = capsys.readouterr()
    assert said.out.startswith("PASS: ")
    for path in (path for path in lab.rglob("*") if path.is_file()):
        assert b"SECRET" not in path.read_bytes(), path
    assert "SECRET" not in said.out + said.err


def test_a_failed_gate_ends_the_night_with_1_and_is_told(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.edit(lab / "golden" / "unet" / "subject.toml", "latency_ms = 1000", "latency_ms = 0.001")
    with web_server(Answer()) as server:
        monkeypatch.setenv("HOOK", server.address)
        code = tiny.command(
            "nightly", "--webhook=slack env:HOOK", "--", "test_latency.py",
            "--harness-origin=emulated",
        )  # fmt: skip

    assert code == 1
    assert json.loads(server.requests[0].body)["text"].startswith("FAIL: latency")


def test_a_new_regression_ends_the_night_with_1(lab: Path) -> None:
    shown = ("--", "test_file_size.py", "--harness-subject=unet.fp32")
    tiny.edit(
        lab / "golden" / "unet" / "subject.toml",
        "latency_ms = 1000",
        "latency_ms = 1000\nfile_size_mib = 10",
    )
    assert tiny.command("nightly", *shown) == 0
    subject = lab / "golden" / "unet" / "subject.toml"
    model = lab / "golden" / "unet" / "fp32.tflite"
    old = hashlib.sha256(model.read_bytes()).hexdigest()
    model.write_bytes(model.read_bytes() + b"\x00" * 4096)
    tiny.edit(subject, old, hashlib.sha256(model.read_bytes()).hexdigest())

    assert tiny.command("nightly", *shown) == 1


def test_a_night_without_a_run_ends_with_2_and_is_told(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with web_server(Answer()) as server:
        monkeypatch.setenv("HOOK", server.address)
        code = night("--device=pixel99", "--webhook=teams env:HOOK")

    assert code == 2
    assert "pixel99" in capsys.readouterr().out
    assert b"there is no run" in server.requests[0].body


def test_a_night_that_nobody_could_be_told_of_ends_with_2(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with web_server(Answer(status=403)) as server:
        monkeypatch.setenv("HOOK", server.address)
        assert night("--webhook=slack env:HOOK") == 2

    assert "not told: slack webhook: 127.0.0.1" in capsys.readouterr().err


def test_a_second_night_at_the_same_time_is_refused_in_one_line(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock.held(lab):
        assert night() == 2

    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "a nightly run is under way here: process" in said
    assert results.all_runs(lab) == []


def test_what_is_missing_is_found_before_anything_is_measured(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert night("--webhook=slack env:NOT_THERE") == 2
    assert night("--webhook=irc env:HOOK") == 2
    assert night("--mail-to=a@b.example") == 2
    assert night("--limit-h=0") == 2
    assert results.all_runs(lab) == []
    assert len(capsys.readouterr().err.splitlines()) == 4


def test_a_wrong_ini_key_is_one_line(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "pytest.ini").write_text("[pytest]\nnightly =\n    --devise=pixel4\n")

    assert night() == 2
    assert capsys.readouterr().err.startswith("harness: ini key nightly: ")


def test_an_inconclusive_night_ends_with_3_under_strict(lab: Path) -> None:
    shutil.move(lab / "golden" / "unet" / "baselines.json", lab / "baselines.json")
    arguments = ("--", "test_regression.py", "--harness-origin=emulated")

    assert tiny.command("nightly", *arguments) == 0
    assert tiny.command("nightly", "--strict", *arguments) == 3


KILLS_ITSELF_ONCE = """
import os, signal
from pathlib import Path

def pytest_runtest_logfinish(nodeid):
    once = Path("killed")
    if not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def plug_in(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Make code a plugin of every pytest that is started from here."""
    (folder / "planted.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{Path(harness.__file__).parents[1]}")
    monkeypatch.setenv("PYTEST_PLUGINS", "planted")


def test_a_pytest_that_breaks_off_is_resumed_once(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_in(lab, monkeypatch, KILLS_ITSELF_ONCE)

    assert tiny.command("nightly", "--", "test_latency.py", "--harness-origin=emulated") == 0

    first, second = map(results.load, results.all_runs(lab))
    assert first.end is None
    assert second.plans[0].resumes == first.run.id
    assert "broke off once and was resumed" in capsys.readouterr().out
    with Store.open(str(lab / ".results" / "history.db")) as store:
        assert [one.id for one in store.runs()] == [second.run.id]


def test_a_run_that_takes_too_long_is_stopped_and_told(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plug_in(
        lab,
        monkeypatch,
        "import time\ndef pytest_runtest_logfinish(nodeid):\n    time.sleep(600)\n",
    )

    assert night("--limit-h=0.005") == 2

    assert "no answer within" in capsys.readouterr().out


@pytest.mark.adb
def test_what_a_phone_measured_off_its_level_is_measured_again_the_same_night(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        phones.default_server(lab) as server,
        phones.with_tool(lab / "phone", server) as fake,
    ):
        asked = (
            "--", f"--harness-serial={fake.serial}", "--harness-subject=unet.fp32",
            "test_latency.py", "test_fallback.py",
        )  # fmt: skip
        tiny.command("nightly", "--history=kept.db", *asked)
        with Store.open(str(lab / "kept.db")) as store:
            (first,) = store.runs()
        faster = [
            replace(fact, value=fact.value / 20, low=None, high=None)
            for fact in first.facts
            if fact.series.metric == "latency_ms"
        ]
        assert faster
        with Store.open(str(lab / "seeded.db")) as store:
            for night in range(1, 4):
                when = datetime.now(UTC) - timedelta(days=night)
                entry = RunEntry(id=f"n{night}", time_utc=when.isoformat(), facts=tuple(faster))
                store.add(entry)
        capsys.readouterr()
        tiny.command("nightly", "--history=seeded.db", *asked)

    with Store.open(str(lab / "seeded.db")) as store:
        tonight = list(store.runs())[-1]
    again = [fact.series for fact in tonight.facts if fact.attempt > 0]
    assert again == [fact.series for fact in faster]
    path = results.of_id(lab, f"{tonight.id}-again")
    assert path is not None
    assert {record.test.split("::")[0] for record in results.load(path).records} == {
        "test_latency.py"
    }
    said = capsys.readouterr().out
    assert "1 number off the level: measured again tonight, 1 taken" in said
    assert "worse" in said


def test_a_deviation_that_may_stay_and_is_over_or_not_needed_is_said(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lab / "golden" / "unet" / "baselines.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    one = next(b for b in data["baselines"] if b["metric"] == "cpu_ops")
    for until in ("2001-01-01", "2999-12-31"):
        data["baselines"].append(one | {"until": until, "because": "a bug", "value": 9.0})
    path.write_text(json.dumps(data), encoding="utf-8")

    tiny.command("nightly", "--", "test_regression.py", "--harness-origin=emulated")

    said = capsys.readouterr().out
    assert "unet, let stay and expired: fp32 on pixel4:nnapi 64x64 cpu_ops 9" in said
    assert "let stay and unused, the run passed without it" in said
