"""Histories to test with: an SQLite file, and a PostgreSQL server where it is installed."""

import itertools

import pytest

from tests import needs, postgres


@pytest.fixture(scope="session")
def server():
    needs.installed(postgres.missing())
    with postgres.server() as running:
        yield running


_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    return request.getfixturevalue("server").database(f"history{next(_numbers)}")
