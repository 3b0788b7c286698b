"""Golden screens of what a history tells; `--snapshot-update` accepts what differs."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests import screens, tiny
from tests.screens import WIDTHS

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

from harness.history.store import Store
from tests.unit.history.test_news import fact, key, run

pytestmark = pytest.mark.history


@pytest.mark.parametrize("width", WIDTHS)
def test_a_check_is_its_golden_screen(
    width: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: SnapshotAssertion,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    address = str(tmp_path / "history.db")
    many = [key(index) for index in range(12)]
    with Store.open(address) as store:
        store.add(run(0, *(fact(10.0, one) for one in many), fact(40.0, key(metric="psnr_db"))))
        moved = [fact(11.5, one, harness="0.2.0") for one in many]
        store.add(run(1, *moved, fact(35.0, key(metric="psnr_db"), outcome="FAIL")))

    tiny.command("history", "check", "--history", address)

    assert screens.trimmed(capsys.readouterr().out) == snapshot
