"""The documentation site: `make docs` fails on a dead link."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from harness import child
from tests import needs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_site_is_built_and_a_dead_link_fails(tmp_path: Path) -> None:
    needs.package("mkdocs")
    needs.package("mkdocstrings")
    recipe = re.search(r"/mkdocs ([^#\n]*)", _makefile())
    assert recipe is not None
    arguments = recipe[1].split()
    for name in ("docs", "golden", "harness", ".ci"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    command = [sys.executable, "-m", "mkdocs", *arguments]
    env = {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(tmp_path)}

    whole = child.run(command, stage="mkdocs", timeout_s=300, env=env, cwd=tmp_path)
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write("[dead](nothing.md)\n")
    dead = child.run(command, stage="mkdocs", timeout_s=300, env=env, cwd=tmp_path)

    assert whole.exit_code == 0, whole.stderr[-2000:]
    assert (tmp_path / ".cache" / "site" / "reference" / "index.html").is_file()
    assert dead.exit_code == 1
    assert "nothing.md" in dead.stderr


def _makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")
