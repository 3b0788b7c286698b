"""Tests of `harness inspect`."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness import api, goldens, subjects
from harness.stacks import qnn
from harness.subjects import Subject
from tests import models, tiny

_MODELS = {
    "portable": models.unet(size_px=32),
    "transposed": models.unet(size_px=32, upsampling="TRANSPOSE_CONV"),
    "half_pixel": models.unet(size_px=32, half_pixel_centers=True),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with three models, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")
    for name, data in _MODELS.items():
        (tmp_path / f"{name}.tflite").write_bytes(data)
    return tmp_path


def test_a_model_alone_is_shown_op_by_op(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tiny.command("inspect", folder / "portable.tflite")

    out = capsys.readouterr().out
    assert code == 0
    assert "portable.tflite: 16 ops, 0.001 GMAC" in out
    assert out.count("RESIZE_BILINEAR") == 2
    assert "[1, 32, 32, 3] float32 -> [1, 32, 32, 3] float32" in out


def test_another_size_is_shown_at_that_size(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command("inspect", folder / "portable.tflite", "--size", "64x16")

    assert code == 0
    assert "[1, 16, 64, 3] float32 -> [1, 16, 64, 3]" in capsys.readouterr().out


def test_a_phone_shows_each_op_with_unit_reason_and_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command("inspect", folder / "transposed.tflite", "--device=pixel4")

    out = capsys.readouterr().out
    assert code == 0
    assert "2 on cpu" in out
    assert "[RULES]" in out
    assert "remedy: " in out
    assert sum("TRANSPOSE_CONV" in line and " cpu " in line for line in out.splitlines()) == 2


def test_a_phone_shows_milliseconds_their_interval_and_the_three_most_costly_ops(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.command("inspect", folder / "portable.tflite", "--device=pixel4:cpu", "--json")
    said = json.loads(capsys.readouterr().out)["estimates"]["pixel4:cpu"]
    tiny.command("inspect", folder / "portable.tflite", "--device=pixel4:cpu")
    row = capsys.readouterr().out.splitlines()[-1]

    ops = {label: share for label, share in said["shares"].items() if "#" in label}
    costly = sorted(ops, key=lambda label: -ops[label])[:3]
    assert row.startswith(f"pixel4:cpu  {said['estimate_ms']:.3g}")
    assert f"{said['low_ms']:.3g} to {said['high_ms']:.3g}" in row
    assert [row.index(label) for label in costly] == sorted(row.index(label) for label in costly)
    assert row.count("#") == 3


def test_relative_milliseconds_say_so_and_missing_ones_say_why(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qnn, "missing", lambda: "the compiler is not installed")

    tiny.command("inspect", folder / "portable.tflite", "--device=reno3:cpu,galaxy_s24")

    relative, unknown = capsys.readouterr().out.splitlines()[-2:]
    assert "(relative)" in relative
    assert "unknown" in unknown
    assert "the compiler is not installed" in unknown


def test_inspect_tells_bilinear_resizing_that_api_29_accepts_from_that_it_refuses(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.command("inspect", folder / "portable.tflite", "--device=pixel4")
    portable = capsys.readouterr().out
    tiny.command("inspect", folder / "half_pixel.tflite", "--device=pixel4")
    half_pixel = capsys.readouterr().out

    assert " on cpu" not in portable
    assert "2 on cpu" in half_pixel
    assert "half_pixel_centers" in half_pixel


def test_all_compares_every_delegate_of_every_phone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command("inspect", folder / "transposed.tflite", "--device=all")

    out = capsys.readouterr().out
    assert code == 0
    for target in ("pixel4:nnapi", "pixel4:cpu", "mate30pro:nnapi", "reno3:nnapi"):
        assert target in out


def test_what_is_not_known_does_not_look_like_no_cpu_op(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qnn, "missing", lambda: "the compiler is not installed")

    tiny.command("inspect", folder / "portable.tflite", "--device=galaxy_s24,pixel4:cpu")
    rows = [line for line in capsys.readouterr().out.splitlines() if "galaxy_s24" in line]
    tiny.command("inspect", folder / "portable.tflite", "--device=galaxy_s24")
    alone = capsys.readouterr().out

    row, estimated = rows
    assert estimated.split()[:2] == ["galaxy_s24:qnn", "unknown"]
    assert row.split()[:4] == ["galaxy_s24:qnn", "unknown", "unknown", "none"]
    assert "the compiler is not installed" in row
    assert "galaxy_s24:qnn: 16 of 16 ops unknown\n" in alone


def test_one_partition_is_not_plural(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.command("inspect", folder / "portable.tflite", "--device=pixel4")

    assert "; 1 partition [RULES]" in capsys.readouterr().out


def test_json_holds_the_same_for_machines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tiny.command("inspect", folder / "transposed.tflite", "--device=pixel4", "--json")

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert sum(op["macs"] for op in found["ops"]) == found["macs"]
    nodes = found["placements"]["pixel4:nnapi"]["nodes"]
    assert [node["index"] for node in nodes] == [op["index"] for op in found["ops"]]
    assert {node["op"] for node in nodes if node["unit"] == "cpu"} == {"TRANSPOSE_CONV"}
    assert all(node["reason"] for node in nodes if node["unit"] == "cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.tflite"], "harness: nowhere.tflite: cannot be read (No such file"),
        (["{}/portable.tflite", "--size", "12"], "harness: '12' is not a resolution"),
        (["{}/portable.tflite", "--size", "33x32"], "multiples of the model's total stride"),
        (["{}/portable.tflite", "--device", "pixel5"], "no device profile 'pixel5'; known: "),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code = tiny.command("inspect", *(text.format(folder) for text in arguments))

    err = capsys.readouterr().err
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_blessed_variant_shows_its_worst_psnr_to_the_fp32_goldens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = tiny.subject(tmp_path / "golden", tmp_path / "work")
    file = folder / "int8_ptq.tflite"
    wanted = min(_psnr_db(file, subjects.load(folder), frame) for frame in tiny.FRAMES)
    capsys.readouterr()

    tiny.command("inspect", file, "--device=pixel4:cpu", "--json")
    said = json.loads(capsys.readouterr().out)["fidelity"]["pixel4:cpu"]
    tiny.command("inspect", file, "--device=pixel4:cpu")
    *_, row, note = capsys.readouterr().out.splitlines()

    assert said["psnr_db"] == pytest.approx(wanted, abs=1e-6)
    assert said["frames"] == len(tiny.FRAMES)
    assert f"{wanted:.3g} HOST" in row
    assert "the worst of 2 golden frames" in note


def _psnr_db(file: Path, subject: Subject, frame: str) -> float:
    golden = goldens.load(subject, frame)
    with api.connect("pixel4:cpu") as phone:
        output = phone.run(api.load(file), golden.inputs).pixels
    black, white = subject.image_range  # of random weights, not 0 to 1
    made, wanted = (
        np.clip(values.astype(np.float64), black, white)
        for values in (output, golden.expected[0].fp32)
    )
    error = np.mean((made - wanted) ** 2)
    return float(10 * np.log10((white - black) ** 2 / error))


def test_a_file_that_nobody_blessed_or_of_another_size_has_no_psnr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = tiny.subject(tmp_path / "golden", tmp_path / "work")
    (tmp_path / "alone.tflite").write_bytes((folder / "fp32.tflite").read_bytes())
    capsys.readouterr()

    tiny.command("inspect", tmp_path / "alone.tflite", "--device=pixel4:cpu")
    alone = capsys.readouterr().out
    tiny.command("inspect", folder / "fp32.tflite", "--device=pixel4:cpu", "--size=32x32")
    smaller = capsys.readouterr().out

    assert "PSNR" not in alone
    assert "PSNR of pixel4:cpu: no golden frame has this resolution" in smaller


def test_a_broken_subject_beside_a_model_is_said_and_ends_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "subject.toml").write_text("name = ", encoding="utf-8")

    code = tiny.command("inspect", folder / "portable.tflite", "--device=pixel4:cpu")

    out = capsys.readouterr().out
    assert code == 0
    assert "PSNR of pixel4:cpu: " in out
    assert "subject.toml" in out


def test_node_data_for_model_explorer_is_a_file_for_each_phone_and_quantity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny.subject(tmp_path / "golden", tmp_path / "work")
    made = tmp_path / "new" / "data"

    code = tiny.command(
        "inspect", folder / "int8_ptq.tflite", "--device=pixel4,pixel4:cpu",
        "--model-explorer", made,
    )  # fmt: skip

    assert code == 0
    names = {path.name.removesuffix(".json") for path in made.iterdir()}
    assert names - {"pixel4-cpu.reason"} == {
        f"pixel4-{delegate}.{name}"
        for delegate in ("cpu", "nnapi")
        for name in ("error", "ms", "unit")
    }
    errors = json.loads((made / "pixel4-cpu.error.json").read_text(encoding="utf-8"))
    assert all(one["value"] > 0 for one in errors["main"]["results"].values())
    assert "--node_data_paths=" in capsys.readouterr().out


def test_node_data_without_an_fp32_file_says_why_there_is_no_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command(
        "inspect", folder / "transposed.tflite", "--device=pixel4", "--model-explorer",
        folder / "data",
    )  # fmt: skip

    assert code == 0
    assert sorted(path.name for path in (folder / "data").iterdir()) == [
        f"pixel4-nnapi.{name}.json" for name in ("ms", "reason", "unit")
    ]
    assert "no error per op: " in capsys.readouterr().out


def test_node_data_without_a_phone_is_one_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tiny.command("inspect", folder / "portable.tflite", "--model-explorer", folder / "data")

    assert code == 2
    assert "--model-explorer wants --device=NAME" in capsys.readouterr().err
