"""Tests of what a person says to a host of a farm."""

from pathlib import Path

import pytest

from harness import cli
from harness.farm.quarantine import Quarantine


def _farm(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["farm", "quarantine", *arguments])
    return int(ended.value.code or 0)


def test_a_phone_is_left_alone_by_hand_and_let_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = f"--folder={tmp_path}"

    assert _farm("add", "A1", "--because", "lent out", folder) == 0
    assert Quarantine(tmp_path).cases()["A1"].by_hand
    assert _farm("list", folder) == 0
    assert "A1: lent out (by hand)" in capsys.readouterr().out

    assert _farm("remove", "A1", folder) == 0
    assert Quarantine(tmp_path).cases() == {}


@pytest.mark.parametrize(
    "arguments", [("remove", "A1"), ("add", "A1", "--because", " ")], ids=["not in", "no reason"]
)
def test_what_cannot_be_done_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert _farm(*arguments, f"--folder={tmp_path}") == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 1
