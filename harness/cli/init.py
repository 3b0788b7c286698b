"""Make a subject of your own model: subject.toml and goldens from a folder of images."""

import argparse
import json
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import fidelity, goldens, graph, images, resizing, subjects
from harness.cli import shared
from harness.errors import ConfigError, ModelError
from harness.evidence import Evidence, Provenance, now_utc, sha256_of
from harness.images import Output, Pixels, Size
from harness.model import Model
from harness.stacks import xnnpack
from harness.subjects import SUBJECT_FILE, Precision

_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_MARGIN_DB = 3.0
_FRAMES_MAX = 8


@dataclass(frozen=True, kw_only=True)
class _Export:
    """Hold one model file on its way into a subject."""

    precision: Precision
    data: bytes
    limits: dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness init`."""
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL.tflite",
        help="the FP32 model first, then its quantized variants",
    )
    parser.add_argument(
        "--frames",
        type=Path,
        required=True,
        metavar="DIR",
        help="images to test with; X.blurred.png beside X.sharp.png gives a target as well",
    )
    parser.add_argument("--name", help="name of the subject, default the first model's")
    parser.add_argument("--budget-ms", type=float, help="latency budget at the frames' size")
    shared.add_golden_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Write golden/<name>/ and say what to do next."""
    name = options.name or re.sub(r"[^A-Za-z0-9_]+", "_", options.models[0].stem)
    folder: Path = options.golden_dir / name
    if folder.exists():
        raise ConfigError(f"{folder}: exists already; choose another --name or remove it")
    exports = _read_models(options.models)
    size = _input_size(options.models[0], exports[Precision.FP32].data)
    frames = _choose_frames(options.frames, size)
    try:
        _write(folder, name, exports, frames, size, options.budget_ms)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # a subject is whole or not there
        raise
    print(f"Wrote {folder} with {len(exports)} variants and {len(frames)} frames of {size}.")
    print("Look through its subject.toml: limits were measured here, budgets are yours to set.")
    print("Next: pytest --device=pixel4")
    return 0


def _read_models(paths: Sequence[Path]) -> dict[Precision, _Export]:
    exports: dict[Precision, _Export] = {}
    for path in paths:
        graph.load(path)
        data = graph.read(path)
        precision = precision_of(path.name, data)
        if precision in exports:
            raise ConfigError(f"{path}: a second {precision.value} model; give one of each kind")
        exports[precision] = _Export(precision=precision, data=data, limits={})
    if Precision.FP32 not in exports:
        raise ConfigError("none of the models is FP32; the others are compared with that one")
    return exports


def precision_of(name: str, data: bytes) -> Precision:
    """Tell the arithmetic of a model from its weights and activations."""
    parsed = graph.parse(data, name=name)
    dtypes = {t.dtype for op in parsed.ops for t in parsed.runtime_inputs(op)}
    if "int16" in dtypes:
        return Precision.INT16_PTQ
    if "int8" in dtypes or "uint8" in dtypes:
        return Precision.INT8_QAT if "qat" in name.lower() else Precision.INT8_PTQ
    constants = {t.dtype for t in parsed.tensors if t.constant is not None}
    return Precision.FP16 if "float16" in constants else Precision.FP32


def _input_size(path: Path, data: bytes) -> Size:
    shape = resizing.image_shape(graph.parse(data, name=str(path)))
    if shape[3] != 3:
        raise ModelError(f"{path}: takes {shape[3]} channels; frames are RGB, 3 channels")
    return Size(width_px=shape[2], height_px=shape[1])


def _choose_frames(folder: Path, size: Size) -> dict[str, tuple[Path, Path | None]]:
    """Return (frame, target or None) by name: pairs if there are any, else all images."""
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in _IMAGES)
    if not found:
        raise ConfigError(f"{folder}: holds no images ({', '.join(_IMAGES)})")
    pairs: dict[str, tuple[Path, Path | None]] = {}
    for path in found:
        stem, dot, kind = path.stem.rpartition(".")
        if dot and kind == "blurred":
            sharp = [p for p in found if p.stem == f"{stem}.sharp"]
            pairs[stem] = (path, sharp[0] if sharp else None)
    chosen = pairs or {path.stem: (path, None) for path in found}
    for frame, _ in chosen.values():
        seen = images.size_of(frame)
        if seen.width_px < size.width_px or seen.height_px < size.height_px:
            raise ConfigError(f"{frame}: is {seen}, smaller than the model's input {size}")
    return dict(list(chosen.items())[:_FRAMES_MAX])


def _write(
    folder: Path,
    name: str,
    exports: dict[Precision, _Export],
    frames: dict[str, tuple[Path, Path | None]],
    size: Size,
    budget_ms: float | None,
) -> None:
    (folder / "frames").mkdir(parents=True)
    for export in exports.values():
        (folder / f"{export.precision.value}.tflite").write_bytes(export.data)
    for frame, (blurred, sharp) in frames.items():
        _crop(blurred, size, folder / "frames" / f"{frame}.blurred.png")
        if sharp is not None:
            _crop(sharp, size, folder / "frames" / f"{frame}.sharp.png")
    toml = folder / SUBJECT_FILE
    toml.write_text(_toml(name, exports, size, budget_ms), encoding="utf-8")
    subject = subjects.load(folder)
    outputs = {}
    for frame in frames:
        pixels, _ = goldens.load_frame(subject, frame)
        outputs[frame] = (pixels, _run(exports[Precision.FP32].data, pixels))
        goldens.store(subject, frame, frame=pixels, fp32_output=outputs[frame][1])
    goldens.store_list(subject)
    measured = {p: _limits(export, outputs) for p, export in exports.items()}
    toml.write_text(_toml(name, measured, size, budget_ms), encoding="utf-8")


def _crop(source: Path, size: Size, to: Path) -> None:
    """Cut the middle of an image; never scaled, so that its sharpness stays what it is."""
    with images.opened(source) as image:
        left = (image.width - size.width_px) // 2
        top = (image.height - size.height_px) // 2
        box = (left, top, left + size.width_px, top + size.height_px)
        image.convert("RGB").crop(box).save(to)


def _run(data: bytes, frame: Pixels) -> Pixels:
    return xnnpack.run(Model(name="model", data=data), frame)


def _limits(export: _Export, outputs: dict[str, tuple[Pixels, Pixels]]) -> _Export:
    """Measure a variant against FP32 and allow it 3 dB more distance than was seen."""
    made = Provenance(evidence=Evidence.HOST, device="", variant_sha256="")
    matches = [
        fidelity.compare(Output(pixels=_run(export.data, frame), provenance=made), output)
        for frame, output in outputs.values()
    ]
    ceiling = 100.0  # goldens are stored in 16 bits, which alone costs about this much
    limits = {
        "psnr_db": min(m.psnr_db for m in matches),
        "worst_tile_psnr_db": min(m.worst_tile_psnr_db for m in matches),
    }
    limits = {k: math.floor(min(v, ceiling) - _MARGIN_DB) for k, v in limits.items()}
    worst = max(m.relative_l2 for m in matches)
    limits["relative_l2"] = float(f"{max(worst, 1e-5) * 10 ** (_MARGIN_DB / 20):.2g}")
    limits["quality_drop_db"] = 0.5
    return _Export(precision=export.precision, data=export.data, limits=limits)


def _toml(name: str, exports: dict[Precision, _Export], size: Size, budget_ms: float | None) -> str:
    day = now_utc()[:10]
    parts = [
        f"name = {json.dumps(name)}\n"
        'task = "restore"\n'
        'source = "your own model; say here where it and its training data come from"\n'
    ]
    for precision, export in exports.items():
        limits = "".join(f"{key} = {value}\n" for key, value in export.limits.items())
        parts.append(
            f'[[variants]]\nname = "{precision.value}"\nprecision = "{precision.value}"\n'
            f'path = "{precision.value}.tflite"\nsha256 = "{sha256_of(export.data)}"\n\n'
            f"[variants.limits]\n{limits}"
            f'source = "measured {day} by harness init on this host, {_MARGIN_DB:g} dB margin"\n'
        )
    budget = f"latency_ms = {budget_ms:g}" if budget_ms else "# latency_ms = 50.0"
    parts.append(
        '[[ships]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["*"]\n'
        'because = "harness init: everything ships everywhere until you say otherwise"\n'
    )
    parts.append(
        '[[budgets]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["*"]\n'
        f'resolution = "{size}"\n{budget}\ncpu_ops_allowed = 0\npartitions_max = 1\n'
        'source = "harness init: yours to set"\n'
    )
    half = Size(width_px=size.width_px // 2, height_px=size.height_px // 2)
    parts.append(
        f'[scaling]\nresolutions = ["{half}", "{size}"]\nexponent = 1.3\ncliff_ratio = 1.5\n'
        'source = "harness init: yours to set"\n'
    )
    return "\n".join(parts)
