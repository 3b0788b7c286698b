"""Quantize an FP32 model, calibrated on a subject's frames (needs the extra `quantize`).

The recipes: int8 and int16 have 8-bit weights, and activations of 8 or 16 bits by the ranges that
the frames give; int8-dynamic has 8-bit weights alone; fp16 has half-precision weights; mixed is
int8 with the least set of ops left in float that keeps a PSNR.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from harness import images, quantization, quantizing, samples, subjects
from harness import model as models
from harness.cli import shared
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, GateError, HarnessError, ModelError
from harness.estimate.model import estimate
from harness.images import UNIT_RANGE, Pixels, Size
from harness.model import Model
from harness.profiles import Target
from harness.quantizing import Quantizing, Step
from harness.subjects import SUBJECT_FILE, precision_of
from harness.text import counted

_MIXED = "mixed"
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_FRAMES_MAX = 16
_FLOAT = "float32"
_MOVES = frozenset({"DEQUANTIZE", "QUANTIZE"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness quantize`."""
    parser.add_argument("model", type=Path, metavar="FP32.tflite")
    parser.add_argument("--recipe", required=True, choices=(*quantizing.PRECISIONS, _MIXED))
    parser.add_argument(
        "--keep-psnr",
        type=float,
        metavar="DB",
        help="least PSNR against the FP32 model on every frame; ends with 1 below it",
    )
    parser.add_argument(
        "--frames",
        type=Path,
        metavar="DIR",
        help="images to calibrate and check on, default those of the subject that the model is of",
    )
    parser.add_argument(
        "--frames-max",
        type=int,
        default=_FRAMES_MAX,
        metavar="N",
        help="most images to take, in order of their names; default %(default)s",
    )
    parser.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="NAME[:DELEGATE]",
        help="also say the estimated latency on these phones",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default FP32_RECIPE.tflite")
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Write the quantized model and say how far it is from its FP32 parent."""
    path: Path = options.model
    out = options.out or path.with_name(f"{path.stem}_{options.recipe.replace('-', '_')}.tflite")
    if out.exists():
        raise ConfigError(f"{out}: exists already; name another file with --out")
    if options.recipe == _MIXED and options.keep_psnr is None:
        raise ConfigError("--recipe mixed wants --keep-psnr, the PSNR in dB that it is to keep")
    targets: tuple[Target, ...] = ()
    if options.device:
        targets = shared.every_target(shared.load_profiles(options), options.device)
    model = models.load(path)
    frames, output_range = _frames(options, model)
    quantizing_it = Quantizing(model=model, frames=frames, output_range=output_range)
    if options.recipe == _MIXED:
        made = _mixed(quantizing_it, options.keep_psnr, targets)
    else:
        made = quantizing_it.quantized(options.recipe)
    worst_db = _say(quantizing_it, made, targets if options.recipe != _MIXED else ())
    if options.keep_psnr is not None and worst_db < options.keep_psnr:
        raise GateError(
            f"{worst_db:.2f} dB is less than --keep-psnr={options.keep_psnr:g}, and nothing is "
            "written; `--recipe mixed` leaves in float what costs most"
        )
    out.write_bytes(made.data)
    print(
        f"Wrote {out}. In subject.toml it is a [[variants]] of precision = "
        f'"{precision_of(made.graph).value}" and sha256 = "{made.sha256}".'
    )
    return 0


def _mixed(it: Quantizing, keep_psnr_db: float, targets: Sequence[Target]) -> Model:
    """Search the least set of ops in float, print each step, and return the file."""
    tried: list[Step] = []
    for step in quantizing.least_in_float(it, keep_psnr_db=keep_psnr_db):
        tried.append(step)
        ops = counted(len(step.kept), "op")
        shared.console().print(
            f"{ops} in float: {step.psnr_db:.2f} dB{'' if step.keeps else ', too low'}",
            highlight=False,
        )
    table = Table(box=None, pad_edge=False)
    for column in ("ops in float", "PSNR dB", "MiB", *(f"{t} ms" for t in targets)):
        table.add_column(column, overflow="fold")
    for step in _front(tried):
        table.add_row(
            str(len(step.kept)),
            f"{step.psnr_db:.2f}",
            f"{len(step.model.data) / 2**20:.3g}",
            *(_latency(step.model, target) for target in targets),
        )
    shared.console().print(table)
    last = tried[-1]
    graph = it.model.graph
    kept = ", ".join(f"{graph.ops[op].name} #{op}" for op in sorted(last.kept)) or "none"
    print(f"In float: {kept}")
    return last.model


def _front(tried: Iterable[Step]) -> list[Step]:
    """Return, by the number of ops in float, the best of as many, where more give more."""
    best: dict[int, Step] = {}
    for step in tried:
        known = best.setdefault(len(step.kept), step)
        if step.psnr_db > known.psnr_db:
            best[len(step.kept)] = step
    found: list[Step] = []
    for count in sorted(best):
        if not found or best[count].psnr_db > found[-1].psnr_db:
            found.append(best[count])
    return found


def _say(it: Quantizing, made: Model, targets: Sequence[Target]) -> float:
    """Print what a quantized model is and how far it is from FP32; return the worst PSNR in dB."""
    matches = it.distances(made)
    worst, best = (pick(match.psnr_db for match in matches) for pick in (min, max))
    sizes = " -> ".join(f"{len(one.data) / 2**20:.3g}" for one in (it.model, made))
    print(
        f"{precision_of(made.graph).value}: {sizes} MiB; against FP32 on "
        f"{counted(len(matches), 'frame')} of {it.sized.size}: PSNR {worst:.2f} to {best:.2f} dB, "
        f"worst tile {min(match.worst_tile_psnr_db for match in matches):.2f} dB, relative L2 at "
        f"most {max(match.relative_l2 for match in matches):.2g}"
    )
    if floats := _floats(made):
        print(f"Ops that compute in float: {floats}")
    if hazard := quantization.clipping(made.graph):
        print(f"Note: {hazard}")
    for target in targets:
        print(f"{target}: {_latency(it.model, target)} -> {_latency(made, target)} ms")
    return worst


def _floats(made: Model) -> str:
    """Return the ops of an 8- or 16-bit model that compute in float, with how many there are."""
    graph = made.graph
    dtypes = [(op.name, graph.tensors[op.outputs[0]].dtype) for op in graph.ops if op.outputs]
    counts = Counter(name for name, dtype in dtypes if dtype == _FLOAT and name not in _MOVES)
    if all(dtype == _FLOAT for name, dtype in dtypes if name not in _MOVES):
        return ""
    return ", ".join(f"{name} x{count}" for name, count in counts.most_common())


def _latency(model: Model, target: Target) -> str:
    """Return the estimated milliseconds with their interval, or why there are none."""
    try:
        found = estimate(model, Emulated(target).place(model), target)
    except HarnessError as error:
        return f"unknown ({error})"
    if not found.absolute:
        return f"{found.estimate_ms:.3g} (relative only)"
    return f"{found.estimate_ms:.3g} ({found.low_ms:.3g} to {found.high_ms:.3g})"


def _frames(options: argparse.Namespace, model: Model) -> tuple[list[Pixels], tuple[float, float]]:
    """Return the frames to calibrate on, all of one size, and the range of the output.

    Raises:
        ConfigError: there are none.
        BlessedDataError: one cannot be read.
    """
    folder = options.model.resolve().parent
    output_range = UNIT_RANGE
    if (folder / SUBJECT_FILE).exists():
        subject = subjects.load(folder)
        output_range = subject.output_range
        if options.frames is None:
            found = [samples.load(subject, name).frame for name in samples.names(subject)]
            return _of_one_size(found[: options.frames_max], model), output_range
    if options.frames is None:
        raise ConfigError(
            f"{options.model}: has no {SUBJECT_FILE} beside it; name a folder of images with "
            "--frames"
        )
    if not options.frames.is_dir():
        raise ConfigError(f"--frames {options.frames}: no such folder of images")
    paths = [p for p in sorted(options.frames.iterdir()) if p.suffix.lower() in _IMAGES]
    blurred = [p for p in paths if p.name.endswith(".blurred.png")]
    chosen = (blurred or paths)[: options.frames_max]
    return _of_one_size([images.load(path) for path in chosen], model), output_range


def _of_one_size(frames: Sequence[Pixels], model: Model) -> list[Pixels]:
    """Return the frames of the most common size, or their middles where the model is larger."""
    if not frames:
        raise ConfigError("there are no frames to calibrate on; name a folder with --frames")
    size, _ = Counter(Size.of(frame) for frame in frames).most_common(1)[0]
    same = [frame for frame in frames if Size.of(frame) == size]
    if len(same) < len(frames):
        print(f"Note: {len(frames) - len(same)} frames are of another size than {size}: left out")
    try:
        model.at(size)
    except ModelError:
        if size.width_px < model.size.width_px or size.height_px < model.size.height_px:
            raise
        return [_middle(frame, model.size) for frame in same]
    return same


def _middle(frame: Pixels, size: Size) -> Pixels:
    top, left = (frame.shape[1] - size.height_px) // 2, (frame.shape[2] - size.width_px) // 2
    return np.ascontiguousarray(frame[:, top : top + size.height_px, left : left + size.width_px])
