"""Tests of how facts are known."""

import subprocess
from pathlib import Path

import pytest

from harness import evidence
from harness.evidence import Evidence


def test_the_weakest_of_several_kinds_is_the_one_furthest_from_the_phone() -> None:
    kinds = [Evidence.HOST, Evidence.PHONE, Evidence.RULES, Evidence.VENDOR]

    assert evidence.weakest(kinds) is Evidence.RULES


def test_kinds_rank_as_the_spec_orders_them() -> None:
    order = [Evidence.PHONE, Evidence.VENDOR, Evidence.HOST, Evidence.RULES, Evidence.MODEL]

    assert sorted(order, key=lambda kind: kind.rank) == order


def test_what_a_fake_phone_says_is_weaker_than_anything_else() -> None:
    assert all(evidence.weakest([kind, Evidence.FAKE]) is Evidence.FAKE for kind in Evidence)


def test_the_hash_is_sha256() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    assert evidence.sha256_of(b"") == empty


def test_time_is_utc_to_the_second() -> None:
    stamp = evidence.now_utc()

    assert stamp.endswith("+00:00")
    assert "." not in stamp


def test_a_folder_outside_git_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert evidence.git_commit(tmp_path) == ""


def test_a_changed_tree_is_a_dirty_commit(tmp_path: Path) -> None:
    clean, dirty = tmp_path / "clean", tmp_path / "dirty"
    for folder in (clean, dirty):
        folder.mkdir()
        (folder / "file").write_text("1")
        _git(folder, "init", "--quiet")
        _git(folder, "add", ".")
        _git(
            folder, "-c", "user.name=t", "-c", "user.email=t@example.invalid",
            "commit", "--quiet", "--message=x",
        )  # fmt: skip
    (dirty / "file").write_text("2")

    assert len(evidence.git_commit(clean)) == 12
    assert evidence.git_commit(dirty).endswith("+dirty")


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True)
