"""The commands of the latency models print what their functions find."""

import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness import child, graph, ledger, schema
from harness.devices import measured
from harness.errors import DeviceError
from harness.evidence import Evidence, Provenance, sha256_of
from harness.graph import Graph
from harness.lab import local
from harness.latency import Latency, summarize
from harness.ledger import Entry
from harness.model import Model
from harness.placement import Placement
from harness.profiles import EstimateConstants
from tests import models
from tests.tiny import command
from tests.unit.estimate import phones


def printed_by(capsys: pytest.CaptureFixture[str]) -> str:
    """Return standard output with its line breaks taken as spaces."""
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.tflite"
    path.write_bytes(models.unet(upsampling="TRANSPOSE_CONV"))
    return path


def test_advise_ranks_and_answers_a_budget(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("advise", model, "--device=pixel4", "--budget-ms=50", "--json") == 0

    answer = json.loads(capsys.readouterr().out)
    gains = [one["gain_share"] for one in answer["advice"]]
    assert gains == sorted(gains, reverse=True)
    assert answer["advice"][0]["rewrite"].startswith("TRANSPOSE_CONV")
    assert answer["limits"]["pixel4:nnapi"][0]["size"]["width_px"] > 16


def test_advise_prints_a_table(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("advise", model, "--device=pixel4", "--size=32x32") == 0

    printed = printed_by(capsys)
    assert "pixel4:nnapi" in printed
    assert "2 -> 0" in printed
    assert "train the changed network" in printed


def test_advise_gives_an_interval_where_the_phone_has_figures(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("advise", model, "--device=pixel4", "--budget-ms=50", "--json") == 0

    answer = json.loads(capsys.readouterr().out)
    (before,) = {effect["before"]["estimate_ms"] for effect in answer["advice"][0]["effects"]}
    largest = answer["limits"]["pixel4:nnapi"][0]["estimate"]
    assert answer["advice"][0]["effects"][0]["before"]["low_ms"] < before
    assert largest["high_ms"] <= 50.0


def test_advise_answers_no_budget_for_a_phone_without_figures(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert command("advise", model, "--device=mate30pro", "--budget-ms=50") == 0

    printed = printed_by(capsys)
    assert "relative: x 0." in printed
    assert "mate30pro:nnapi is relative only: no figure of mate30pro is public" in printed
    assert "mate30pro:nnapi in 50 ms: no answer" in printed
    assert "attach this phone" in printed
    assert "largest resolution" not in printed


def test_advise_without_a_rewrite_speaks_of_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wide.tflite"
    path.write_bytes(models.conv_net(channels=32))

    assert command("advise", path, "--device=pixel4") == 0

    printed = printed_by(capsys)
    assert "no rewrite applies to this model" in printed
    assert "Estimates of rewritten files" not in printed


def test_advise_leaves_out_a_phone_of_which_nothing_can_be_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "int8.tflite"
    path.write_bytes(models.unet(upsampling="TRANSPOSE_CONV", dtype="int8"))
    alone = command("advise", path, "--device=find_x7:npu")  # it has no constants
    why = capsys.readouterr().err

    both = command("advise", path, "--device=find_x7:npu,pixel4:nnapi")

    said = capsys.readouterr()
    assert (alone, both) == (2, 0)
    assert said.err == why.replace("harness: ", "Left out find_x7:npu: ", 1)
    assert "pixel4:nnapi" in said.out
    assert "find_x7" not in said.out


def test_advise_reads_each_graph_once_and_starts_a_worker_a_stack(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    started: Counter[str] = Counter()
    start = child.start

    def parse(data: bytes, **options: Any) -> Graph:
        read[sha256_of(data)] += 1
        return graph.parse(data, **options)

    def started_as(command: list[str], **options: Any) -> child.Process:
        started[command[-1]] += 1
        return start(command, **options)

    monkeypatch.setattr("harness.model.parse", parse)
    monkeypatch.setattr(child, "start", started_as)

    assert command("advise", model, "--device=pixel4:cpu,pixel4:nnapi", "--budget-ms=50") == 0

    assert len(read) > 3
    assert set(read.values()) == {1}
    assert all(count == 1 for count in started.values())


def test_advise_refuses_a_budget_of_nothing(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("advise", model, "--device=pixel4", "--budget-ms=0") == 2
    assert "a budget is more than 0 ms" in capsys.readouterr().err


def test_calibrate_prints_an_entry_for_the_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["model,precision,device,latency_ms", "mobilenet_v1,float,mine,14.0",
            "squeezenet1_0,float,mine,23.9", "resnet18,float,mine,40.0"]  # fmt: skip
    path = tmp_path / "figures.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")

    code = command(
        "calibrate", "--device=pixel4:cpu", "--figures", path, "--rows-of=mine", "--source=me"
    )

    printed = capsys.readouterr()
    assert code == 0
    entry = schema.parse(
        EstimateConstants, tomllib.loads(printed.out)["estimates"][0], where="printed"
    )
    assert (entry.delegate, entry.rows, entry.source) == ("cpu", 3, "me")
    assert "held out by family: 3 rows" in printed.err


def test_calibrate_checks_the_profiles_constants_on_new_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["model,precision,device,latency_ms", "mobilenet_v1,float,mine,14.0",
            "squeezenet1_0,float,mine,23900.0", "resnet18,float,theirs,40.0"]  # fmt: skip
    path = tmp_path / "figures.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")

    code = command("calibrate", "--check", "--device=pixel4:cpu", "--figures", path,
                   "--rows-of=mine")  # fmt: skip

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert "outside" not in lines[1]
    assert lines[2].split()[0] == "squeezenet1_0"
    assert lines[2].split()[-2:] == ["outside", "-100%"]
    assert "2 rows" in lines[3]
    assert "1 of 2 inside the interval" in lines[3]


class Unplugged:
    """Answer as a phone that is gone after some networks, and cannot be tidied up either."""

    fingerprint = "a phone of glass"
    stands_in = False

    def __init__(self, networks: int) -> None:
        self._left = networks

    def place(self, model: Model) -> Placement:
        return phones.place(model.graph, unit="xnnpack")

    def time(self, model: Model, *, limits_ms: Sequence[float] = ()) -> Latency:
        self._left -= 1
        if self._left < 0:
            raise DeviceError("it is gone")
        provenance = Provenance(evidence=Evidence.FAKE, device="", variant_sha256="")
        return summarize([1.0], first_ms=1.0, init_ms=1.0, provenance=provenance)

    def close(self) -> None:
        raise DeviceError("it is still gone")


@pytest.mark.parametrize(("networks", "printed"), [(12, "rows = 12"), (3, "")])
def test_calibrate_keeps_what_was_timed_before_the_phone_was_unplugged(
    networks: int, printed: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(local, "connect", lambda *_, **__: Unplugged(networks))

    assert command("calibrate", "--device=pixel4:cpu") == 2

    said = capsys.readouterr()
    assert printed in said.out
    assert bool(said.out) == bool(printed)
    assert f"{networks} of 80: " in said.err
    assert "gone" in said.err
    assert ("rests on the 12 networks" in said.err) == bool(printed)


@pytest.mark.parametrize("asked", ["compare", "calibrate"])
def test_without_a_phone_no_option_is_advised_that_the_command_lacks(
    asked: str, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measured, "attached", lambda *_, **__: [])
    monkeypatch.setattr(measured, "unusable", lambda *_: [])
    models = [model, model] if asked == "compare" else []

    assert command(asked, *models, "--device=pixel4:cpu") == 2

    said = capsys.readouterr().err
    assert "no attached phone fits" in said
    assert "harness fake-phone" in said
    assert "--origin" not in said


def test_calibrate_from_figures_wants_the_phones_name_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("calibrate", "--device=pixel4:cpu", "--figures", tmp_path / "none.csv") == 2
    assert "--rows-of" in capsys.readouterr().err


def test_the_ledger_warns_of_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ledger.jsonl"
    assert command("ledger", path) == 0
    assert "no estimate has met a measurement yet" in printed_by(capsys)
    for _ in range(5):
        ledger.append(
            path,
            Entry(
                device="pixel4", delegate="nnapi", variant_sha256="a", resolution="256x256",
                estimate_ms=15.0, low_ms=12.0, high_ms=18.0, measured_ms=10.0,
            ),
        )  # fmt: skip

    assert command("ledger", path) == 0

    printed = printed_by(capsys)
    assert "+50%" in printed
    assert "pixel4:nnapi has drifted" in printed


def test_measuring_for_the_ledger_wants_a_phone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.jsonl"

    assert command("ledger", path, "--measure=deblur_unet") == 2
    assert "--measure wants --device" in capsys.readouterr().err
    assert not path.exists()
