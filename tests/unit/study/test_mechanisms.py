"""docs/study/mechanisms.md holds the intervals that the roofline gives."""

import functools
import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from harness import model, profiles
from harness.estimate import constants, kernels, roofline
from harness.estimate.roofline import Rates
from harness.graph import Graph

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/study/mechanisms.md").read_text(encoding="utf-8")
GOLDEN = ROOT / "golden/deblur_unet"
PIXELS = 1280 * 720 / (1024 * 576)
MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
ON_CHIP_MIB = [2.0**power for power in range(-2, 8)]
SPEEDS = (1, 3, 10)


@functools.cache
def pixel4() -> Rates:
    phone = profiles.load_all([profiles.shipped_folder()])["pixel4"]
    return constants.ground(phone, "nnapi", "float").rates


@functools.cache
def graph(variant: str, size: str) -> Graph:
    return model.load(GOLDEN / f"{variant}.tflite").at(size).graph


def latency_ms(variant: str, size: str, rates: Rates) -> float:
    net = graph(variant, size)
    resident = net.weight_bytes <= rates.on_chip_mib * 2**20
    launched = kernels.fuse_whole(net, "npu")
    costs = (roofline.cost(net, k, rates, weights_resident=resident) for k in launched)
    return rates.floor_ms + sum(cost.total_ms for cost in costs)


def step_and_gain(rates: Rates) -> tuple[float, float]:
    large = latency_ms("fp32", "1280x720", rates)
    step = large / latency_ms("fp32", "1024x576", rates) / PIXELS
    return step, 1.0 - latency_ms("pruned70", "1280x720", rates) / large


def memories() -> Iterable[Rates]:
    for mib, speed in itertools.product(ON_CHIP_MIB, SPEEDS):
        rates = pixel4()
        fast = rates.off_chip_gb_per_s * speed
        yield replace(rates, on_chip_mib=mib, on_chip_gb_per_s=fast)


def both() -> Iterable[Rates]:
    for rates, multiple, speed in itertools.product(memories(), MULTIPLES, (0.5, 1, 2, 10)):
        dense = rates.dense_gmacs_per_s * speed
        yield replace(rates, channel_multiple=float(multiple), dense_gmacs_per_s=dense)


def tiling_step(edge: int) -> float:
    """Return the step of a driver that cuts pictures into squares, each with a rim of a pixel."""

    def work(width: int, height: int) -> float:
        tiles = math.ceil(width / edge) * math.ceil(height / edge)
        return tiles * (edge + 2) ** 2 / (width * height)

    return work(1280, 720) / work(1024, 576)


def row(name: str) -> list[str]:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {name}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def interval(values: Iterable[float], pattern: str) -> str:
    found = [pattern.format(value) for value in values]
    low, high = min(found, key=number), max(found, key=number)
    return low if low == high else f"{low} to {high}"


def number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("the fitted roofline", lambda: [pixel4()]),
        ("channels padded",
         lambda: [replace(pixel4(), channel_multiple=float(m)) for m in MULTIPLES]),
        ("on-chip memory", memories),
        ("both, with arithmetic", both),
    ],
)  # fmt: skip
def test_the_page_holds_what_the_roofline_gives(name: str, cases: object) -> None:
    pairs = [step_and_gain(rates) for rates in cases()]  # type: ignore[operator]

    _, _, step, gain = row(name)
    assert step == interval((pair[0] for pair in pairs), "x{:.2f}")
    assert gain == interval((100 * pair[1] for pair in pairs), "{:.0f}") + " %"


@pytest.mark.parametrize(
    ("name", "edges"),
    [("tiles of the driver", range(16, 257, 8)), ("tiles of the order", range(264, 1281, 8))],
)
def test_the_page_holds_what_tiles_give(name: str, edges: Iterable[int]) -> None:
    assert row(name)[2] == interval((tiling_step(edge) for edge in edges), "x{:.2f}")


def test_padding_alone_can_save_three_quarters_just_above_a_multiple() -> None:
    padded_36, padded_30 = (math.ceil(channels / 32) ** 2 for channels in (36, 30))

    assert 1.0 - padded_30 / padded_36 == 0.75
    assert "up to 75 %" in PAGE


def test_the_variant_has_three_tenths_fewer_macs() -> None:
    kept = graph("pruned70", "1280x720").macs / graph("fp32", "1280x720").macs

    assert kept == pytest.approx(0.70, abs=0.005)
