"""The trainings of the study, taken in turns so that all learning curves grow together.

Every design has about the same MACs and learns from the same photographs, by the same recipe; a
round takes each a slice of steps further. A cut loses at most the steps since the last checkpoint,
and the next call goes on with the training that is furthest behind.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import operator
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras

from harness.errors import ConfigError
from harness.training import photos
from harness.training.checkpoint import steps_done
from harness.training.subject import facts, hand_over, train_subject
from harness.training.train import STUDY_STEPS, Recipe, study
from harness.zoo.designs import OP_GRID

ARCHITECTURES = ("deblur_fpn", "deblur_edsr", "deblur_rdn", "deblur_dbpn", "deblur_sgn")
UNET = "unet_resize_bilinear_prelu"
FIRST_SEED = 1  # its weights are the ones that a subject is built of
SEEDS_OF_AN_ARCHITECTURE = (FIRST_SEED, 2, 3)
SEEDS_OF_AN_UPSAMPLING = (FIRST_SEED, 2)
SHIPPED = "deblur_unet"
SHIPPED_RATE = 5e-4  # it goes on from weights that were trained before
SHIPPED_BATCH = 4  # late in a training larger steps in better directions gain more


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """One training of the study.

    Attributes:
        name: Name of its folder.
        design: The design that it trains.
        recipe: How.
        goes_on: Whether it starts from the weights in the design's golden folder.
    """

    name: str
    design: str
    recipe: Recipe
    goes_on: bool = False


def plan(*, steps: int = STUDY_STEPS) -> tuple[Training, ...]:
    """Return the study's trainings: deblur_unet, then the eleven designs seed by seed."""
    shipped = dataclasses.replace(
        study(steps=steps), learning_rate=SHIPPED_RATE, batch=SHIPPED_BATCH
    )
    trainings = [Training(name=SHIPPED, design=SHIPPED, recipe=shipped, goes_on=True)]
    seeds: dict[str, tuple[int, ...]] = dict.fromkeys(
        (UNET, *ARCHITECTURES), SEEDS_OF_AN_ARCHITECTURE
    )
    seeds |= {name: SEEDS_OF_AN_UPSAMPLING for name in OP_GRID if name != UNET}
    seeded = [(seed, design) for design, numbers in seeds.items() for seed in numbers]
    for seed, design in sorted(seeded, key=operator.itemgetter(0)):
        recipe = study(steps=steps, seed=seed)
        trainings.append(Training(name=f"{design}_seed{seed}", design=design, recipe=recipe))
    return tuple(trainings)


def turns(
    trainings: Sequence[Training], *, folder: Path, slice_steps: int
) -> Iterator[tuple[Training, int]]:
    """Yield whose turn it is and up to which step, until every training has ended.

    Several processes may do so in one folder side by side: a training is one's own while it is
    yielded, and those in other hands are passed over.

    Args:
        trainings: In the order of a round.
        folder: Where each training has a folder.
        slice_steps: Steps of a turn.

    Raises:
        ConfigError: `slice_steps` is below 1.
    """
    if slice_steps < 1:
        raise ConfigError(f"a slice of {slice_steps} steps trains nothing; name at least 1")

    def turns_done(training: Training) -> int:
        return steps_done(folder / training.name / "checkpoint.npz") // slice_steps

    def unfinished(training: Training) -> bool:
        return steps_done(folder / training.name / "checkpoint.npz") < training.recipe.steps

    had_one = True
    while had_one:
        had_one = False
        for training in sorted(filter(unfinished, trainings), key=turns_done):
            with _held(folder / training.name) as own:
                if own and unfinished(training):
                    end = (turns_done(training) + 1) * slice_steps
                    had_one = True
                    yield training, min(end, training.recipe.steps)
                    break


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a training during the block, and say whether it could be had; a kill lets it go."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _claim_data(folder: Path) -> None:
    """Write down which photographs and crops a training learns from, or check that it still does.

    Raises:
        ConfigError: It began with other ones.
    """
    path, key = folder / "data.txt", photos.key_of(photos.TRAINING)
    if path.is_file() and path.read_text().strip() != key:
        raise ConfigError(
            f"{folder.name} was trained on other photographs or crops ({path.read_text().strip()}, "
            f"now {key}); go on with the version that it began with, or choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(key + "\n")


def go_on(
    trainings: Sequence[Training],
    *,
    folder: Path,
    golden: Path,
    cache: Path,
    slice_steps: int,
    tell: Callable[[str], None],
    progress: bool = True,
) -> None:
    """Train everything in turns until it is done; call again after a cut.

    Args:
        trainings: In the order of a round.
        folder: Where each training has a folder with its checkpoint, logs and weights.
        golden: Where the weights lie that `goes_on` starts from.
        cache: Where photographs and their crops are kept.
        slice_steps: Steps of a turn.
        tell: Is told what each turn did.
        progress: Whether to draw progress lines.

    Raises:
        ConfigError: A training began with other data or another recipe.
    """
    for training, end in turns(trainings, folder=folder, slice_steps=slice_steps):
        _claim_data(folder / training.name)
        start_from = golden / training.design / "weights.npz" if training.goes_on else None
        tell(f"{training.name}: to step {end} of {training.recipe.steps}")
        trained = train_subject(
            training.design,
            recipe=training.recipe,
            folder=folder / training.name,
            cache=cache,
            start_from=start_from,
            validates=True,
            stop_after=end,
            progress=progress,
        )
        command = f"harness study train; {training.name}, its first {end} steps"
        known = facts(training.recipe, command=command, cache=cache)
        if training.goes_on:
            known["start_from"] = f"the weights of {training.design} before"
        hand_over(trained, folder=folder / training.name, training={**known, "steps_done": end})
        tell(f"{training.name}: at step {end} after {trained.seconds:.0f} s")
        keras.utils.clear_session()
