"""Measure on a fake phone through a real adb server: what a phone says is what is reported."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import sequential
from harness.devices import measured
from harness.devices.benchmark import energy, tool_file
from harness.devices.benchmark.benchmark_tool import PAPER
from harness.devices.benchmark.delegate_flags import ExternalDelegate
from harness.devices.measured import Phone
from harness.devices.phone.device_state import Contract
from harness.devices.phone.lock import HOME
from harness.errors import ConfigError, DeviceError, MeasurementError
from harness.evidence import Evidence
from harness.graph import parse
from harness.images import Size
from harness.inputs import Inputs
from harness.model import Model
from harness.placement import CPU
from harness.sequential import Decision, StoppingRule
from harness.stacks import xnnpack
from tests import kinds, models, phones
from tests.phones import EDGETPU, PIXEL_4, QUICK, SIZE, Plugged

pytestmark = pytest.mark.slow


@pytest.fixture
def device(plugged: Plugged) -> Iterator[Phone]:
    device = plugged.phone()
    yield device
    device.close()


@pytest.fixture
def variant() -> Model:
    return phones.model()


def test_a_phone_is_found_by_its_model_and_is_fake_when_it_says_so(plugged: Plugged):
    plugged.connection.wait_ready(timeout_s=10)

    found = measured.attached({"pixel4": PIXEL_4}, server=plugged.server)

    mine = [one for one in found if one.identity.serial == plugged.serial]
    assert [(one.profile.name, one.identity.fake) for one in mine] == [("pixel4", True)]


def test_two_phones_of_one_profile_are_told_apart(plugged: Plugged, tmp_path: Path):
    with phones.plugged(tmp_path / "second", plugged.server) as second:
        for one in (plugged, second):
            one.connection.wait_ready(timeout_s=10)

        found = measured.attached({"pixel4": PIXEL_4}, server=plugged.server)

    serials = {one.identity.serial for one in found}
    assert {plugged.serial, second.serial} <= serials
    assert len({str(one.identity) for one in found}) == len(found)


def test_a_phone_that_fits_no_profile_is_an_error_when_it_was_asked_for(plugged: Plugged):
    plugged.folder.setprop("ro.product.model", "Unheard Of")

    with pytest.raises(ConfigError, match="Unheard Of"):
        measured.attached({"pixel4": PIXEL_4}, server=plugged.server, serial=plugged.serial)


def test_pixels_are_those_of_the_same_kernels_on_the_host(device: Phone, variant: Model):
    frame = phones.frame()
    model = variant.at(SIZE)

    output = device.run(model, frame)

    expected = xnnpack.run(model, frame)
    assert np.allclose(output.pixels, expected, atol=1e-5)
    assert output.provenance.evidence is Evidence.FAKE


def test_an_int8_models_pixels_come_back_as_real_values(device: Phone, tmp_path: Path):
    model = models.conv_net(dtype="int8")
    variant = phones.model(model, name="int8")
    graph = parse(model)
    _, height, width, _ = graph.tensors[graph.inputs[0]].shape
    frame = phones.frame(replace(SIZE, width_px=width, height_px=height))

    output = device.run(variant, frame)

    expected = xnnpack.run(models.model(model), frame)
    assert np.allclose(output.pixels, expected, atol=2 * models.SCALE)


def test_each_input_is_fed_and_each_output_comes_back_by_name(device: Phone):
    for data in (kinds.burst(), kinds.two_outputs()):
        model = phones.model(data, name="many")
        given = {
            name: phones.frame(SIZE) * (0.5 if position else 1.0)
            for position, name in enumerate(model.graph.input_names)
        }

        output = device.run(model, Inputs(given))

        expected = xnnpack.execute(model, Inputs(given).of_graph(model.graph))
        assert tuple(output.values) == model.graph.output_names
        for values, wanted in zip(output.values.values(), expected, strict=True):
            np.testing.assert_allclose(values, wanted, atol=1e-5)


def test_a_model_is_resized_to_the_frame(device: Phone, variant: Model):
    output = device.run(variant.at("48x16"), phones.frame(replace(SIZE, width_px=48, height_px=16)))

    assert output.pixels.shape == (1, 16, 48, 3)


@pytest.mark.parametrize(("build", "reports"), [("2025", True), ("2020", False)])
def test_peak_memory_is_the_tools_where_its_build_reports_one(
    plugged: Plugged, device: Phone, variant: Model, build: str, reports: bool
):
    plugged.folder.switch(tool_build=build)

    memory = device.memory(variant.at(SIZE))

    assert memory.provenance.evidence is (Evidence.FAKE if reports else Evidence.RULES)
    assert (memory.reported_peak_mib is not None) is reports
    in_graph = memory.peak_activation_mib + memory.weights_mib
    assert memory.peak_mib > in_graph if reports else memory.peak_mib == in_graph


def test_ops_the_driver_refuses_are_on_the_cpu_with_the_drivers_name(
    plugged: Plugged, device: Phone, variant: Model
):
    plugged.folder.switch(refused_ops=("TRANSPOSE_CONV",))

    placement = device.place(variant.at(SIZE))

    assert {node.op for node in placement.fallbacks} == {"TRANSPOSE_CONV"}
    assert f"'{EDGETPU}'" in placement.fallbacks[0].reason
    assert placement.partitions == 5
    assert placement.cpu_time_share is not None
    assert 0 < placement.cpu_time_share < 1


def test_full_residency_has_one_partition_and_no_cpu_time(device: Phone, variant: Model):
    placement = device.place(variant.at(SIZE))

    assert {node.unit for node in placement.nodes} == {EDGETPU}
    assert (placement.partitions, placement.cpu_time_share) == (1, 0.0)


def test_a_silent_fallback_is_a_placement_on_the_cpu(
    plugged: Plugged, device: Phone, variant: Model
):
    plugged.folder.switch(silent_fallback=True)

    placement = device.place(variant.at(SIZE))

    assert placement.cpu_ops == len(placement.nodes)


def test_ops_that_nnapi_runs_on_its_own_cpu_kernels_are_on_the_cpu(
    plugged: Plugged, device: Phone, variant: Model
):
    plugged.folder.switch(reference_ops=("CONV_2D",))

    placement = device.place(variant.at(SIZE))

    assert {node.op for node in placement.fallbacks} == {"CONV_2D"}
    assert "nnapi-reference" in placement.fallbacks[0].reason


@pytest.mark.parametrize("delegate", ["gpu", "cpu"])
def test_other_delegates_are_placed_too(plugged: Plugged, variant: Model, delegate: str):
    device = plugged.phone(delegate)

    placement = device.place(variant.at(SIZE))
    device.close()

    assert CPU not in {node.unit for node in placement.nodes}


def test_an_external_delegate_is_placed_by_its_name(plugged: Plugged, variant: Model):
    external = ExternalDelegate(
        path="/data/local/tmp/qnn/libQnnTFLiteDelegate.so",
        options="backend_type:htp",
    )
    device = plugged.phone("qnn", replace(QUICK, external=external))

    placement = device.place(variant.at(SIZE))
    device.close()

    assert {node.unit for node in placement.nodes} == {"qnn"}


@pytest.mark.parametrize("build", ["2020", "2022", "2025"])
def test_every_build_of_the_tool_gives_the_same_placement(
    plugged: Plugged, device: Phone, variant: Model, build: str
):
    plugged.folder.switch(tool_build=build, refused_ops=("CONCATENATION",))
    if build == "2022":
        # XNNPACK takes the rest there, and no runtime info says which node it took.
        with pytest.raises(MeasurementError, match="export_model_runtime_info"):
            device.place(variant.at(SIZE))
        return

    placement = device.place(variant.at(SIZE))

    assert {node.op for node in placement.fallbacks} == {"CONCATENATION"}


@pytest.mark.parametrize("build", ["2022", "2025", "litert2"])
def test_every_build_of_the_tool_gives_a_median(plugged: Plugged, variant: Model, build: str):
    plugged.folder.switch(tool_build=build, latency_us={"": 700.0}, noise_share=0.0)
    delegate = "gpu" if build == "litert2" else "nnapi"
    device = plugged.phone(delegate)

    latency = device.time(variant.at(SIZE))
    device.close()

    assert latency.median_ms == pytest.approx(0.7, rel=0.05)
    assert latency.p95_ms == pytest.approx(0.7, rel=0.05)


@pytest.mark.parametrize("litert", [False, True])
def test_the_output_is_made_twice_and_what_changes_between_inferences_is_measured(
    plugged: Plugged, variant: Model, litert: bool
):
    model, frame = variant.at(SIZE), phones.frame()
    tool = plugged.folder.litert_tool if litert else plugged.folder.tool
    with plugged.phone("gpu", tool=tool) as device:
        steady = device.run(model, frame)
        plugged.folder.switch(later_error=0.25)
        stale = device.run(model, frame)

    assert steady.repeat_relative_l2 == 0.0
    later = np.linalg.norm(stale.pixels)
    expected = 0.25 * np.sqrt(stale.pixels.size) / later
    assert stale.repeat_relative_l2 == pytest.approx(expected, rel=1e-3)


@pytest.fixture
def by_litert(plugged: Plugged) -> Iterator[Callable[[str], Phone]]:
    opened: list[Phone] = []

    def phone(delegate: str = "gpu") -> Phone:
        opened.append(plugged.phone(delegate, tool=plugged.folder.litert_tool))
        return opened[-1]

    yield phone
    for device in opened:
        device.close()


@pytest.mark.parametrize("delegate", ["gpu", "gpu-fp32", "cpu"])
def test_the_three_facts_by_litert_2s_tools_are_those_by_the_other_tool(
    plugged: Plugged, variant: Model, by_litert, delegate: str
):
    plugged.folder.switch(latency_us={"": 700.0}, noise_share=0.0)
    model, frame = variant.at(SIZE), phones.frame()
    with plugged.phone(delegate) as device:
        pixels, placement = device.run(model, frame).pixels, device.place(model)
    device = by_litert(delegate)

    np.testing.assert_array_equal(device.run(model, frame).pixels, pixels)
    assert device.place(model).nodes == placement.nodes
    assert device.time(model).median_ms == pytest.approx(0.7, rel=0.05)


def test_outputs_of_run_model_come_back_by_name_in_the_order_of_the_signature(by_litert):
    model = phones.model(kinds.signed(kinds.two_outputs()), name="many")
    given = {name: phones.frame(SIZE) for name in model.graph.input_names}

    output = by_litert().run(model, Inputs(given))

    expected = xnnpack.execute(model, Inputs(given).of_graph(model.graph))
    assert tuple(output.values) == model.graph.output_names
    for values, wanted in zip(output.values.values(), expected, strict=True):
        np.testing.assert_allclose(values, wanted, atol=1e-5)


def test_what_run_model_cannot_write_is_refused_before_it_runs(plugged: Plugged, by_litert):
    model = phones.model(models.conv_net(dtype="int8"), name="int8")
    _, height, width, _ = model.graph.tensors[model.graph.inputs[0]].shape

    with pytest.raises(ConfigError, match=r"float32 outputs only.*makes int8"):
        by_litert().run(model, phones.frame(Size(width_px=width, height_px=height)))


def test_without_run_model_beside_it_litert_2s_tool_gives_no_pixels(
    plugged: Plugged, variant: Model, by_litert
):
    (plugged.folder.litert_tool.parent / "run_model").unlink()

    with pytest.raises(ConfigError, match="put run_model of the same release beside it"):
        by_litert().run(variant.at(SIZE), phones.frame())


def test_a_run_model_that_lacks_its_library_is_one_clear_error(
    plugged: Plugged, variant: Model, by_litert
):
    (plugged.folder.litert_tool.parent / "libLiteRt.so").unlink()

    with pytest.raises(DeviceError, match=r"libLiteRt\.so.*not found"):
        by_litert().run(variant.at(SIZE), phones.frame())


@pytest.mark.parametrize("litert", [False, True])
@pytest.mark.parametrize(("delegate", "half"), [("gpu", True), ("gpu-fp32", False)])
def test_the_gpu_is_told_its_precision(
    plugged: Plugged, variant: Model, litert: bool, delegate: str, half: bool
):
    tool = plugged.folder.litert_tool if litert else plugged.folder.tool
    with plugged.phone(delegate, tool=tool) as device:
        device.place(variant.at(SIZE))
        asked = plugged.folder.last_command()

    wanted = {f"--allow_fp16={str(half).lower()}"}
    if not litert:
        wanted.add(f"--gpu_precision_loss_allowed={str(half).lower()}")
    elif not half:
        wanted.add("--gpu-precision=fp32")
    assert wanted <= set(asked.split())


@pytest.mark.parametrize(
    ("build", "lacks"), [("2025", []), ("2022", ["runtime info", "result file"])]
)
def test_what_a_build_of_the_tool_lacks_is_said(plugged: Plugged, build: str, lacks: list[str]):
    plugged.folder.switch(tool_build=build)
    device = plugged.phone()

    sentences = device.examine_tool()
    device.close()

    assert len(sentences) == len(lacks)
    assert all(word in sentence for word, sentence in zip(lacks, sentences, strict=True))


def test_only_an_fp16_variant_is_computed_in_fp16_on_the_cpu(plugged: Plugged, variant: Model):
    half = phones.model(models.unet(upsampling="TRANSPOSE_CONV", fp16_weights=True))
    device = plugged.phone("cpu")

    asked = []
    for one in (variant, half):
        device.run(one.at(SIZE), phones.frame())
        asked.append("--xnnpack_force_fp16=true" in plugged.folder.last_command())
    device.close()

    assert asked == [False, True]


def test_a_timing_stores_the_phones_state_and_its_interval(device: Phone, variant: Model):
    latency = device.time(variant.at(SIZE))

    state = latency.provenance.device_state
    assert state["temperature_c"] == 31.0
    assert state["battery_percent"] == 88
    assert state["fixed_performance"] == "true"
    assert latency.low_ms is not None
    assert latency.high_ms is not None
    assert latency.low_ms <= latency.median_ms <= latency.high_ms
    assert latency.runs == 5 * int(state["tool_runs"])


def test_power_rails_give_the_millijoules_of_an_inference_above_the_idle_phone(
    plugged: Plugged, device: Phone, variant: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(energy, "_RUN_S", 0.1)
    plugged.folder.switch(inference_mj=7.5, latency_us={"": 1000.0}, noise_share=0.0)

    latency = device.time(variant.at(SIZE))

    assert latency.energy_mj == pytest.approx(7.5, rel=0.1)
    assert "S1M_VDD_CPU" in latency.provenance.device_state["energy"]


def test_without_rails_the_battery_tells_unless_it_is_charged(
    plugged: Plugged, device: Phone, variant: Model, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(energy, "_RUN_S", 2.0)
    plugged.folder.switch(busy_ma=600.0, latency_us={"": 5000.0}, noise_share=0.0)
    charged = device.time(variant.at(SIZE))
    battery = "USB powered: false\n  level: 88\n  temperature: 290\n"
    plugged.folder.dumpsys("battery", battery)
    unplugged = device.time(variant.at(SIZE))

    assert charged.energy_mj is None
    assert "the battery charges" in charged.provenance.device_state["energy"]
    assert unplugged.energy_mj == pytest.approx(0.5 * 4.0 * 5.0, rel=0.3)


def test_a_timing_that_straddles_its_limit_goes_on_to_its_stated_cost(
    plugged: Plugged, device: Phone, variant: Model
):
    plugged.folder.switch(latency_us={"": 1000.0}, noise_share=0.02)

    # So close to each other that whatever the noise, one lies in the interval.
    near = device.time(variant.at(SIZE), limits_ms=[0.94 + 0.002 * i for i in range(61)])
    far = device.time(variant.at(SIZE), limits_ms=[50.0])

    assert near.provenance.device_state["tool_runs"] == QUICK.effort.most_runs
    assert far.provenance.device_state["tool_runs"] == QUICK.effort.looks[0]


def test_a_candidate_that_is_slower_is_found_in_interleaved_runs(
    plugged: Plugged, device: Phone, variant: Model, tmp_path: Path
):
    slow = phones.model(models.conv_net(), name="slow").at(SIZE)
    plugged.folder.switch(latency_us={"": 1000.0, slow.sha256: 1200.0}, noise_share=0.01)
    quick = replace(QUICK, plan=StoppingRule(looks=(6,), alphas=(0.02,)))
    device = plugged.phone(measuring=quick)

    pairs = device.compare(slow, variant.at(SIZE))
    device.close()

    comparison = sequential.compare(pairs.before_ms, pairs.now_ms, quick.plan)
    assert comparison is not None
    assert comparison.ruling is Decision.SLOWER
    assert comparison.ratio == pytest.approx(1.2, rel=0.05)


def test_nothing_is_pushed_twice(plugged: Plugged, variant: Model):
    first = plugged.phone()
    first.place(variant.at(SIZE))
    first.close()
    store = plugged.folder.root / HOME.lstrip("/") / "store"
    stamps = {path.name: path.stat().st_mtime_ns for path in store.iterdir()}

    second = plugged.phone()
    second.place(variant.at(SIZE))
    second.close()

    assert {path.name: path.stat().st_mtime_ns for path in store.iterdir()} == stamps


def test_settings_are_restored_and_the_lock_is_given_back(plugged: Plugged, variant: Model):
    before = plugged.folder.settings()
    device = plugged.phone()
    device.place(variant.at(SIZE))
    during = plugged.folder.settings()

    device.close()

    assert during["settings/system.screen_off_timeout"] == "86400000"
    assert during["fixed_performance"] == "true"
    assert plugged.folder.settings() == before
    home = plugged.folder.root / HOME.lstrip("/")
    assert {path.name for path in home.iterdir()} == {"fence", "store"}


def test_two_harnesses_do_not_share_a_phone(plugged: Plugged, device: Phone, variant: Model):
    device.place(variant.at(SIZE))
    other = plugged.phone()

    with pytest.raises(DeviceError, match="in use by another harness"):
        other.place(variant.at(SIZE))
    other.close()

    device.place(variant.at(SIZE))


def test_a_lock_whose_time_has_passed_is_taken_over(plugged: Plugged, variant: Model):
    crashed = plugged.phone()
    crashed.place(variant.at(SIZE))
    owner = plugged.folder.root / HOME.lstrip("/") / "lock/owner"
    token, _, boot, *label = owner.read_text().split()
    owner.write_text(" ".join([token, "1", boot, *label]) + "\n")
    other = plugged.phone()

    other.place(variant.at(SIZE))
    held = owner.read_text()
    crashed.close()

    assert owner.read_text() == held
    assert plugged.folder.settings()["settings/system.screen_off_timeout"] == "86400000"
    other.close()


def test_a_crashed_harness_is_cleaned_up_after_by_the_next(plugged: Plugged, variant: Model):
    before = plugged.folder.settings()
    crashed = plugged.phone()
    crashed.place(variant.at(SIZE))  # and never closed
    owner = plugged.folder.root / HOME.lstrip("/") / "lock/owner"
    owner.write_text(owner.read_text().replace(owner.read_text().split()[2], "an-earlier-boot"))

    device = plugged.phone()
    device.place(variant.at(SIZE))
    device.close()

    assert plugged.folder.settings() == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.write("/sys/class/thermal/thermal_zone1/temp", "45000\n"), "temperature 45"),
        (lambda f: f.dumpsys("thermalservice", "Thermal Status: 3\n"), "thermal status 3"),
        (lambda f: f.dumpsys("battery", "USB powered: true\n level: 5\n"), "battery 5 %"),
        (lambda f: f.dumpsys("power", "mWakefulness=Asleep\n"), "screen is not on"),
        (lambda f: f.write("/proc/loadavg", "30.0 2 2 1/9 9\n"), "load 30"),
    ],
)
def test_a_timing_outside_the_contract_is_void(
    plugged: Plugged, device: Phone, variant: Model, spoil, words: str
):
    spoil(plugged.folder)

    with pytest.raises(MeasurementError, match=f"void by the phone's state.*{words}"):
        device.time(variant.at(SIZE))


def test_a_throttled_clock_voids_a_timing_where_clocks_are_not_bounded_on_purpose(
    plugged: Plugged, variant: Model
):
    policy = "/sys/devices/system/cpu/cpufreq/policy7/scaling_max_freq"
    plugged.folder.write(policy, "1200000\n")
    device = plugged.phone(measuring=replace(QUICK, fixed_performance=False))

    with pytest.raises(MeasurementError, match="held to 1200 of 2841 MHz"):
        device.time(variant.at(SIZE))
    device.close()


def test_a_slow_mode_is_seen_by_the_sentinel_and_not_by_the_number(
    plugged: Plugged, device: Phone, variant: Model
):
    device.time(variant.at(SIZE))
    plugged.folder.switch(sentinel=700_000)

    with pytest.raises(MeasurementError, match="slow mode"):
        device.time(variant.at(SIZE))


def test_a_hot_phone_is_waited_for(plugged: Plugged, variant: Model):
    zone = "/sys/class/thermal/thermal_zone1/temp"
    plugged.folder.write(zone, "45000\n")
    device = plugged.phone(measuring=replace(QUICK, contract=Contract(cooldown_s=20.0)))
    plugged.loop.call_soon_threadsafe(
        plugged.loop.call_later, 1.0, lambda: plugged.folder.write(zone, "31000\n")
    )

    latency = device.time(variant.at(SIZE))
    device.close()

    assert latency.provenance.device_state["temperature_c"] == 31.0


def test_the_papers_preset_is_recorded(plugged: Plugged, variant: Model):
    device = plugged.phone(measuring=replace(QUICK, preset=PAPER))

    latency = device.time(variant.at(SIZE))
    device.close()

    assert latency.provenance.runtime["preset"] == "paper: 10 runs, 4 threads"


def test_a_tool_for_another_processor_is_refused_before_it_is_pushed(
    plugged: Plugged, tmp_path: Path
):
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\x00" + bytes(40))

    with pytest.raises(ConfigError, match=r"built for x86_64, the phone runs arm64-v8a"):
        plugged.phone(tool=tool)


def test_the_tool_is_named_by_the_ini_key_or_the_environment(tmp_path: Path):
    named = tmp_path / "benchmark_model"
    named.write_text("#!/bin/sh\n")

    assert tool_file.find(str(named), {}) == named
    assert tool_file.find("", {"HARNESS_BENCHMARK_TOOL": str(named)}) == named
    with pytest.raises(DeviceError, match="no benchmark tool is named"):
        tool_file.find("", {})
    with pytest.raises(DeviceError, match="no such benchmark tool"):
        tool_file.find("/nonexistent", {})
