"""Build a subject: export every variant, check it against its FP32 parent, write it down."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from harness import graph
from harness.compress.check import VariantQuality, measure
from harness.compress.export import convert
from harness.evidence import sha256_of
from harness.subjects import Precision
from harness.training.batches import to_float
from harness.training.checkpoint import save_weights
from harness.training.photos import CropPairs

RUNTIMES = ("tensorflow", "keras", "ai-edge-litert", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Built:
    """One exported variant.

    Attributes:
        name: Name of the variant and of its file.
        file: The .tflite.
        quality: What it does to held-out frames.
        macs: Multiply-accumulates at the exported size.
    """

    name: str
    file: bytes
    quality: VariantQuality
    macs: int


def build(
    model: keras.Model,
    *,
    folder: Path,
    precisions: Sequence[Precision],
    calibration: CropPairs,
    held_out: CropPairs,
    training: Mapping[str, Any],
    prefix: str = "",
    parent: bytes | None = None,
) -> tuple[Built, ...]:
    """Export variants of a trained network into a subject's folder and record how good they are.

    Writes `<prefix><precision>.tflite`, `<prefix>weights.npz`, and one entry per variant in
    `provenance.json`; entries of other variants stay.

    Args:
        model: The trained network.
        folder: The subject's folder.
        precisions: What to export.
        calibration: Frames that integer files take their ranges from.
        held_out: Frames that every variant is measured on.
        training: How the weights came to be (seed, steps, command, data).
        prefix: Put before file names, for variants that are not the plain network ("pruned70_").
        parent: The FP32 file that variants are compared with; this network's own if None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = [to_float(blurred[None]) for blurred in calibration.blurred]
    size_px = (calibration.blurred.shape[1], calibration.blurred.shape[2])
    if parent is None:
        parent = convert(model, precision=Precision.FP32, size_px=size_px)
    weights = folder / f"{prefix}weights.npz"
    save_weights(model, weights)
    built = []
    for precision in precisions:
        file = convert(model, precision=precision, size_px=size_px, calibration=frames)
        name = _name(prefix, precision)
        variant = Built(
            name=name,
            file=file,
            quality=measure(file, parent, held_out),
            macs=graph.parse(file, name=name).macs,
        )
        (folder / f"{name}.tflite").write_bytes(file)
        built.append(variant)
    facts = {**training, "weights_sha256": sha256_of(weights.read_bytes())}
    record(folder / "provenance.json", built, training=facts)
    return tuple(built)


def record(path: Path, built: Sequence[Built], *, training: Mapping[str, Any]) -> None:
    """Add variants to a subject's `provenance.json`; what is not rebuilt stays as it was."""
    facts = json.loads(path.read_text()) if path.is_file() else {"variants": {}}
    facts["versions"] = {name: importlib.metadata.version(name) for name in RUNTIMES}
    for variant in built:
        facts["variants"][variant.name] = {
            "sha256": sha256_of(variant.file),
            "size_bytes": len(variant.file),
            "macs": variant.macs,
            "training": dict(training),
            "held_out": _rounded(dataclasses.asdict(variant.quality)),
        }
    facts["variants"] = dict(sorted(facts["variants"].items()))
    path.write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n")


def _name(prefix: str, precision: Precision) -> str:
    """Return `int8_ptq`, or `pruned70` and `pruned70_int8` with the prefix `pruned70_`."""
    if not prefix:
        return precision.value
    if precision is Precision.FP32:
        return prefix.removesuffix("_")
    return prefix + precision.removesuffix("_ptq")


def _rounded(value: Any) -> Any:
    """Round numbers for reading; an infinite one (a file compared with itself) becomes null."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
