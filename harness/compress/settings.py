"""Ways to quantize one trained network to 8 bits, each with one thing changed.

Every way gives a real integer file of the same weights, so that what a change costs can be
measured. The first is how subjects are built; the others are what converters and teams did in
2020, when 8 bits cost the paper 2 dB.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np

from harness.compress.export import Frames
from harness.compress.qat import calibrate, convert_qat, quantization_aware
from harness.compress.subject import Workspace
from harness.errors import ConfigError
from harness.training.batches import to_float
from harness.training.subject import batches_for
from harness.training.train import small, train

Range = tuple[float, float]
QAT = "+qat"
QAT_RATE = 1e-4  # five times that of `int8_qat`: here the weights have more to mend
HEAD = "head"  # the name of the convolution that makes the residual, in every design of the zoo


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One way to quantize.

    Attributes:
        name: Its name in tables.
        per_channel: Whether weights have a scale per output channel, or one per tensor.
        percentile: Of the values of a calibration frame that activation ranges reach to.
        calibration_frames: How many frames ranges are taken from; all if None.
        input_range: What the 256 steps of the input reach over; images lie in [0, 1].
        head_range: What the 256 steps of the residual reach over; what it needs if None.
        residual: Whether the head adds a residual to the image, or makes the image itself.
    """

    name: str
    per_channel: bool = True
    percentile: float = 100.0
    calibration_frames: int | None = None
    input_range: Range = (0.0, 1.0)
    head_range: Range | None = None
    residual: bool = True


AS_BUILT = Setting(name="as_built")
SETTINGS = (
    AS_BUILT,
    Setting(name="one_weight_scale_per_tensor", per_channel=False),
    Setting(name="percentile_99.99", percentile=99.99),
    Setting(name="percentile_99.9", percentile=99.9),
    Setting(name="1_calibration_frame", calibration_frames=1),
    Setting(name="8_calibration_frames", calibration_frames=8),
    Setting(name="input_scaled_for_-1_to_1", input_range=(-1.0, 1.0)),
    Setting(name="residual_with_the_scale_of_an_image", head_range=(-1.0, 1.0)),
    Setting(name="head_without_residual", residual=False),
    Setting(name="per_tensor_and_head_without_residual", per_channel=False, residual=False),
)


def prepared(model: keras.Model, setting: Setting, frames: Sequence[np.ndarray]) -> keras.Model:
    """Return a copy of a network that rounds as a setting wants, its ranges known.

    Args:
        model: A trained network of the zoo whose layers quantization-aware training covers.
        setting: What to change.
        frames: Calibration frames, [1, H, W, 3] in [0, 1].
    """
    network = model if setting.residual else without_residual(model)
    aware = quantization_aware(network, per_channel=setting.per_channel)
    chosen: Frames = frames[: setting.calibration_frames]
    calibrate(aware, chosen, percentile=setting.percentile)
    if setting.head_range is not None:
        low, high = setting.head_range
        aware.get_layer(HEAD).range.low.assign(low)
        aware.get_layer(HEAD).range.high.assign(high)
    return aware


def integer_file(aware: keras.Model, setting: Setting, *, size_px: tuple[int, int]) -> bytes:
    """Export what `prepared` made, trained on or not, as a fully integer .tflite."""
    return convert_qat(aware, size_px=size_px, input_range=setting.input_range)


def without_residual(model: keras.Model) -> keras.Model:
    """Return the same function with a head that makes the image itself.

    The image joins the head's input and passes through one tap of weight 1 per channel.
    """
    image, head = model.inputs[0], model.get_layer(HEAD)
    kernel, bias = head.get_weights()
    through = np.zeros((*kernel.shape[:2], 3, 3), kernel.dtype)
    through[kernel.shape[0] // 2, kernel.shape[1] // 2] = np.eye(3)
    config = {**head.get_config(), "name": HEAD}
    whole = keras.layers.Conv2D.from_config(config)
    joined = keras.layers.Concatenate(name="head_join")([head.input, image])
    network = keras.Model(image, whole(joined), name=model.name)
    whole.set_weights([np.concatenate([kernel, through], axis=2), bias])
    return network


def files(
    workspace: Workspace, *, qat_steps: int, trained_on: Sequence[str], tell: Callable[[str], None]
) -> dict[str, bytes]:
    """Return the subject's FP32 file and one integer file per setting.

    Args:
        workspace: The subject, with its weights.
        qat_steps: Fine-tuning steps of quantization-aware training.
        trained_on: Names of the settings that are also fine-tuned, as `<name>+qat`.
        tell: Is told of each file.

    Raises:
        ConfigError: A name is not that of a setting.
    """
    unknown = set(trained_on) - {setting.name for setting in SETTINGS}
    if unknown:
        known = ", ".join(setting.name for setting in SETTINGS)
        raise ConfigError(f"no setting {', '.join(sorted(unknown))}; known: {known}")
    frames = [to_float(blurred[None]) for blurred in workspace.calibration().blurred]
    size_px = (frames[0].shape[1], frames[0].shape[2])
    built = {"fp32": workspace.fp32(size_px=size_px)}
    for setting in SETTINGS:
        tell(setting.name)
        aware = prepared(workspace.trained(), setting, frames)
        built[setting.name] = integer_file(aware, setting, size_px=size_px)
        if setting.name in trained_on:
            tell(f"{setting.name}{QAT}")
            tuned = _fine_tuned(workspace, setting, frames, steps=qat_steps)
            built[setting.name + QAT] = integer_file(tuned, setting, size_px=size_px)
    return built


def _fine_tuned(
    workspace: Workspace, setting: Setting, frames: Sequence[np.ndarray], *, steps: int
) -> keras.Model:
    recipe = dataclasses.replace(small(steps=steps, seed=31), learning_rate=QAT_RATE)
    return train(
        lambda: prepared(workspace.trained(), setting, frames),
        batches_for(recipe, cache=workspace.cache),
        recipe=recipe,
        folder=workspace.cache.parent / "train" / f"{workspace.subject}_{setting.name}_{steps}",
        progress=workspace.progress,
    ).model
