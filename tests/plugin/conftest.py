"""Keep the inner runs of pytest quick."""

import pytest


@pytest.fixture(autouse=True)
def _only_needed_plugins(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out plugins that take longer to load than a test takes to run."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:benchmark -p no:syrupy")
