"""Qualcomm's own estimator answers for real graphs on this host."""

from pathlib import Path

import pytest

from harness import profiles
from harness.errors import ModelError
from harness.estimate import repeats, vendor
from harness.estimate.figures import whole
from harness.estimate.model import estimate_graph
from harness.estimate.reference.draft import Draft
from harness.evidence import Evidence
from harness.graph import parse
from harness.profiles import EstimateConstants, Profile, Target
from tests import models
from tests.unit.estimate import phones

pytest.importorskip("onnxruntime_qnn")
pytest.importorskip("onnx")

pytestmark = pytest.mark.qualcomm


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))


def phone() -> Profile:
    npu = EstimateConstants(
        delegate="qnn",
        precision="float",
        values={"floor_ms": 0.25, "vendor_ratio": 0.5},
        rows=9,
        error_share=0.1,
        interval_ratio=1.2,
        source="round numbers for tests",
    )
    return phones.phone(npu, phones.constants("cpu", "float"))


def test_an_estimate_is_the_floor_and_the_vendors_time_with_float_ports() -> None:
    graph = parse(models.unet())
    said = vendor.estimate(graph)

    found = estimate_graph(graph, whole(graph, "htp"), Target(profile=phone(), delegate="qnn"))

    assert said.time_ms > 0.0
    ports_ms = 0.12 * 2 * 16 * 16 * 3 * 4 / 2**20  # float32 image in and out
    assert found.estimate_ms == pytest.approx(0.25 + 0.5 * (said.time_ms + ports_ms), rel=1e-4)
    assert found.high_ms == pytest.approx(1.2 * found.estimate_ms)
    assert found.provenance.evidence is Evidence.VENDOR_MODEL
    assert found.absolute


def test_an_op_on_the_cpu_splits_the_npu_part_and_shows_in_milliseconds() -> None:
    graph = parse(models.unet(upsampling="TRANSPOSE_CONV"))
    target = Target(profile=phone(), delegate="qnn")

    one = estimate_graph(graph, whole(graph, "htp"), target)
    split = estimate_graph(
        graph, phones.place(graph, unit="htp", on_cpu={"TRANSPOSE_CONV"}), target
    )

    assert split.cpu_share > 0.0
    assert split.estimate_ms > one.estimate_ms + 0.25  # at least one more call into the NPU
    assert sum(label.startswith("NPU") for label in split.shares) >= 2


def test_a_graph_that_qualcomm_refuses_is_a_model_error() -> None:
    graph = parse(models.op_model("SEGMENT_SUM"))

    with pytest.raises(ModelError, match="SEGMENT_SUM"):
        vendor.estimate(graph)


def test_the_answer_is_remembered_by_structure() -> None:
    graph = parse(models.conv_net())

    first = vendor.estimate(graph)
    worker = vendor._worker()
    worker.close()  # the second answer needs no worker

    assert vendor.estimate(graph) == first
    assert not worker.pids


def test_shipped_phones_with_an_npu_have_constants_for_both_precisions() -> None:
    shipped = profiles.load_all([profiles.shipped_folder()])

    lacking = [
        f"{name} {precision}"
        for name, profile in shipped.items()
        for precision in ("float", "int8")
        if profile.accelerators_of("qnn")
        and not any((e.delegate, e.precision) == ("qnn", precision) for e in profile.estimates)
    ]

    assert lacking == []


def test_a_long_graph_is_estimated_from_a_third_of_its_blocks_as_the_whole_is() -> None:
    draft = Draft()
    x = draft.conv(draft.input(16, 16, 3), 16, norm=False)
    for _ in range(540):
        y = draft.conv(draft.conv(x, 16, norm=False), 16, act="NONE", norm=False)
        x = draft.add(x, y)
    graph = draft.finish(draft.conv(x, 3, norm=False))

    found = repeats.estimate(graph)

    assert "540 blocks of 3 ops" in found.shortened
    of_all = vendor.estimate(graph)
    factor = found.said.time_ms / of_all.time_ms
    assert 1 / found.ratio < factor < found.ratio
    assert found.ratio == repeats.SHORTENED_RATIO
    assert found.said.uncosted == of_all.uncosted
