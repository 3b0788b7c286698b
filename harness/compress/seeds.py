"""The FP32 files of networks that were trained with several seeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.compress.subject import Workspace
from harness.errors import ConfigError
from harness.subjects import Precision
from harness.training import photos
from harness.training.rounds import FIRST_SEED, plan

Files = dict[str, bytes]  # "fp32" is the committed file of the first seed, then "seed2" and so on


def files(folder: Path, *, golden: Path, cache: Path) -> Iterator[tuple[str, Files]]:
    """Yield each design with further seeds, and its FP32 file for each seed.

    A training that left no weights yet is left out.

    Args:
        folder: Where `harness study train` keeps its trainings.
        golden: Where the subjects lie that were built of the first seed.
        cache: Where photographs and their crops are kept.

    Raises:
        ConfigError: No training of a further seed left weights there.
    """
    found: dict[str, dict[str, Path]] = {}
    for training in plan():
        own, seed = folder / training.name, training.recipe.seed
        if seed != FIRST_SEED and (own / "weights.npz").is_file():
            found.setdefault(training.design, {})[f"seed{seed}"] = own
    if not found:
        raise ConfigError(
            f"{folder} holds no training of a further seed; run `harness study train`"
        )
    size = photos.HELD_OUT.size_px
    for design, seeds in found.items():
        built: Files = {}
        for name, own in {Precision.FP32.value: golden / design, **seeds}.items():
            workspace = Workspace(subject=design, folder=own, cache=cache)
            built[name] = workspace.fp32(size_px=(size, size))
        yield design, built
