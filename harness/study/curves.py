"""Learning curves of the study's trainings: gathered into one CSV, read back for the picture."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import ConfigError
from harness.study.tables import Table

NAME = "learning_curves.csv"
HEADER = ("training", "step", "psnr_db")
Curve = Sequence[tuple[int, float]]  # step, mean PSNR of the held-out frames in dB


def gather(folder: Path) -> dict[str, Curve]:
    """Read `held_out.csv` of every training in a folder.

    Raises:
        ConfigError: There is none.
    """
    found: dict[str, Curve] = {}
    for path in sorted(folder.glob("*/held_out.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            curve = [(int(row["step"]), float(row["psnr_db"])) for row in csv.DictReader(file)]
        if curve:
            found[path.parent.name] = curve
    if not found:
        raise ConfigError(f"{folder} holds no learning curve yet; run `harness study train`")
    return found


def save(found: Mapping[str, Curve], path: Path) -> None:
    """Write curves as one CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for name, curve in found.items():
            writer.writerows((name, step, f"{db:.4f}") for step, db in curve)


def load(path: Path) -> dict[str, Curve]:
    """Read what `save` wrote."""
    found: dict[str, list[tuple[int, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["training"], []).append((int(row["step"]), float(row["psnr_db"])))
    return dict(found)


def last_tenth_db(curve: Curve) -> float | None:
    """Return what the last tenth of the steps gained in dB; None where the curve is too short."""
    last, end_db = curve[-1]
    before = [db for step, db in curve if step <= 0.9 * last]
    return end_db - before[-1] if before else None


def by_design(found: Mapping[str, Curve]) -> dict[str, list[str]]:
    """Return the names of the trainings of each design, which differ in their seed alone."""
    names: dict[str, list[str]] = {}
    for name in found:
        names.setdefault(name.rpartition("_seed")[0] or name, []).append(name)
    return names


def table(found: Mapping[str, Curve]) -> Table:
    """Return where each training ended, and what its last tenth still gained."""
    rows = []
    for names in by_design(found).values():
        gains = {name: last_tenth_db(found[name]) for name in names}
        known = [gain for gain in gains.values() if gain is not None]
        mean = f"{statistics.mean(known):+.3f}" if len(known) > 1 else ""
        for name, gained in gains.items():
            steps, psnr = found[name][-1]
            own = "" if gained is None else f"{gained:+.3f}"
            rows.append((name, str(steps), f"{psnr:.3f}", own, mean))
    return Table(
        name="trainings",
        title="Trainings: where each ended, and what its last tenth still gained",
        header=("training", "steps", "PSNR dB", "last tenth dB", "mean of its design"),
        rows=tuple(rows),
    )
