"""Tests of the units of docs/nightly/ under systemd's own checker."""

import shutil
from pathlib import Path

import pytest

from harness import child
from harness.child import Done
from tests import needs

pytestmark = pytest.mark.systemd

UNITS = Path(__file__).parents[2] / "docs" / "nightly"


def verify(folder: Path) -> Done:
    units = sorted(folder.glob("harness-nightly.*"))
    assert [unit.suffix for unit in units] == [".service", ".timer"]
    command = [needs.program("systemd-analyze"), "verify", "--man=no", *units]
    return child.run(command, stage="systemd-analyze", timeout_s=60)


def test_systemd_has_nothing_to_say_of_the_units() -> None:
    done = verify(UNITS)

    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("unit", "old", "new"),
    [
        ("harness-nightly.service", "NoNewPrivileges=", "NoNewPrivilages="),
        ("harness-nightly.service", "/usr/bin/env ", "/nonexistent/env "),
        ("harness-nightly.timer", "OnCalendar=*-*-* 02:00:00", "OnCalendar=at night"),
    ],
)
def test_a_mistake_in_a_unit_is_seen(tmp_path: Path, unit: str, old: str, new: str) -> None:
    for name in ("harness-nightly.service", "harness-nightly.timer"):
        shutil.copy(UNITS / name, tmp_path)
    text = (tmp_path / unit).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / unit).write_text(text.replace(old, new), encoding="utf-8")

    done = verify(tmp_path)

    assert done.exit_code != 0 or done.stderr


def test_the_service_gives_away_little() -> None:
    service = UNITS / "harness-nightly.service"
    command = [
        needs.program("systemd-analyze"), "security", "--offline=true", "--threshold=25", service,
    ]  # fmt: skip

    done = child.run(command, stage="systemd-analyze", timeout_s=60)

    assert done.exit_code == 0, done.stdout
