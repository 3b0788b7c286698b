"""Rent fake phones over the network: the real adb server, connected and disconnected by a lab."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from harness.devices.connect import Origin, PhoneSetup
from harness.devices.phone import adb
from harness.devices.phone.adb import AdbServer
from harness.errors import DeviceError
from harness.images import Output
from harness.inputs import Inputs
from harness.lab import Facts, choose
from harness.lab.adb import AdbLab
from harness.profiles import Target
from harness.requests import Request, Verb
from harness.results import latest, load
from tests import phones, tiny
from tests.phones import PIXEL_4, SIZE, Plugged

pytestmark = pytest.mark.slow

TARGET = Target(profile=PIXEL_4, delegate="gpu")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AdbServer]:
    with phones.default_server(tmp_path) as private:
        yield private


@pytest.fixture
def plugged(tmp_path: Path, server: AdbServer) -> Iterator[Plugged]:
    with phones.with_tool(tmp_path / "phone", server) as fake:
        yield fake


def known(server: AdbServer) -> set[str]:
    return {phone.serial for phone in adb.attached(server)}


def test_phones_of_a_lab_are_matched_to_profiles_and_disconnected_at_the_end(
    plugged: Plugged, tmp_path: Path, server: AdbServer
) -> None:
    request = Request(
        target=TARGET,
        verb=Verb.RUN,
        model=phones.model(),
        size=SIZE,
        inputs=Inputs.of(phones.frame()),
    )
    with phones.plugged(tmp_path / "other", server) as other:
        other.folder.setprop("ro.product.model", "Galaxy S24")
        names = [f"adb:{other.serial}", f"adb:{plugged.serial}"]
        lab = choose(names, origin=Origin.AUTO, phone_setup=PhoneSetup())
        lab.open()
        assert {plugged.serial, other.serial} <= known(server)

        (fact,) = Facts(lab).take([request])
        nokia = Target(profile=replace(PIXEL_4, match=("Nokia",)), delegate="gpu")
        (missing,) = lab.answer([replace(request, target=nokia)])
        troubles = lab.close()

    assert isinstance(fact.answer, Output)
    assert plugged.serial in fact.answer.provenance.device
    assert fact.answer.provenance.lab == ",".join(names)
    direct = plugged.phone("gpu")
    assert np.array_equal(fact.answer.pixels, direct.run(request.sized, phones.frame()).pixels)
    direct.close()
    assert isinstance(missing.error, DeviceError)
    assert troubles == []
    assert not {other.serial} & known(server)


def test_the_three_facts_of_a_variant_are_those_of_the_cable(plugged: Plugged) -> None:
    plugged.folder.switch(latency_us={"": 700.0}, noise_share=0.0, refused_ops=("TRANSPOSE_CONV",))
    lab = choose([f"adb:{plugged.serial}"], origin=Origin.AUTO, phone_setup=PhoneSetup())
    lab.open()

    asked = phones.requests(TARGET, Verb.PLACE, Verb.RUN, Verb.TIME)
    found = {fact.request.verb: fact.value() for fact in Facts(lab).take(asked)}
    lab.close()

    with plugged.phone("gpu") as direct:
        phones.assert_same(found, direct)


def test_a_phone_that_does_not_come_leaves_no_other_connected(
    plugged: Plugged, server: AdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lab.adb._CONNECT_LIMIT_S", 2.0)
    lab = AdbLab([plugged.serial, "127.0.0.1:1"], phone_setup=PhoneSetup())

    with pytest.raises(DeviceError):
        lab.open()
    lab.close()

    assert known(server).isdisjoint({plugged.serial, "127.0.0.1:1"})


def test_the_head_of_a_run_and_each_fact_name_the_lab(
    plugged: Plugged, project: pytest.Pytester, server: AdbServer
) -> None:
    name = f"adb:{plugged.serial}"
    project.makeini(f"[pytest]\nlabs = {name}\n")

    result = project.runpytest_subprocess(
        "--device=pixel4:gpu", "--subject=unet.fp32", "test_fallback.py", "test_memory.py"
    )

    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    run = load(latest(project.path))
    assert run.run.lab == name
    assert {fact.answer["provenance"]["lab"] for fact in run.facts} == {name}
    assert plugged.serial not in known(server)


def test_models_are_compared_on_a_phone_of_a_lab(
    plugged: Plugged, golden_dir: Path, server: AdbServer, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(golden_dir / tiny.NAME / "fp32.tflite")

    with pytest.raises(SystemExit) as ended:
        main(["compare", file, file, "--device=pixel4:gpu", f"--lab=adb:{plugged.serial}"])

    assert ended.value.code == 0, capsys.readouterr()
    assert plugged.serial not in known(server)
