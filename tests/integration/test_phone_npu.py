"""Reach a fake phone's NPU by LiteRT 2, its libraries chosen by the chip and pushed by hash."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import gate
from harness.devices.measured import Phone
from harness.devices.phone.lock import HOME
from harness.errors import ConfigError
from harness.model import Model
from harness.profiles import Accelerator, Profile
from harness.stacks import xnnpack
from harness.subjects import Budget
from harness.verdict import Outcome
from tests import phones
from tests.phones import PIXEL_4, QUICK, SIZE, Plugged

pytestmark = pytest.mark.slow

QUALCOMM = (
    "libLiteRtDispatch_Qualcomm.so", "libLiteRtCompilerPlugin_Qualcomm.so", "libQnnSystem.so",
    "libQnnHtp.so", "libQnnHtpV66Stub.so", "libQnnHtpV66Skel.so", "libQnnHtpPrepare.so",
    "libQnnIr.so", "libQnnSaver.so",
)  # fmt: skip
OTHERS = ("libLiteRtDispatch_MediaTek.so", "libQnnHtpV79Skel.so")
Open = Callable[..., Phone]


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    folder = tmp_path / "libraries"
    folder.mkdir()
    for name in (*QUALCOMM, *OTHERS):
        (folder / name).write_text(f"stands for {name}\n")
    return folder


@pytest.fixture
def through_npu(plugged: Plugged, libraries: Path) -> Iterator[Open]:
    opened: list[Phone] = []

    def phone() -> Phone:
        measuring = replace(QUICK, npu_libraries=(libraries,))
        opened.append(plugged.phone("npu", measuring, tool=plugged.folder.litert_tool))
        return opened[-1]

    yield phone
    for device in opened:
        device.close()


@pytest.fixture
def model() -> Model:
    return phones.model().at(SIZE)


def ruled(device: Phone, model: Model) -> tuple[Outcome, str, str]:
    budget = Budget(
        devices=("*",), delegates=("*",), variants=("*",), resolution=SIZE, source="a test",
        cpu_ops_allowed=0,
    )  # fmt: skip
    verdict = gate.residency(device.place(model), budget)[0]
    return verdict.outcome, verdict.cause, verdict.remedy


def test_a_whole_graph_runs_on_the_npu_with_right_pixels(
    plugged: Plugged, through_npu: Open, model: Model
):
    device, frame = through_npu(), phones.frame()

    placement = device.place(model)

    assert {node.unit for node in placement.nodes} == {"npu"}
    assert (placement.partitions, placement.cpu_ops) == (1, 0)
    np.testing.assert_allclose(
        device.run(model, frame).pixels, xnnpack.run(model, frame), atol=1e-5
    )
    assert device.time(model).median_ms > 0
    asked = plugged.folder.last_command()
    assert "--use_npu=true" in asked
    assert "--dispatch_library_path=" in asked
    assert "--compiler_plugin_library_path=" in asked


def test_only_the_libraries_of_the_phones_chip_are_pushed_and_once(
    plugged: Plugged, through_npu: Open, model: Model
):
    store = plugged.folder.root / HOME.lstrip("/") / "store"
    stamps = []
    for _ in range(2):
        device = through_npu()
        device.place(model)
        device.close()
        files = [path for path in store.iterdir() if path.is_file()]
        stamps.append({path.name: path.stat().st_mtime_ns for path in files})

    pushed = {name.partition("-")[2] for name in stamps[0]}
    assert pushed >= set(QUALCOMM)
    assert not pushed & set(OTHERS)
    assert stamps[0] == stamps[1]


def test_ops_that_the_compiler_leaves_are_told_one_by_one(
    plugged: Plugged, through_npu: Open, model: Model
):
    plugged.folder.switch(refused_ops=("TRANSPOSE_CONV",))

    placement = through_npu().place(model)

    assert {node.op for node in placement.fallbacks} == {"TRANSPOSE_CONV"}
    assert placement.fallbacks[0].reason == "the NPU's compiler did not take it"
    assert placement.partitions == 5


@pytest.mark.parametrize(
    "lost", ["libQnnHtpV66Skel.so", "libLiteRtCompilerPlugin_Qualcomm.so", QUALCOMM[0]]
)
def test_an_npu_that_was_asked_for_and_ran_on_xnnpack_fails_with_the_library_that_is_missing(
    through_npu: Open, libraries: Path, model: Model, lost: str
):
    (libraries / lost).unlink()

    outcome, cause, remedy = ruled(through_npu(), model)

    assert outcome is Outcome.FAIL
    assert f"the NPU was asked for and XNNPACK ran it: {lost} for the NPU of SM8150" in cause
    assert "npu_libraries" in remedy


def test_where_no_library_is_missing_litert_is_asked_why(
    plugged: Plugged, through_npu: Open, libraries: Path, model: Model
):
    plugged.folder.setprop("ro.soc.model", "MT6989")
    for name in ("libLiteRtCompilerPlugin_MediaTek.so", "libneuronusdk_adapter.mtk.so"):
        (libraries / name).write_text(f"stands for {name}\n")
    plugged.folder.switch(
        npu_error="Failed to apply compiler plugins: kLiteRtStatusErrorCompilation"
    )

    outcome, cause, _ = ruled(through_npu(), model)

    assert outcome is Outcome.FAIL
    assert "XNNPACK ran it: Failed to apply compiler plugins: kLiteRtStatusError" in cause


def test_a_mediatek_chip_gets_its_own_libraries_and_its_version_of_neuropilot(
    plugged: Plugged, through_npu: Open, libraries: Path, model: Model
):
    plugged.folder.setprop("ro.soc.model", "MT6989Z/CZA")
    (libraries / "libLiteRtCompilerPlugin_MediaTek.so").write_text("stands for it\n")
    plugged.folder.write("/vendor/lib64/libneuronusdk_adapter.mtk.so", "the phone's own\n")

    placement = through_npu().place(model)

    assert {node.unit for node in placement.nodes} == {"npu"}
    assert "--mediatek_nerun_pilot_version=version8" in plugged.folder.last_command()


def test_a_tensor_chip_compiles_nothing_and_the_finding_says_so(
    plugged: Plugged, through_npu: Open, libraries: Path, model: Model
):
    plugged.folder.setprop("ro.soc.model", "Tensor G5")
    (libraries / "libLiteRtDispatch_GoogleTensor.so").write_text("stands for it\n")

    outcome, cause, _ = ruled(through_npu(), model)

    assert outcome is Outcome.FAIL
    assert "LiteRT compiles nothing on a Tensor_G5: export the model compiled for it" in cause


@pytest.mark.parametrize("soc", ["s5e9945", "", "SM9999"])
def test_a_chip_that_litert_knows_no_npu_of_is_refused_with_its_name(
    plugged: Plugged, through_npu: Open, model: Model, soc: str
):
    plugged.folder.setprop("ro.soc.model", soc)

    with pytest.raises(ConfigError, match=rf"no NPU of this phone's chip.*'{soc}'"):
        through_npu().place(model)


def test_tensorflow_lites_tool_is_refused_with_what_to_name(plugged: Plugged, model: Model):
    with (
        plugged.phone("npu") as device,
        pytest.raises(ConfigError, match="`litert_tools`"),
    ):
        device.place(model)


def test_an_npu_that_no_host_can_stand_in_for_is_said_to_be_so():
    from harness.devices.emulated import Emulated
    from harness.errors import StackMissing
    from harness.profiles import Target

    npu = Accelerator(name="edgetpu", delegate="npu", source="a test")
    profile: Profile = replace(PIXEL_4, accelerators=(*PIXEL_4.accelerators, npu))
    device = Emulated(Target(profile=profile, delegate="npu"))

    assert device.place(phones.model()).unattributed > 0
    with pytest.raises(StackMissing, match="attach the phone"):
        device.time(phones.model())
