"""Golden screens of a farm's status; `--snapshot-update` accepts what differs."""

import pytest
from syrupy.assertion import SnapshotAssertion

from tests import screens
from tests.screens import WIDTHS

pytest.importorskip("distributed")

from harness.cli import farm
from harness.farm.fleet import Fleet, QuarantinedPhone, StationState

pytestmark = pytest.mark.farm


@pytest.mark.parametrize("width", WIDTHS)
def test_a_status_is_its_golden_screen(width: int, snapshot: SnapshotAssertion) -> None:
    fleet = Fleet(
        stations={
            name: StationState(
                name=name, kind="pixel4", version="v", answered=8, failed=2, busy_s=busy_s, queued=1
            )
            for name, busy_s in (("bench1/9A281FFAZ004WX", 12.0), ("bench1/emulated", None))
        },
        quarantined=(
            QuarantinedPhone(
                host="bench1", serial="9A281FFAZ0", kind="galaxy_s24",
                why="48.1 °C after ten minutes, at most 43 °C",
            ),
        ),
        hosts=("bench1",),
    )  # fmt: skip

    assert screens.screen(farm.table_of(fleet), width=width) == snapshot
