"""Build a subject's variants by name from its trained weights: what `harness build` does."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from harness import graph
from harness.compress.build import Built, build, record
from harness.compress.check import measure
from harness.compress.export import convert
from harness.compress.prune import prune
from harness.compress.qat import calibrate, convert_qat, quantization_aware
from harness.errors import ConfigError
from harness.subjects import Precision
from harness.text import meant
from harness.training import photos
from harness.training.batches import to_float
from harness.training.checkpoint import load_weights
from harness.training.subject import batches_for, design, facts
from harness.training.train import Recipe, restored_psnr_db, small, train
from harness.zoo.designs import DESIGNS, PAPER_DESIGNS, Build

PLAIN = (Precision.FP32, Precision.FP16, Precision.INT8_PTQ, Precision.INT16_PTQ)
QAT_RATE = 2e-5
PRUNED_RATE = 5e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workspace:
    """The folders in which a subject is built.

    Attributes:
        subject: Name of the subject and of its design.
        folder: The subject's folder in `golden/`.
        cache: Where photographs, crops and checkpoints are kept.
        progress: Whether to draw progress lines.
        designs: The designs of the size that it is built in.
    """

    subject: str
    folder: Path
    cache: Path
    progress: bool = True
    designs: Mapping[str, Build] = dataclasses.field(default_factory=lambda: DESIGNS)

    def trained(self) -> keras.Model:
        """Return the network with the weights in the subject's folder.

        Raises:
            ConfigError: There are no weights, or they are of another design.
        """
        weights = self.folder / "weights.npz"
        if not weights.is_file():
            raise ConfigError(f"{weights} is missing; run `harness train {self.subject}` first")
        model = design(self.subject, known=self.designs)()
        load_weights(model, weights)
        return model

    def fp32(self, *, size_px: tuple[int, int]) -> bytes:
        """Return the FP32 file: that in the subject's folder, or one exported now."""
        path = self.folder / "fp32.tflite"
        if path.is_file():
            return path.read_bytes()
        return convert(self.trained(), precision=Precision.FP32, size_px=size_px)

    def training_command(self) -> str:
        """Return the command that trained the weights in the folder that `harness train` left.

        Raises:
            ConfigError: It holds no finished training.
        """
        return str(_handed_over(self.folder, self.subject)["command"])

    def facts(self, recipe: Recipe, command: str) -> dict[str, Any]:
        """Return what a reader needs to make the weights again, without paths of this machine."""
        return facts(recipe, command=command, cache=self.cache)

    def held_out(self) -> photos.CropPairs:
        """Return the frames that variants are measured on."""
        return photos.cached_pairs(photos.HELD_OUT, cache=self.cache)

    def calibration(self) -> photos.CropPairs:
        """Return the frames that integer files take their ranges from."""
        return photos.cached_pairs(photos.CALIBRATION, cache=self.cache)


def build_plain(
    workspace: Workspace,
    model: keras.Model,
    *,
    training: Mapping[str, Any],
    precisions: Sequence[Precision] = PLAIN,
) -> tuple[Built, ...]:
    """Export a trained network as it is: fp32, fp16, int8_ptq, int16_ptq."""
    return build(
        model,
        folder=workspace.folder,
        precisions=precisions,
        calibration=workspace.calibration(),
        held_out=workspace.held_out(),
        training=training,
    )


def build_qat(workspace: Workspace, *, steps: int, seed: int = 21) -> Built:
    """Fine-tune with fake quantization and export `int8_qat`, fully integer.

    Args:
        workspace: The subject.
        steps: Fine-tuning steps, at a fiftieth of the rate of `small`.
        seed: Seed of the batches.
    """
    recipe = dataclasses.replace(small(steps=steps, seed=seed), learning_rate=QAT_RATE)
    frames = [to_float(blurred[None]) for blurred in workspace.calibration().blurred]

    def started() -> keras.Model:
        aware = quantization_aware(workspace.trained())
        calibrate(aware, frames)
        return aware

    trained = _fine_tuned(workspace, started, recipe, name="int8_qat")
    file = convert_qat(trained, size_px=(frames[0].shape[1], frames[0].shape[2]))
    parent = (workspace.folder / "fp32.tflite").read_bytes()
    built = Built(
        name=Precision.INT8_QAT.value,
        file=file,
        quality=measure(file, parent, workspace.held_out()),
        macs=graph.parse(file).macs,
    )
    (workspace.folder / f"{built.name}.tflite").write_bytes(file)
    command = f"harness build {workspace.subject} --variants int8_qat --steps {steps}"
    training = {**workspace.facts(recipe, command), "start_from": "fp32"}
    record(workspace.folder / "provenance.json", [built], training=training)
    return built


def build_pruned(
    workspace: Workspace,
    *,
    macs_percent: int,
    steps: int,
    precisions: Sequence[Precision] = (Precision.FP32,),
) -> tuple[Built, ...]:
    """Prune to a share of the MACs, fine-tune, and export `pruned<percent>` and its like.

    Args:
        workspace: The subject.
        macs_percent: MACs wanted, in percent of the subject's own.
        steps: Fine-tuning steps, at half the rate of `small`.
        precisions: What to export; int8_ptq becomes `pruned<percent>_int8`.
    """
    seed = 10 + macs_percent
    recipe = dataclasses.replace(small(steps=steps, seed=seed), learning_rate=PRUNED_RATE)
    name = f"pruned{macs_percent}"

    def started() -> keras.Model:
        return prune(workspace.trained(), macs_share=macs_percent / 100.0)

    raw = started()
    before = restored_psnr_db(lambda frame: np.asarray(raw(frame)), workspace.held_out())
    trained = _fine_tuned(workspace, started, recipe, name=name)
    command = f"harness build {workspace.subject} --variants {name} --steps {steps}"
    return build(
        trained,
        folder=workspace.folder,
        precisions=precisions,
        calibration=workspace.calibration(),
        held_out=workspace.held_out(),
        training={
            **workspace.facts(recipe, command),
            "start_from": "fp32",
            "macs_share": macs_percent / 100.0,
            "importance": "L2 norm of the tied filters over the layer's mean",
            "held_out_psnr_db_before_fine_tuning": round(float(np.mean(before)), 4),
        },
        prefix=f"{name}_",
        parent=(workspace.folder / "fp32.tflite").read_bytes(),
    )


def build_variants(
    workspace: Workspace, variants: Sequence[str], *, steps: int
) -> tuple[Built, ...]:
    """Build variants by name from the weights in the subject's folder.

    Args:
        workspace: The subject.
        variants: Names: fp32, fp16, int8_ptq, int16_ptq, int8_qat, pruned<percent>,
            pruned<percent>_int8.
        steps: Fine-tuning steps of int8_qat and of pruned networks.

    Raises:
        ConfigError: A name is not known.
    """
    plain = [precision for precision in PLAIN if precision.value in variants]
    pruned: dict[int, list[Precision]] = {}
    for name in variants:
        match = re.fullmatch(r"pruned(\d{1,2})(_int8)?", name)
        if match:
            precision = Precision.INT8_PTQ if match[2] else Precision.FP32
            pruned.setdefault(int(match[1]), []).append(precision)
        elif name not in (*PLAIN, Precision.INT8_QAT):
            known = ", ".join([*PLAIN, Precision.INT8_QAT])
            close = meant(name, [*PLAIN, Precision.INT8_QAT])
            raise ConfigError(
                f"no variant {name!r}; known: {known}, prunedNN, prunedNN_int8{close}"
            )
    built: list[Built] = []
    if plain:
        training = _training_of(workspace.folder / "provenance.json")
        built += build_plain(workspace, workspace.trained(), training=training, precisions=plain)
    if Precision.INT8_QAT in variants:
        built.append(build_qat(workspace, steps=steps))
    for percent, precisions in pruned.items():
        built += build_pruned(workspace, macs_percent=percent, steps=steps, precisions=precisions)
    return tuple(built)


def copy_training(workspace: Workspace, training_folder: Path) -> None:
    """Copy what `harness train` handed over into the subject's folder.

    Raises:
        ConfigError: The training is not there or has not ended.
    """
    entry = {"training": _handed_over(training_folder, workspace.subject)}
    workspace.folder.mkdir(parents=True, exist_ok=True)
    weights = training_folder / "weights.npz"
    (workspace.folder / "weights.npz").write_bytes(weights.read_bytes())
    provenance = workspace.folder / "provenance.json"
    known = json.loads(provenance.read_text()) if provenance.is_file() else {"variants": {}}
    known["variants"][Precision.FP32.value] = {
        **known["variants"].get(Precision.FP32.value, {}),
        **entry,
    }
    provenance.write_text(json.dumps(known, indent=1) + "\n")


def export_paper(name: str, *, folder: Path, size_px: tuple[int, int] = (256, 256)) -> Path:
    """Export a paper-size network with untrained weights: for structure, MACs and latency only.

    Returns:
        The path of the file, `<folder>/<name>/paper_untrained.tflite`.

    Raises:
        ConfigError: There is no such design of paper size.
    """
    keras.utils.set_random_seed(1)
    model = design(name, known=PAPER_DESIGNS)()
    path = folder / name / "paper_untrained.tflite"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(convert(model, precision=Precision.FP32, size_px=size_px))
    return path


def _handed_over(folder: Path, subject: str) -> dict[str, Any]:
    """Return how the weights in a training's folder were trained, as `harness train` wrote."""
    weights, training = folder / "weights.npz", folder / "training.json"
    if not (weights.is_file() and training.is_file()):
        raise ConfigError(f"{folder} holds no finished training; run `harness train {subject}`")
    return dict(json.loads(training.read_text()))


def _training_of(provenance: Path) -> dict[str, Any]:
    """Return how the subject's weights were trained, as its provenance says."""
    known = json.loads(provenance.read_text())
    return dict(known["variants"]["fp32"]["training"])


def _fine_tuned(
    workspace: Workspace, start: Callable[[], keras.Model], recipe: Recipe, *, name: str
) -> keras.Model:
    return train(
        start,
        batches_for(recipe, cache=workspace.cache),
        recipe=recipe,
        folder=workspace.cache.parent / "train" / f"{workspace.subject}_{name}",
        progress=workspace.progress,
    ).model
