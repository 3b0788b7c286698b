"""Learning curves of the study's trainings: gathered into one CSV, read back for the picture."""

from __future__ import annotations

import csv
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


def table(found: Mapping[str, Curve]) -> Table:
    """Return where each training ended, and what its last tenth still gained."""
    rows = []
    for name, curve in found.items():
        gained = last_tenth_db(curve)
        steps, psnr = curve[-1]
        rows.append((name, str(steps), f"{psnr:.3f}", "" if gained is None else f"{gained:+.3f}"))
    return Table(
        name="trainings",
        title="Trainings: where each ended, and what its last tenth still gained",
        header=("training", "steps", "PSNR dB", "last tenth dB"),
        rows=tuple(rows),
    )
