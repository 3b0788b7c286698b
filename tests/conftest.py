"""Share the cache of a test session, and a blessed subject.

pytest reads this file for `pytest --device=NAME` in this checkout too: nothing beyond the base
dependencies is imported at the top.
"""

import contextlib
import importlib
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# Imported here, once: runs of pytest inside pytest drop what they import themselves.
import harness.plugin.fixtures
import harness.plugin.reporting  # noqa: F401
from harness.stacks import xnnpack

pytest.register_assert_rewrite("tests.rulings")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail in CI where a module is skipped for want of a package, but not in `make test`."""
    report = yield
    left_out = collector.config.option.markexpr.startswith("not ")
    if report.skipped and os.environ.get("CI") and not left_out:
        report.outcome = "failed"
        report.longrepr = f"CI must run this module for real: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep this session's cache apart from the user's; the processes of pytest-xdist share it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(folder / "cache"))
        yield
        xnnpack.worker().close()


@pytest.fixture(scope="session")
def blessed_golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a golden folder with the tiny subject, blessed on pixel4; not to be changed."""
    from tests import tiny

    # Once, too: NumPy's native parts cannot be loaded again in a process.
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("scipy.ndimage")
        for part in ("color.colorconv", "filters._window", "metrics", "registration"):
            vars(importlib.import_module(f"skimage.{part}"))
    golden = tmp_path_factory.mktemp("blessed") / "golden"
    tiny.subject(golden, tmp_path_factory.mktemp("exports"))
    tiny.bless(golden)
    return golden


@pytest.fixture
def golden_dir(blessed_golden: Path, tmp_path: Path) -> Path:
    """Return a copy of the blessed golden folder that a test may change."""
    return Path(shutil.copytree(blessed_golden, tmp_path / "golden"))


@pytest.fixture
def project(blessed_golden: Path, pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a folder with a blessed golden/ of its own, to run pytest in."""
    shutil.copytree(blessed_golden, pytester.path / "golden")
    pytester.makeini("[pytest]\n")
    return pytester
