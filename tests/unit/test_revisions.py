"""Read an earlier version of the subjects."""

import subprocess
from pathlib import Path

import pytest

from harness import revisions, strictness, subjects
from harness.errors import ConfigError
from tests.unit.test_strictness import TARGETS, TOML, write


def git(folder: Path, *arguments: str) -> None:
    names = ["-c", "user.name=a test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


def test_an_earlier_version_is_read_from_git_without_touching_the_work_tree(
    tmp_path: Path,
) -> None:
    golden = write(tmp_path / "golden")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    write(golden, TOML.replace("42.0", "30.0"))
    (golden / "net" / "note.txt").write_text("mine", encoding="utf-8")

    with revisions.earlier(golden, "HEAD") as was:
        limits = subjects.load(was / "net").variants[0].limits
        found = [str(one) for one in strictness.between(was, golden, TARGETS)]

    assert limits.psnr_db == 42.0
    assert found == ["net: fp32: psnr_db 42 -> 30 in subject.toml on pixel4:nnapi, reno3:nnapi"]
    assert "30.0" in (golden / "net" / "subject.toml").read_text(encoding="utf-8")
    assert (golden / "net" / "note.txt").exists()


@pytest.mark.parametrize("revision", ["nothing", "--output=x", "HEAD:golden", ""])
def test_what_is_no_revision_is_refused(tmp_path: Path, revision: str) -> None:
    golden = write(tmp_path / "golden")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")

    with pytest.raises(ConfigError, match="git rev-parse"), revisions.earlier(golden, revision):
        pass
    assert not (golden / "x").exists()
