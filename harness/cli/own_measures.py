"""A team's own measures: of installed packages, and of the conftest of the folder it works in."""

import contextlib
import io
from collections.abc import Collection

import pytest

from harness import measures
from harness.errors import ConfigError
from harness.measures import Measured


class _Listener:
    """What asks a project's conftests for their measures, and ends before a test is collected."""

    def __init__(self) -> None:
        self.found: dict[str, Measured] = {}

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Take what the conftests name."""
        for named in session.config.hook.pytest_harness_measures():
            self.found.update(named)
        pytest.exit("asked", returncode=0)


def registered(wanted: Collection[str]) -> dict[str, Measured]:
    """Return the measures that are registered here; conftests are asked for what packages lack.

    Args:
        wanted: Names that limits ask for.

    Raises:
        ConfigError: a measure of a package, or a conftest, cannot be imported.
    """
    found = dict(measures.installed())
    if set(wanted) <= set(found):
        return found
    listener, said = _Listener(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main(["-q", "-p", "no:cacheprovider", "--collect-only"], plugins=[listener])
    if code != pytest.ExitCode.OK:
        last = [line for line in said.getvalue().splitlines() if line.strip()][-1:]
        raise ConfigError(f"the conftest here cannot be asked for measures: {' '.join(last):.300}")
    return found | listener.found
