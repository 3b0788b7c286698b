"""Find what a fake phone's drivers are made to compute wrongly, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import schema
from harness.cli import main
from harness.devices.drivers import check, graphs
from harness.devices.drivers.check import Report
from harness.devices.measured import Phone
from tests import phones
from tests.phones import Plugged

pytestmark = pytest.mark.slow

CASES = {case.name: case for case in graphs.probes()}
FEW = [CASES[name] for name in ("pad_rank_3", "sum_past_fp16", "matmul_of_40")]


@pytest.fixture
def plugged(tmp_path: Path) -> Iterator[Plugged]:
    with (
        phones.default_server(tmp_path) as server,
        phones.with_tool(tmp_path / "phone", server) as fake,
    ):
        yield fake


def examine(plugged: Plugged, *, litert: bool = False) -> Report:
    def phone(delegate: str) -> Phone:
        tool = plugged.folder.litert_tool if litert else plugged.folder.tool
        return plugged.phone(delegate, tool=tool)

    return check.run(phone, ["gpu", "gpu-fp32"], FEW)


@pytest.mark.parametrize("litert", [False, True])
def test_each_planted_fault_is_found_in_the_precision_that_it_is_planted_in(
    plugged: Plugged, litert: bool
):
    plugged.folder.switch(wrong_ops=("PAD", "SUM:fp16"))

    report = examine(plugged, litert=litert)

    wrong = {
        (name, delegate)
        for name, row in report.found.items()
        for delegate, one in row.items()
        if one.wrong
    }
    assert wrong == {("pad_rank_3", "gpu"), ("pad_rank_3", "gpu-fp32"), ("sum_past_fp16", "gpu")}
    assert str(report.found["pad_rank_3"]["gpu"]) == "WRONG: 100% off"
    assert str(report.found["matmul_of_40"]["gpu"]) == "right"


def test_what_the_driver_leaves_to_the_cpu_is_not_called_right(plugged: Plugged):
    plugged.folder.switch(refused_ops=("BATCH_MATMUL",), wrong_ops=())

    found = examine(plugged).found["matmul_of_40"]["gpu"]

    assert str(found) == "BATCH_MATMUL left to the CPU"
    assert not found.wrong


def test_a_driver_that_answers_otherwise_the_second_time_is_found(plugged: Plugged):
    plugged.folder.switch(later_error=0.5)

    found = examine(plugged).found["pad_rank_3"]["gpu"]

    assert found.relative_l2 == 0.0
    assert found.wrong
    assert str(found).endswith("apart between two inferences")


def test_doctor_prints_the_table_and_keeps_it_with_the_phones_fingerprint(
    plugged: Plugged,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graphs, "probes", lambda: tuple(FEW[:2]))
    plugged.folder.switch(wrong_ops=("PAD",))

    with pytest.raises(SystemExit) as ended:
        main(["doctor", f"--serial={plugged.serial}", "--gpu"])

    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "2 of 4 results are wrong" in said
    (kept,) = (tmp_path / ".results" / "drivers").iterdir()
    report = schema.load_json(Report, kept)
    assert plugged.serial in report.phone
    assert "fake/fake/33" in report.phone
    assert report.wrong == 2


def test_doctor_wants_to_know_which_phone(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--gpu"])

    assert ended.value.code == 2
    assert "--serial" in capsys.readouterr().err
