"""Convert networks for `harness init`, and say what the conversion cost."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness import conversion, images
from harness.conversion import ConversionDrift
from harness.errors import ConfigError
from harness.evidence import sha256_of
from harness.images import Pixels, Size
from harness.subjects import Variant

_ONNX = ".onnx"
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_FRAMES_MAX = 4


def converted(options: argparse.Namespace, work: Path) -> Sequence[Path]:
    """Return the models to make a subject of, an .onnx converted into a folder.

    Raises:
        ConfigError: two of them are .onnx.
        ModelError, StackMissing, DeviceError: one cannot be converted.
    """
    if sum(path.suffix == _ONNX for path in options.models) > 1:
        raise ConfigError("two of the models are .onnx: one is the original, others its exports")
    found: list[Path] = []
    for path in options.models:
        if path.suffix == _ONNX:
            options.original = options.original or path
            size = Size.parse(options.size) if options.size else None
            path = conversion.to_tflite(path, work, size=size)
        found.append(path)
    return found


def source(options: argparse.Namespace, first: Variant) -> str:
    """Return where a model comes from, with its distance from the original; '' if none is named.

    Raises:
        ModelError, StackMissing, DeviceError: the original cannot be compared.
    """
    original: Path | None = options.original
    if original is None:
        return ""
    found = conversion.drift(original, first.model(), _images(options.frames))
    by = f"by {conversion.converter()} " if original in options.models else ""
    print(f"Conversion drift, the FP32 model against {original.name}: {found}")
    return (
        f"converted {by}from {original.name} (sha256 {sha256_of(original.read_bytes())[:12]}); "
        f"conversion drift {_short(found)}"
    )


def _short(found: ConversionDrift) -> str:
    return f"{found.psnr_db:.1f} dB at worst; limits are against FP32 and do not hold it"


def _images(folder: Path) -> list[Pixels]:
    """Return the first images of a folder."""
    if not folder.is_dir():
        return []
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _IMAGES]
    return [images.load(path) for path in paths[:_FRAMES_MAX]]
