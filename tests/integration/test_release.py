"""What is built for a release: its version, its files, and that it runs without the checkout."""

import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from harness import __version__, child
from tests import needs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs.package("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    code = f"import hatchling.build as b; print(b.build_wheel({str(folder)!r}))"
    done = child.run([sys.executable, "-c", code], stage="build", timeout_s=300, cwd=ROOT)
    assert done.exit_code == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_the_version_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        about = Parser().parsestr(archive.read(name).decode())

    assert about["Version"] == __version__


def test_the_wheel_has_what_the_package_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    for name in (
        "harness/device_profiles/pixel4.toml",
        "harness/py.typed",
        "harness/gates/test_latency.py",
        "harness/report/page/templates/page.html.j2",
        "harness/report/templates/badge.svg.j2",
        "harness/history/store/migrations/env.py",
    ):
        assert name in names
    assert not [name for name in names if name.startswith(("tests/", "golden/", "docs/"))]


def test_the_command_of_the_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    env = {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-P", "-m", "harness", "devices"]

    done = child.run(command, stage="harness", timeout_s=120, env=env, cwd=tmp_path)

    assert done.exit_code == 0, done.stderr
    assert "pixel4" in done.stdout
