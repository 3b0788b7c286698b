"""Calibration through the real path: a fake phone on a real adb server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.devices.adb import Server
from harness.estimate.calibrate_phone import calibrate_phone
from harness.estimate.reference.kernel_nets import kernel_nets
from harness.profiles import Target
from tests import phones
from tests.phones import PIXEL_4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        with phones.server() as private:
            yield private


def test_a_phone_on_a_cable_gives_a_profile_its_constants(server: Server, tmp_path: Path) -> None:
    nets = [net for net in kernel_nets("float") if net.name.startswith(("conv", "add-32px"))]

    with phones.plugged(tmp_path / "phone", server) as fake:
        device = fake.phone()
        try:
            found = calibrate_phone(
                nets[:4],
                target=Target(profile=PIXEL_4, delegate=device.delegate),
                precision="float",
                time=device.time,
                place=device.place,
                folder=tmp_path,
                source="a fake phone",
            )
        finally:
            device.close()

    assert 2 <= found.constants.rows <= 4
    assert found.constants.delegate == device.delegate
    assert all(value > 0.0 for value in found.constants.values.values())
