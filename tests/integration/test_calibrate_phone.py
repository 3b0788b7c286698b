"""Calibration through the real path: a fake phone on a real adb server."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.devices.benchmark.delegate_flags import ExternalDelegate
from harness.devices.phone.adb import AdbServer
from harness.estimate import phone_samples
from harness.estimate.calibrate import STARTS, TimedNetwork, calibrate
from harness.estimate.calibrate_npu import calibrate_npu
from harness.estimate.reference.phone_nets import kernel_nets, whole_nets
from harness.profiles import Accelerator, Target
from tests import needs, phones
from tests.phones import PIXEL_4, QUICK

pytestmark = pytest.mark.slow

HTP = Accelerator(name="htp", delegate="qnn", source="a test")


def measured(server: AdbServer, folder: Path, delegate: str) -> tuple[TimedNetwork, ...]:
    """Time three kernel benchmarks and a whole network on a fake phone."""
    nets = [net for net in kernel_nets("float") if net.name.startswith(("conv", "add-32px"))][:3]
    whole = [net for net in whole_nets("float") if net.name == "squeezenet1_1"]
    library = ExternalDelegate(path="/data/local/tmp/qnn/libQnnTFLiteDelegate.so")
    how = replace(QUICK, external=library) if delegate == "qnn" else QUICK
    profile = replace(PIXEL_4, accelerators=(*PIXEL_4.accelerators, HTP))
    with phones.plugged(folder / "phone", server) as fake:
        device = fake.phone(delegate, how)
        try:
            return phone_samples.measure(
                (*nets, *whole), target=Target(profile=profile, delegate=delegate),
                time=device.time, place=device.place, say=str,
            ).samples  # fmt: skip
        finally:
            device.close()


def test_a_phone_on_a_cable_gives_a_profile_its_constants(
    server: AdbServer, tmp_path: Path
) -> None:
    samples = measured(server, tmp_path, "nnapi")

    found = calibrate(
        samples, delegate="nnapi", precision="float", start=STARTS["nnapi", "float"],
        source="a fake phone",
    )  # fmt: skip

    assert found.constants.rows == 4
    assert all(value > 0.0 for value in found.constants.values.values())


@pytest.mark.qualcomm
def test_a_snapdragon_on_a_cable_gives_the_correction_of_the_vendors_estimate(
    server: AdbServer, tmp_path: Path
) -> None:
    needs.package("onnxruntime_qnn")
    needs.package("onnx")
    samples = measured(server, tmp_path, "qnn")

    found = calibrate_npu(samples, precision="float", soc_model="SM8650", source="a fake phone")

    assert found.constants.delegate == "qnn"
    priced = {"op_ms", "pool_less_ms", "conv3x3_ms", "wide_ms", "memory_ms"}
    assert set(found.constants.values) == {"floor_ms", "vendor_ratio", *priced}
    older = calibrate_npu(samples, precision="float", soc_model="SM8450", source="a fake phone")
    assert set(older.constants.values) == {*found.constants.values, "peak_ms"}
    # The fake phone is this host's CPU: slower than an NPU.
    assert found.constants.values["vendor_ratio"] > 0.7
