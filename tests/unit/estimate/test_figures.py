"""Figures are rows that a reference network and one unit stand behind."""

from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.estimate import figures

HEADER = "model,component,precision,device,latency_ms,primary_unit,layers_npu,layers_gpu,layers_cpu"


def write(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "figures.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_rows_become_figures_with_their_network_and_unit(tmp_path: Path) -> None:
    path = write(tmp_path, "resnet18,ResNet18,w8a8,S24,0.29,NPU,41,0,0")

    (figure,) = figures.read(path)

    assert figure.reference.name == "resnet18"
    assert (figure.precision, figure.unit, figure.latency_ms) == ("int8", "npu", 0.29)


def test_rows_on_two_units_and_unknown_networks_are_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "resnet18,ResNet18,w8a8,S24,0.29,NPU,38,0,3",
        "yolo,Yolo,float,S24,3.0,NPU,41,0,0",
        "resnet18,ResNet18,w4a16,S24,0.29,NPU,41,0,0",
    )

    assert figures.read(path) == ()


@pytest.mark.parametrize(
    ("model", "layers", "reference"),
    [
        ("fcn_resnet50", 84, "fcn_resnet50_224"),
        ("fcn_resnet50", 88, "fcn_resnet50"),
        ("shufflenet_v2", 162, "shufflenet_v2"),
        ("shufflenet_v2", 175, "shufflenet_v2_halves"),
        ("shufflenet_v2", 207, "shufflenet_v2_joins"),
    ],
)
def test_exports_of_one_model_are_told_apart_by_their_ops(
    tmp_path: Path, model: str, layers: int, reference: str
) -> None:
    row = f"{model},M,float,S24,6.4,NPU,{layers},0,0,{layers}"
    path = write(tmp_path, row, header=f"{HEADER},layers_total")

    assert figures.read(path)[0].reference.name == reference


def test_a_plain_csv_of_four_columns_is_enough(tmp_path: Path) -> None:
    path = write(tmp_path, "resnet18,int8,mine,4.2", header="model,precision,device,latency_ms")

    assert figures.read(path)[0].unit == "cpu"


@pytest.mark.parametrize("latency", ["", "nan", "-1", "0", "fast"])
def test_a_latency_that_is_none_is_an_error_with_its_row(tmp_path: Path, latency: str) -> None:
    path = write(tmp_path, f"resnet18,ResNet18,w8a8,S24,{latency},NPU,41,0,0")

    with pytest.raises(ConfigError, match="row 2: latency_ms"):
        figures.read(path)


def test_a_csv_without_a_needed_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lacks the column device"):
        figures.read(write(tmp_path, "a,b,1", header="model,precision,latency_ms"))


def test_a_device_without_figures_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    rows = figures.read(write(tmp_path, "resnet18,ResNet18,w8a8,S24,0.29,NPU,41,0,0"))

    with pytest.raises(ConfigError, match="devices: S24"):
        figures.choose(rows, device="S99", precision="int8", unit="npu")


def test_a_figure_is_drawn_wholly_on_the_unit_it_ran_on(tmp_path: Path) -> None:
    chosen = figures.read(write(tmp_path, "resnet18,ResNet18,w8a8,S24,0.29,NPU,41,0,0"))

    (sample,) = figures.draw(chosen, delegate="qnn", precision="int8")

    assert (sample.name, sample.family, sample.measured_ms) == ("resnet18", "resnet", 0.29)
    assert [node.unit for node in sample.placement.nodes] == ["qnn"] * len(sample.graph.ops)
