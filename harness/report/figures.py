"""A run as PNG files for people who paste: planes, placement strips, frames (extra `study`)."""

import base64
import contextlib
import io
import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from harness import extras, text
from harness.errors import HarnessError, StackMissing
from harness.report.colours import COLOURS
from harness.report.page import planes
from harness.report.page.charts import SYMBOLS
from harness.report.page.merging import merge
from harness.report.page.pictures import ERROR_WHITE, Frame, gallery
from harness.report.page.placements import placements
from harness.report.page.planes import Plane
from harness.report.page.strips import Strip, strips
from harness.report.page.timings import timings
from harness.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
_MARKERS = dict(zip(SYMBOLS, "os^DPvh", strict=True))
"""Of matplotlib, by symbol of the page's charts."""
_LOOKS = 3
"""Most outputs of variants beside each other; those that are farthest from FP32."""
_NAME = 80


def write(results: Sequence[Results], folder: Path, *, golden_dir: Path) -> list[Path]:
    """Write the pictures of runs into a folder, and return their files.

    `plane-*.png` is quality against latency, `strip-*.png` where the ops of a variant run on each
    phone, `comparison-*.png` a frame with what variants made of it.

    Args:
        results: At least one run; of two rulings of one test the newer counts.
        folder: Made where it is missing.
        golden_dir: Folder of the subjects, for the frames.

    Raises:
        StackMissing: matplotlib is not installed.
        ConfigError: a fact's fields are not those of its kind.
        HarnessError: a file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        line = f"matplotlib is not installed; {extras.install_command('study')} adds it"
        raise StackMissing(line) from None
    written: list[Path] = []
    with mpl.rc_context({"text.parse_math": False, "font.size": 9}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a name of others
        for name, figure in _figures(results, golden_dir):
            path = folder / _unused(name, written)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                figure.savefig(path, dpi=_DPI, facecolor="white")
            except OSError as error:
                raise HarnessError(f"{path}: cannot be written ({error.strerror})") from None
            written.append(path)
    return written


def _figures(results: Sequence[Results], golden_dir: Path) -> "Iterator[tuple[str, Figure]]":
    merged = merge(results)
    timed = timings(merged.facts)
    for plane in planes.found_in(merged, timed):
        yield f"plane-{plane.title}", _plane(plane)
    placed = strips(placements(merged.facts), timed)
    for name, stack in itertools.groupby(placed, key=lambda strip: strip.name):
        yield f"strip-{name}", _stack(name, list(stack))
    shown = gallery(merged, golden_dir)
    for frame in shown.frames:
        yield f"comparison-{frame.subject}-{frame.name}", _comparison(frame, shown.images)


def _unused(name: str, taken: Sequence[Path]) -> str:
    """Return a file's name that says what it shows, and that no other picture has."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:_NAME].strip("-.")
    known = {path.name for path in taken}
    names = (f"{plain}{f'-{number}' if number > 1 else ''}.png" for number in itertools.count(1))
    return next(one for one in names if one not in known)


def _figure(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> "tuple[Figure, list[Axes]]":
    """Return a figure of some inches, and its axes row by row; no window is opened."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _plane(plane: Plane) -> "Figure":
    figure, (axes,) = _figure(7.0, 4.6)
    for point in plane.points:
        colour, symbol = point.style
        timing, height = point.timing, plane.drawn_db(point)
        ends = None
        if timing.low_ms is not None and timing.high_ms is not None:
            ends = [[timing.ms - timing.low_ms], [timing.high_ms - timing.ms]]
        axes.errorbar(
            timing.ms, height, xerr=ends, fmt=_MARKERS[symbol], color=COLOURS[colour],
            markersize=8, elinewidth=1, capsize=3, label=text.brief(point.name),
        )  # fmt: skip
    front = planes.pareto(plane.points)
    axes.step(
        [point.timing.ms for point in front], [plane.drawn_db(point) for point in front],
        where="post", color="#1a7f37", linestyle="--", label="Pareto front",
    )  # fmt: skip
    if plane.budget_ms is not None:
        label = f"budget {plane.budget_ms:g} ms"
        axes.axvline(plane.budget_ms, color="#c11a23", linewidth=1.2, label=label)
    axes.set_xlim(left=0)
    axes.set_ylim(*plane.ends_db)
    known = ", ".join(dict.fromkeys(point.timing.evidence.value for point in plane.points))
    relative = any(point.timing.relative for point in plane.points)
    axes.set_xlabel(f"latency, ms [{known}]{', relative only' if relative else ''}")
    axes.set_ylabel(plane.quality)
    axes.set_title(text.brief(plane.title, _NAME))
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(fontsize=7, loc="best")
    return figure


def _stack(name: str, stack: Sequence[Strip]) -> "Figure":
    """Draw the strips of a variant above each other, each with its units by letter and colour."""
    figure, rows = _figure(10.0, 0.5 + 0.95 * len(stack), rows=len(stack))
    figure.suptitle(text.brief(name, _NAME), fontsize=11)
    widest = max(strip.width_px for strip in stack)
    for axes, strip in zip(rows, stack, strict=True):
        _strip(axes, strip, widest)
    return figure


def _strip(axes: "Axes", strip: Strip, widest: float) -> None:
    from matplotlib.patches import Rectangle

    for block in strip.blocks:
        corner, size = (block.x_px, 0.0), (block.width_px, strip.height_px)
        hatch = "///" if block.fallback else None
        axes.add_patch(
            Rectangle(corner, *size, facecolor=COLOURS[block.style], edgecolor="white",
                      hatch=hatch, linewidth=0.3)
        )  # fmt: skip
        axes.text(
            block.x_px + block.width_px / 2, strip.height_px / 2, block.letter, color="white",
            ha="center", va="center", fontsize=7,
        )  # fmt: skip
    for x_px in strip.crossings:
        axes.axvline(x_px, color="#57606a", linewidth=0.8)
    units = ", ".join(f"{letter} = {unit}" for letter, _, unit in strip.legend)
    width = "width = share of the estimated time" if strip.timed else "one block for each op"
    sizes = ", ".join(strip.resolutions)
    axes.set_title(
        text.line(f"{strip.target} at {sizes}: {strip.summary}; {units}; {width}", 180),
        fontsize=7.5, loc="left",
    )  # fmt: skip
    axes.set_xlim(0, widest)
    axes.set_ylim(0, strip.height_px)
    axes.axis("off")


def _comparison(frame: Frame, images: Sequence[str]) -> "Figure":
    """Draw a frame: given, FP32, what variants made of it, sharp; error maps below."""
    looks = [look for look in frame.looks if look.image is not None][:_LOOKS]
    reference = "blessed FP32" if frame.of_fp32 else "first output"
    shown: list[tuple[str, int, int | None]] = [
        ("given", frame.degraded, None),
        (reference, frame.fp32, None),
    ]
    for look in looks:
        targets = (
            f"{look.targets[0]}{f' and {len(look.targets) - 1} more' if look.targets[1:] else ''}"
        )
        title = f"{text.brief(look.variant, 24)}, {look.psnr_db:.1f} dB\n{text.brief(targets, 30)}"
        if look.image is not None:
            shown.append((title, look.image, look.error))
    if frame.sharp is not None:
        shown.append(("sharp", frame.sharp, None))
    figure, axes = _figure(2.6 * len(shown), 5.9, rows=2, columns=len(shown))
    title = (
        f"{frame.subject}, frame {frame.name}; error maps: white is {ERROR_WHITE:.2%} of the range"
    )
    figure.suptitle(text.brief(title, 160), fontsize=10)
    for at, (label, image, error) in enumerate(shown):
        below = axes[at + len(shown)]
        axes[at].imshow(_pixels(images[image]))
        axes[at].set_title(label, fontsize=8)
        axes[at].axis("off")
        below.axis("off")
        if error is not None:
            below.imshow(_pixels(images[error]))
            below.set_title("error against FP32", fontsize=8)
    return figure


def _pixels(address: str) -> np.ndarray:
    """Return an image of a page's gallery as uint8 [H, W, 3]."""
    data = base64.b64decode(address.partition("base64,")[2])
    with contextlib.closing(Image.open(io.BytesIO(data))) as image:
        return np.asarray(image.convert("RGB"))
