"""Make a subject of an ONNX network for real, and measure what the conversion costs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness import child, conversion, subjects
from harness import model as models_of
from harness.advice.rewrites import SAME_PIXELS
from harness.stacks import xnnpack
from tests import needs, tiny

pytestmark = pytest.mark.onnx
_SIZE_PX = 32


@pytest.fixture(autouse=True)
def _installed() -> None:
    needs.installed(conversion.missing())


def network(
    folder: Path, *, name: str = "net", strength: float = 0.05, open_size: bool = False
) -> Path:
    """Write a network as PyTorch exports it: channels first, with a pixel shuffle and a clip."""
    onnx: Any = needs.package("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    rng = np.random.default_rng(3)
    weights = rng.normal(0.0, strength, (12, 12, 3, 3)).astype(np.float32)
    for channel in range(12):
        weights[channel, channel, 1, 1] += 1.0
    edges: list[int | str] = ["height", "width"] if open_size else [_SIZE_PX, _SIZE_PX]
    shape = [1, 3, *edges]
    constants = {
        "weights": weights,
        "bias": np.zeros(12, np.float32),
        "low": np.float32(0.0),
        "high": np.float32(1.0),
    }
    nodes = [
        helper.make_node("SpaceToDepth", ["image"], ["deep"], blocksize=2),
        helper.make_node("Conv", ["deep", "weights", "bias"], ["mixed"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["mixed"], ["wide"], blocksize=2, mode="CRD"),
        helper.make_node("Clip", ["wide", "low", "high"], ["restored"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("restored", kind, shape)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    made = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    onnx.checker.check_model(made)
    path = folder / f"{name}.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def photographs(folder: Path) -> Path:
    """Write images without sharp partners."""
    folder.mkdir()
    for name in ("a", "b"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (48, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def init(folder: Path, *arguments: str | Path) -> int:
    """Run `harness init` with images, into a golden folder."""
    return tiny.command(
        "init", *arguments, "--frames", photographs(folder / "photographs"),
        "--golden-dir", folder / "golden",
    )  # fmt: skip


@pytest.mark.parametrize("open_size", [False, True])
def test_a_network_of_onnx_becomes_a_subject_that_says_what_the_conversion_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], open_size: bool
) -> None:
    path = network(tmp_path, open_size=open_size)

    code = init(tmp_path, path, *(["--size=32x32"] if open_size else []))

    assert code == 0
    subject = subjects.load(tmp_path / "golden" / "net")
    assert subject.reference.model().graph.tensors[0].shape == (1, _SIZE_PX, _SIZE_PX, 3)
    assert "net.onnx" in subject.source
    assert "conversion drift" in subject.source
    assert "Conversion drift" in capsys.readouterr().out


def test_a_conversion_is_its_original_to_float_rounding(tmp_path: Path) -> None:
    path = network(tmp_path)
    made = models_of.load(conversion.to_tflite(path, _folder(tmp_path)))

    found = conversion.drift(path, made, [])

    assert found.psnr_db > 90.0
    assert found.noise


def test_a_conversion_of_other_weights_is_told_by_its_drift(tmp_path: Path) -> None:
    path, other = network(tmp_path), network(tmp_path, name="other", strength=0.2)
    made = models_of.load(conversion.to_tflite(path, _folder(tmp_path)))

    assert conversion.drift(other, made, []).psnr_db < 40.0


def test_what_a_conversion_adds_is_found_by_advice(tmp_path: Path) -> None:
    made = models_of.load(conversion.to_tflite(network(tmp_path), _folder(tmp_path)))

    applying = [name for name, rewrite in SAME_PIXELS.items() if rewrite(made) is not None]
    fewer = made
    for name in applying:
        fewer = SAME_PIXELS[name](fewer) or fewer

    assert any("DEPTH_TO_SPACE" in name for name in applying)
    assert len(fewer.graph.ops) < len(made.graph.ops)
    frame = np.random.default_rng(0).random((1, _SIZE_PX, _SIZE_PX, 3)).astype(np.float32)
    np.testing.assert_allclose(
        xnnpack.execute(fewer, [frame])[0], xnnpack.execute(made, [frame])[0], atol=1e-5
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"no network", "no ONNX network"), (None, "cannot be read")],
)
def test_a_file_that_is_no_network_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, says: str
) -> None:
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)

    assert init(tmp_path, path) == 2

    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "golden" / "net").exists()


def test_a_size_that_is_left_open_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path, network(tmp_path, open_size=True)) == 2
    assert "--size" in capsys.readouterr().err


def _folder(parent: Path) -> Path:
    """Return an empty folder."""
    folder = parent / "work"
    folder.mkdir()
    return folder


_TORCH = """
import litert_torch
import torch

torch.manual_seed(0)
network = torch.nn.Sequential(
    torch.nn.Conv2d(3, 12, 3, padding=1), torch.nn.ReLU(),
    torch.nn.Conv2d(12, 12, 3, padding=1), torch.nn.PixelShuffle(2),
).eval()
image = torch.rand(1, 3, 32, 32)
torch.onnx.export(network, (image,), "net.onnx", dynamo=False)
last = litert_torch.to_channel_last_io(network, args=[0], outputs=[0])
litert_torch.convert(last, (image.permute(0, 2, 3, 1),)).export("net.tflite")
"""


@pytest.mark.slow
def test_a_torch_module_by_litert_torch_is_its_original(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = needs.torch_python()
    (tmp_path / "export.py").write_text(_TORCH)
    done = child.run(
        [python, "export.py"], stage="PyTorch", timeout_s=600.0, cwd=tmp_path,
        memory_mib=32768, env={"PYTHONPATH": ""},
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr[-2000:]

    code = init(tmp_path, tmp_path / "net.tflite", "--original", tmp_path / "net.onnx")

    assert code == 0
    assert "Conversion drift" in capsys.readouterr().out
    subject = subjects.load(tmp_path / "golden" / "net")
    assert subject.scale == 2
    (shuffle,) = (name for name in SAME_PIXELS if "pixel shuffle" in name)
    assert SAME_PIXELS[shuffle](subject.reference.model()) is not None
