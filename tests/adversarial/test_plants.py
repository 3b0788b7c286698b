"""Each planted fault turns the gates red that it must, and no other; a sound file turns none.

All plants are variants of one subject, judged by one run of pytest against what was blessed of
the sound exports. `make plants` runs all of them; a few run with the normal tests.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from harness import results
from harness.evidence import sha256_of
from harness.results import Record
from harness.verdict import Outcome
from tests import tiny
from tests.adversarial import plants
from tests.adversarial.plants import FP32, INT8, PLANTS, QUICK, SIZE_PX, Plant

pytestmark = pytest.mark.slow

CHOSEN = PLANTS if os.environ.get("HARNESS_PLANTS") == "all" else QUICK
BUDGET_RATIO = 6.0


def frame(seed: int) -> np.ndarray:
    """Return a smooth image in 8 bits with a dark patch, in it one black pixel."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(70, 186, (8, 8, 3), np.uint8))
    pixels = np.asarray(coarse.resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC)).copy()
    pixels[4:10, 40:46] = 5
    pixels[6, 42] = 0
    return pixels


def restored(model: bytes, pixels: np.ndarray) -> np.ndarray:
    """Return what a float model makes of an image, in 8 bits."""
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], pixels[None].astype(np.float32) / 255.0
    )
    interpreter.invoke()
    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return np.asarray(np.round(np.clip(output, 0.0, 1.0) * 255.0), np.uint8)


def variant_blocks(text: str) -> tuple[str, list[str], str]:
    """Split a subject.toml into what stands before its variants, each of them, and the rest."""
    head, *blocks = text.split("[[variants]]\n")
    lines = blocks[-1].splitlines(keepends=True)
    end = next(
        number for number, line in enumerate(lines)
        if line.startswith("[") and not line.startswith(("[variants", "[[variants"))
    )  # fmt: skip
    return head, [*blocks[:-1], "".join(lines[:end])], "".join(lines[end:])


def plant_all(folder: Path, chosen: tuple[Plant, ...]) -> None:
    """Add each plant as a variant with the limits and baselines of the one it was made from."""
    toml, json_file = folder / "subject.toml", folder / "baselines.json"
    head, blocks, rest = variant_blocks(toml.read_text(encoding="utf-8"))
    blessed = json.loads(json_file.read_text(encoding="utf-8"))
    sound = {of: (folder / f"{of}.tflite").read_bytes() for of in (FP32, INT8)}
    entries = list(blessed["baselines"])
    for plant in chosen:
        data = plant.apply(sound[plant.of])
        (folder / f"{plant.name}.tflite").write_bytes(data)
        (block,) = [block for block in blocks if f'name = "{plant.of}"' in block]
        blocks.append(
            block.replace(f'name = "{plant.of}"', f'name = "{plant.name}"')
            .replace(f"{plant.of}.tflite", f"{plant.name}.tflite")
            .replace(sha256_of(sound[plant.of]), sha256_of(data))
        )
        entries += [
            entry | {"variant": plant.name}
            for entry in blessed["baselines"] if entry["variant"] == plant.of
        ]  # fmt: skip
    toml.write_text("[[variants]]\n".join([head, *blocks]) + rest, encoding="utf-8")
    json_file.write_text(json.dumps(blessed | {"baselines": entries}), encoding="utf-8")


def blessed_subject(root: Path) -> Path:
    """Write and bless a subject of the sound exports, with a budget of some times its cost."""
    work, golden = root / "exports", root / "golden"
    frames = work / "frames"
    frames.mkdir(parents=True)
    sound = plants.sound()
    for of, data in sound.items():
        (work / f"{of}.tflite").write_bytes(data)
    for seed, name in enumerate(tiny.FRAMES):
        pixels = frame(seed)
        Image.fromarray(pixels).save(frames / f"{name}.blurred.png")
        # So far from what FP32 makes (34 dB) that int8's own rounding costs little quality.
        noise = np.random.default_rng(100 + seed).integers(-8, 9, pixels.shape)
        sharp = np.clip(restored(sound[FP32], pixels) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(sharp).save(frames / f"{name}.sharp.png")
    code = tiny.command(
        "init", *(work / f"{of}.tflite" for of in sound), "--frames", frames,
        "--name", tiny.NAME, "--budget-ms", "1000", "--golden-dir", golden,
    )  # fmt: skip
    assert code == 0
    tiny.bless(golden)
    folder = golden / tiny.NAME
    entries = json.loads((folder / "baselines.json").read_text(encoding="utf-8"))["baselines"]
    costs = [e["value"] for e in entries if e["metric"] == "latency_ms"]
    tiny.edit(
        folder / "subject.toml",
        "latency_ms = 1000",
        f"latency_ms = {BUDGET_RATIO * max(costs):.3f}",
    )
    return folder


def gates(root: Path, *more: str, cache: Path | None = None) -> str:
    """Run all gates on pixel4 in a process of its own and return what it printed."""
    environment = os.environ | ({"HARNESS_CACHE": str(cache)} if cache else {})
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--device=pixel4", "-q", "--origin=emulated",
         "-p", "no:hypothesispytest", "-p", "no:benchmark", "-p", "no:cacheprovider", *more],
        cwd=root, env=environment, capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Record]]]:
    """Return every record of one run of all gates on pixel4, by variant."""
    root = tmp_path_factory.mktemp("plants")
    plant_all(blessed_subject(root), CHOSEN)
    (root / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    gates(root)
    found: dict[str, list[Record]] = {}
    for record in results.load(results.latest(root)).records:
        found.setdefault(record.variant, []).append(record)
    yield found
    shutil.rmtree(root)


def red(records: list[Record]) -> set[str]:
    """Return the gates that failed; an error of the harness is none of them."""
    return {r.verdict.gate for r in records if r.verdict.outcome is Outcome.FAIL}


def by_cause(records: list[Record]) -> str:
    """Return what failed, for a person."""
    return "\n".join(str(r.verdict) for r in records if r.verdict.outcome is not Outcome.PASS)


@pytest.mark.parametrize("of", [FP32, INT8])
def test_a_sound_export_is_green(judged: dict[str, list[Record]], of: str) -> None:
    outcomes = {record.verdict.outcome for record in judged[of]}

    assert outcomes == {Outcome.PASS}, by_cause(judged[of])


@pytest.mark.parametrize("plant", CHOSEN, ids=lambda plant: plant.name)
def test_a_plant_turns_its_gates_red_and_no_other(
    judged: dict[str, list[Record]], plant: Plant
) -> None:
    records = judged[plant.name]

    assert {r.verdict.gate for r in records} == {r.verdict.gate for r in judged[plant.of]}
    assert red(records) == plant.red, by_cause(records)
    assert not [r for r in records if r.verdict.metric == "error"], by_cause(records)
    assert {r.verdict.outcome for r in records if r.verdict.gate not in plant.red} == {Outcome.PASS}


def test_a_fault_of_pixels_is_seen_on_every_frame(judged: dict[str, list[Record]]) -> None:
    """Every pixel plant is in every frame, so each frame's test must say so."""
    for plant in (plant for plant in CHOSEN if plant.red == plants.PIXELS):
        failed = {
            record.test
            for record in judged[plant.name]
            if record.verdict.gate == "fidelity" and record.verdict.outcome is Outcome.FAIL
        }
        missed = [name for name in tiny.FRAMES if not any(f"-{name}]" in test for test in failed)]
        assert not missed, f"{plant.name} passed on {missed}"


def test_the_same_twice_gives_the_same_digits(tmp_path: Path) -> None:
    """An A/A run: two cold caches, one subject, no finding and no digit that differs."""
    root = tmp_path / "project"
    blessed_subject(root)
    (root / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    runs = []
    for number in range(2):
        shutil.rmtree(root / ".results", ignore_errors=True)
        gates(root, cache=tmp_path / f"cold_{number}")
        runs.append(list(results.load(results.latest(root)).records))

    assert [digits(r) for r in runs[0]] == [digits(r) for r in runs[1]]
    assert {r.verdict.outcome for r in runs[0]} == {Outcome.PASS}


def digits(record: Record) -> tuple[object, ...]:
    verdict = record.verdict
    return (
        record.test, record.variant, verdict.gate, verdict.metric, verdict.outcome,
        verdict.observed, verdict.limit, verdict.low, verdict.high,
    )  # fmt: skip
