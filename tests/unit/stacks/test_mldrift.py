"""Tests of reading what LiteRT's GPU accelerator prints, and of finding a Vulkan driver."""

from pathlib import Path

import pytest

from harness.errors import DeviceError, StackMissing
from harness.stacks import mldrift

PARTIAL = """I0000 00:00:17 delegate_webgpu.cc:759] # of threads to compile kernels = 0
ERROR: Following operations are not supported by GPU delegate:
DEQUANTIZE: 
MIRROR_PAD: Only Reflective padding is supported for Mirror Pad operation. But node has 2
3 operations will run on the GPU, and the remaining 5 operations will run on the CPU.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
"""  # noqa: W291


def test_the_reasons_of_refused_ops_are_read() -> None:
    reasons = mldrift.refused_ops(PARTIAL)

    assert reasons["MIRROR_PAD"].startswith("Only Reflective padding is supported")
    assert set(reasons) == {"DEQUANTIZE", "MIRROR_PAD"}


def test_a_log_without_refusals_gives_none() -> None:
    assert mldrift.refused_ops("INFO: Created a WebGPU environment.\nfoo: bar\n") == {}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (PARTIAL, 3),
        ("No operations will run on the GPU, and all 7 operations will run on the CPU.", 0),
    ],
)
def test_the_number_of_ops_on_the_gpu_is_read(text: str, count: int) -> None:
    assert mldrift.ops_on_gpu(text) == count


def test_a_partial_compile_that_does_not_say_how_much_is_an_error() -> None:
    with pytest.raises(DeviceError, match="did not say which"):
        mldrift.ops_on_gpu("INFO: Created a WebGPU environment.")


def test_a_driver_named_in_the_environment_but_absent_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VK_DRIVER_FILES", raising=False)
    monkeypatch.setenv("VK_ICD_FILENAMES", str(tmp_path / "none.json"))

    assert "apt-get install chromium" in str(mldrift.missing())
    with pytest.raises(StackMissing, match="SwiftShader"):
        mldrift.versions()


def test_a_driver_is_identified_by_its_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = tmp_path / "icd.json"
    manifest.write_text('{"ICD": {"library_path": "./libvk_test.so", "api_version": "1.0.5"}}')
    (tmp_path / "libvk_test.so").write_bytes(b"driver")
    (tmp_path / "libvulkan.so.1").write_bytes(b"loader")
    monkeypatch.delenv("VK_DRIVER_FILES", raising=False)
    monkeypatch.setenv("VK_ICD_FILENAMES", str(manifest))

    assert mldrift.missing() is None
    assert mldrift.versions()["vulkan-driver"].startswith("libvk_test.so ")


def test_a_manifest_that_names_no_driver_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = tmp_path / "icd.json"
    manifest.write_text("{}")
    (tmp_path / "libvulkan.so.1").write_bytes(b"loader")
    monkeypatch.delenv("VK_DRIVER_FILES", raising=False)
    monkeypatch.setenv("VK_ICD_FILENAMES", str(manifest))

    with pytest.raises(StackMissing, match=r"icd\.json"):
        mldrift.versions()
