"""Tests of the command as a program: exit codes, help, devices, doctor."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness import __version__, cli
from tests import models, tiny


def _program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed console script without a terminal."""
    script = Path(sys.executable).parent / "harness"
    return subprocess.run(
        [script, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_the_program_ends_with_0_for_an_answer(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(models.conv_net())

    done = _program("inspect", "m.tflite", cwd=tmp_path)

    assert done.returncode == 0
    assert "CONV_2D" in done.stdout
    assert done.stderr == ""


def test_the_program_ends_with_2_and_one_line_for_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(models.conv_net()[:300])

    done = _program("inspect", "m.tflite", cwd=tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("harness: m.tflite: ")


def test_the_program_refuses_to_bless_without_a_terminal(golden_dir: Path) -> None:
    before = (golden_dir / tiny.NAME / "baselines.json").read_bytes()

    done = _program("bless", tiny.NAME, "--device=pixel4", cwd=golden_dir.parent)

    assert done.returncode == 2
    assert "no terminal to ask on; add --yes" in done.stderr
    assert (golden_dir / tiny.NAME / "baselines.json").read_bytes() == before


def test_python_m_harness_is_the_same_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "--version"], cwd=tmp_path, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip

    assert done.stdout == f"harness {__version__}\n"


def test_the_program_ends_quietly_when_its_reader_goes(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(models.unet(levels=4, size_px=64))
    script = Path(sys.executable).parent / "harness"

    done = subprocess.run(
        f"'{script}' inspect m.tflite --json | head -1", shell=True, cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["fly"], ["inspect"], ["bless"]])
def test_a_wrong_command_line_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command(*arguments) == 2
    assert "usage: harness" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code = tiny.command("--help")

    out = capsys.readouterr().out
    assert code == 0
    for name in ("devices", "doctor", "inspect", "init", "bless"):
        assert f"\n    {name} " in out


def test_devices_lists_each_phone_with_its_delegates(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    code = tiny.command("devices")

    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("pixel4 ")]
    assert code == 0
    assert len(rows) == 1
    assert "Snapdragon 855 (SM8150)" in rows[0]
    assert "nnapi, gpu, cpu" in rows[0]


def test_devices_of_a_missing_folder_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command("devices", "--profiles", tmp_path / "nowhere")

    assert code == 2
    assert "no such folder of device profiles" in capsys.readouterr().err


def test_doctor_says_what_runs_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    code = tiny.command("doctor")

    assert code == 0
    assert "ai-edge-litert" in capsys.readouterr().out


def test_doctor_puts_the_remedy_below_what_it_adds_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("HARNESS_BENCHMARK_TOOL", raising=False)
    monkeypatch.setenv("PATH", "")

    tiny.command("doctor")

    lines = capsys.readouterr().out.splitlines()
    lacking = [number for number, line in enumerate(lines) if line.startswith("lacks ")]
    assert lacking
    assert all(lines[number + 1].startswith("      to add it: ") for number in lacking)
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("name", sorted(cli.EXAMPLES))
def test_the_help_of_a_command_ends_with_an_example_that_parses(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = shlex.split(cli.EXAMPLES[name])

    assert tiny.command(name, "--help") == 0
    assert f"example: {cli.EXAMPLES[name]}" in " ".join(capsys.readouterr().out.split())
    assert (program, words[0]) == ("harness", name)
    assert cli.parser().parse_args(words).run


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("ledger", "default .results/ledger.jsonl"),
        ("train", "of weights, patches and order, default 1"),
        ("compare", "10 runs on 4 threads in fp16"),
    ],
)
def test_help_says_what_a_default_is(
    command: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny.command(command, "--help") == 0
    assert says in " ".join(capsys.readouterr().out.split())
