"""A profile or subject that is wrong is one error at load, which names the file and the key."""

import re
from pathlib import Path

import pytest

from harness import profiles
from harness.errors import ConfigError
from tests import tiny

SHIPPED = (profiles.shipped_folder() / "pixel4.toml").read_text(encoding="utf-8")


def load(folder: Path, pattern: str, replacement: str) -> None:
    """Load pixel4's profile with one line changed."""
    edited, count = re.subn(pattern, lambda _: replacement, SHIPPED, count=1, flags=re.MULTILINE)
    assert count == 1
    (folder / "pixel4.toml").write_text(edited, encoding="utf-8")
    profiles.load_all([folder])


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ("zz", "'zz' is not a hex mask"),
        ("0xf0", "'0xf0' is not a hex mask"),
        ("-1", "is not a hex mask"),
        ("f0; reboot", "is not a hex mask"),
        ("f" * 40, "is not a hex mask"),
        ("ff", "is of 8 cores, and cores = 4"),
        ("0", "is of 0 cores"),
    ],
)
def test_a_mask_that_is_none_of_its_cores(mask: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"pixel4.toml: cpu\[0\]: taskset_mask: .*{words}"):
        load(tmp_path, r'^taskset_mask = ".*"$', f'taskset_mask = "{mask}"')


def test_a_core_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cpu\[0\]: uarch: no core 'cortex-z99' is known; known"):
        load(tmp_path, r'^uarch = ".*"$', 'uarch = "cortex-z99"')


def test_a_core_may_be_said_to_be_unknown(tmp_path: Path) -> None:
    load(tmp_path, r'^uarch = ".*"$', 'uarch = "unknown"')


@pytest.mark.parametrize("name", ["\\u001b[2J", "a\\nb", "\\u202e4lexip", "\\u0000"])
def test_a_string_that_cannot_be_printed(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pixel4.toml: title: .* cannot be printed"):
        load(tmp_path, r'^title = ".*"$', f'title = "{name}"')


@pytest.mark.parametrize("opening", ["x = " + "[" * 100_000, "x = " + '{a="' * 50_000])
def test_toml_without_end(opening: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep.toml").write_text(opening)

    assert tiny.command("devices", "--profiles", tmp_path) == 2

    assert "deep.toml: not valid TOML" in capsys.readouterr().err
