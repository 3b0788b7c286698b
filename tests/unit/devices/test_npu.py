"""Choose an NPU's libraries by the phone's chip."""

from pathlib import Path

import pytest

from harness import profiles
from harness.devices.benchmark import npu
from harness.errors import ConfigError

SHIPPED = profiles.load_all([profiles.SHIPPED])
WITH_NPU = [
    pytest.param(unit.soc_model, id=f"{name}-{unit.soc_model}")
    for name, profile in SHIPPED.items()
    for unit in profile.accelerators_of("npu")
]


@pytest.mark.parametrize("soc_model", WITH_NPU)
def test_each_chip_of_a_shipped_profile_has_libraries(soc_model: str):
    assert npu.needs(soc_model).dispatch[0].startswith("libLiteRtDispatch_")


@pytest.mark.parametrize(
    ("said", "soc", "library"),
    [
        ("SM8750", "SM8750", "libQnnHtpV79Skel.so"),
        ("SM8650-AC", "SM8650", "libQnnHtpV75Stub.so"),
        ("MT6991Z/CZA", "MT6991", "libneuronusdk_adapter.mtk.so"),
        ("MT6993", "MT6993", "libneuronusdk_adapter.so"),
        ("Tensor G5", "Tensor_G5", "libLiteRtDispatch_GoogleTensor.so"),
    ],
)
def test_what_ro_soc_model_says_names_the_libraries(said: str, soc: str, library: str):
    needs = npu.needs(said)

    assert needs.soc == soc
    assert library in needs.dispatch


@pytest.mark.parametrize("said", ["", "Tensor G2", "s5e9945", "SM0000", "kirin990"])
def test_other_chips_are_refused_by_their_name(said: str):
    with pytest.raises(ConfigError, match="no NPU of this phone's chip"):
        npu.needs(said)


def test_a_model_compiled_before_needs_no_compiler():
    chosen = npu.choose(npu.needs("Tensor G5"), {}, ["libLiteRtDispatch_GoogleTensor.so"])

    assert "compiles nothing" in chosen.missing(b"TFL3 a model")
    assert chosen.missing(b"TFL3 DISPATCH_OP") == ""
    assert chosen.flags(b"TFL3 DISPATCH_OP", "/d", suffix="dir") == ("--dispatch_library_dir=/d",)


def test_libraries_are_found_by_name_in_files_and_folders(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    for path in ("folder/libQnnHtp.so", "folder/readme.txt", "libQnnSystem.so"):
        (tmp_path / path).write_text("x")

    found = npu.index([tmp_path / "folder", tmp_path / "libQnnSystem.so"])

    assert set(found) == {"libQnnHtp.so", "libQnnSystem.so"}
    with pytest.raises(ConfigError, match="npu_libraries"):
        npu.index([tmp_path / "nowhere"])
