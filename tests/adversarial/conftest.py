"""Keep a fake phone plugged in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.devices.phone.adb import AdbServer
from tests import phones
from tests.phones import Plugged


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """Return a private adb server with a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        with phones.server() as private:
            yield private


@pytest.fixture
def plugged(server: AdbServer, tmp_path: Path) -> Iterator[Plugged]:
    """Return a fake phone that is plugged in, and seen by its server, for one test."""
    with phones.plugged(tmp_path / "phone", server) as fake:
        fake.connection.wait_ready(timeout_s=10.0)
        yield fake
