"""The study's pictures, as SVG that is equal for equal figures (needs the extra `study`)."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogLocator,
    NullFormatter,
    ScalarFormatter,
    StrMethodFormatter,
)

from harness.study.curves import Curve, by_design
from harness.study.plane import FileOnPhone, front

_LINES = ("-", "--", ":")  # of the seeds of one design
_MARKERS = {"fp32": "o", "int8_ptq": "s", "int8_qat": "D"}


def plane(points: Sequence[FileOnPhone]) -> bytes:
    """Draw gain against milliseconds, a panel per phone, intervals both ways, its Pareto front."""
    phones = list(dict.fromkeys(one.phone for one in points))
    figure = Figure(figsize=(6.0 * len(phones), 5.0), layout="constrained")
    for axes, phone in zip(figure.subplots(1, len(phones), squeeze=False)[0], phones, strict=True):
        _panel(axes, [one for one in points if one.phone == phone])
        axes.set_title(phone)
    return _svg(figure)


def _panel(axes: Axes, own: Sequence[FileOnPhone]) -> None:
    subjects = list(dict.fromkeys(one.subject for one in own))
    labelled = set()
    for one in own:
        marker = _MARKERS.get(one.variant, "^")
        kind = one.variant if one.variant in _MARKERS else "pruned"
        label = f"{one.subject} {kind}"
        cost, gain = one.cost, one.gain
        axes.errorbar(
            cost.estimate_ms,
            gain.mean_db,
            xerr=[[cost.estimate_ms - cost.low_ms], [cost.high_ms - cost.estimate_ms]],
            yerr=[[gain.mean_db - gain.low_db], [gain.high_db - gain.mean_db]],
            fmt=marker,
            color=f"C{subjects.index(one.subject)}",
            markersize=5,
            elinewidth=0.4,
            label="" if label in labelled else label,
        )
        labelled.add(label)
    best = front(own)
    axes.plot(
        [one.cost.estimate_ms for one in best],
        [one.gain.mean_db for one in best],
        color="black",
        linewidth=0.8,
        linestyle="--",
        label="Pareto front",
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("estimated ms at 1280x720, 90 % interval")
    axes.set_ylabel("gain in PSNR over the blurred frame, dB, 95 % interval")
    axes.legend(fontsize=6)
    axes.grid(visible=True, linewidth=0.3)


def curves(found: Mapping[str, Curve]) -> bytes:
    """Draw the held-out PSNR of each training against its steps, on a log axis of steps.

    A design has a colour, and each of its seeds a line of its own kind.
    """
    figure = Figure(figsize=(11.0, 6.0), layout="constrained")
    axes = figure.subplots()
    colours = mpl.colormaps["tab20"]
    for number, names in enumerate(by_design(found).values()):
        for name, line in zip(names, itertools.cycle(_LINES)):
            steps, psnr = zip(*found[name], strict=True)
            colour = colours(number % colours.N)
            axes.plot(steps, psnr, marker=".", linestyle=line, color=colour, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("steps")
    axes.set_ylabel("mean PSNR on held-out frames, dB")
    figure.legend(fontsize=7, loc="outside right upper")
    axes.grid(visible=True, which="both", linewidth=0.3)
    return _svg(figure)


def _svg(figure: Figure) -> bytes:
    """Return a figure as SVG without a date or random ids, its text as text."""
    out = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "harness", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
