"""Bring the facts of a run into a PostgreSQL that is killed and started again meanwhile."""

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

from harness.fact_lines import Taken
from harness.history.store import Store
from harness.plugin.outbox import Outbox, plan_of
from tests import needs, phones, postgres

pytestmark = [pytest.mark.history, pytest.mark.slow]


def _taken(request: str) -> Taken:
    return Taken(
        device="d", delegate="gpu", subject="s", variant="v", resolution="8x8", frame="",
        request=request, verb="place", file_sha256="0" * 64,
    )  # fmt: skip


def test_no_fact_is_missed_while_the_database_is_down() -> None:
    needs.installed(postgres.missing())
    asked = [f"request {number}" for number in range(30)]
    with postgres.server() as server:
        address = server.database("night")
        outbox = Outbox("run", plan_of(["t"], {}), store=lambda: Store.open(address), again_s=0.2)
        outbox.ask(asked)

        for number, request in enumerate(asked):
            outbox.take(_taken(request))
            if number == 10:
                phones.wait_until(lambda: len(_lines(address)) > 5)
                server.kill()
            if number == 20:
                server.start()
        outbox.close(limit_s=60.0)

        with Store.open(address) as store:
            run, lines = store.left(plan_of(["t"], {}))
    assert run == "run"
    assert len(lines) == len(set(lines)) == len(asked)


def _lines(address: str) -> tuple[str, ...]:
    with Store.open(address) as store:
        return store.left(plan_of(["t"], {}))[1]
