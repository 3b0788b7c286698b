"""Structured channel pruning: take whole channels out, wherever they are read or tied.

Each channel that a convolution makes gets a label. Labels travel through the network:
concatenations put them side by side, additions tie the labels of their operands, depth-to-space
ties four channels that become one. Channels that are tied leave together, so what remains is a
smaller dense network that needs no masks.

A tied group's importance is the L2 norm of all filters that make it, divided by the mean of its
neighbours in the same layer, so that layers are comparable; groups leave in that order until the
MACs meet the target.

Source: Li, Kadav, Durdanovic, Samet, Graf, "Pruning Filters for Efficient ConvNets", ICLR 2017
(arXiv:1608.08710), filter norms; Fang, Ma, Song, Mi, Wang, "DepGraph: Towards Any Structural
Pruning", CVPR 2023 (arXiv:2301.12900), groups of tied channels and their normalisation.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from harness.zoo.layers import ChannelSlice, DepthToSpace2x, SpaceToDepth2x

Labels = npt.NDArray[np.int64]  # one label per channel
LEAST_KEPT_SHARE = 0.25  # of each layer's channels
CLOSE_ENOUGH_SHARE = 0.005  # of the target, where removing stops
TOLERANCE_SHARE = 0.02  # of the target, beyond which the result is refused

_TYING = (keras.layers.Add, keras.layers.Subtract)
_MAKING = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerChannels:
    """One layer of a network with the channels it reads and makes.

    Attributes:
        layer: The layer, with its weights.
        reads: Labels of its input's channels (of the first input, if it has several).
        makes: Labels of its output's channels.
        output_px: Pixels of its output.
        input_px: Pixels of its input.
    """

    layer: keras.layers.Layer
    reads: Labels
    makes: Labels
    output_px: int
    input_px: int

    def macs(self, kept: npt.NDArray[np.bool_]) -> int:
        """Return the layer's MACs when only some labels are kept."""
        if isinstance(self.layer, keras.layers.DepthwiseConv2D):
            taps = int(np.prod(self.layer.kernel_size))
            return self.output_px * taps * int(kept[self.makes].sum())
        if not isinstance(self.layer, _MAKING):
            return 0
        transposed = isinstance(self.layer, keras.layers.Conv2DTranspose)
        pixels = self.input_px if transposed else self.output_px
        taps = int(np.prod(self.layer.kernel_size))
        return pixels * taps * int(kept[self.reads].sum()) * int(kept[self.makes].sum())


def prune(
    model: keras.Model, *, macs_share: float, size_px: tuple[int, int] = (256, 256)
) -> keras.Model:
    """Return a smaller dense network with about a share of the MACs and the best channels.

    Args:
        model: A trained network of the zoo.
        macs_share: MACs wanted, in (0, 1] of the network's own.
        size_px: (height, width) that MACs are counted at.

    Raises:
        ValueError: The share is outside (0, 1] or cannot be reached with a quarter of each
            layer's channels, or a layer is not known.
    """
    if not 0.0 < macs_share <= 1.0:
        raise ValueError(f"macs_share must be in (0, 1], not {macs_share}")
    uses, ties, fixed = trace(model, size_px=size_px)
    kept = _choose(uses, ties, fixed, macs_share)

    def narrow(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        use = by_name.get(layer.name)
        if use is not None and isinstance(layer, _MAKING) and not _is_depthwise(layer):
            config["filters"] = int(kept[use.makes].sum())
        if use is not None and isinstance(layer, ChannelSlice):
            before = kept[use.reads]
            config["first"] = int(before[: layer.first].sum())
            config["end"] = int(before[: layer.end].sum())
        return type(layer).from_config(config)

    by_name = {use.layer.name: use for use in uses}
    smaller = keras.models.clone_model(model, clone_function=narrow)
    for use in uses:
        weights = [_sliced(value, use, kept, i) for i, value in enumerate(use.layer.get_weights())]
        smaller.get_layer(use.layer.name).set_weights(weights)
    return smaller


def trace(
    model: keras.Model, *, size_px: tuple[int, int]
) -> tuple[list[LayerChannels], Labels, npt.NDArray[np.bool_]]:
    """Follow every channel through a network.

    Returns:
        The layers in order; for each label the label that stands for its tied group; and for
        each label whether it must stay (the image's and the output's channels).

    Raises:
        ValueError: A layer is not known.
    """
    image = keras.Input((*size_px, 3))
    calls: list[tuple[keras.layers.Layer, list[Any], Any]] = []

    def note(layer: keras.layers.Layer, *inputs: Any, **settings: Any) -> Any:
        output = layer(*inputs, **settings)
        calls.append((layer, keras.tree.flatten(inputs), output))
        return output

    copy = keras.models.clone_model(model, input_tensors=image, call_function=note)
    follower = _Follower(first=3)
    labels: dict[int, Labels] = {id(tensor): np.arange(3) for tensor in copy.inputs}
    labels[id(image)] = np.arange(3)
    uses = []
    for layer, inputs, output in calls:
        reads = [labels.get(id(tensor), np.arange(3)) for tensor in inputs]
        makes = follower.follow(layer, reads, channels=int(output.shape[-1]))
        labels[id(output)] = makes
        uses.append(
            LayerChannels(
                layer=model.get_layer(layer.name),
                reads=reads[0],
                makes=makes,
                output_px=int(np.prod(output.shape[1:3])),
                input_px=int(np.prod(inputs[0].shape[1:3])),
            )
        )
    ties = follower.representatives()
    fixed = np.isin(ties, ties[np.concatenate([np.arange(3), uses[-1].makes])])
    return uses, ties, fixed


class _Follower:
    """Labels of channels, and which of them are tied."""

    def __init__(self, *, first: int) -> None:
        self._parents = list(range(first))

    def follow(self, layer: keras.layers.Layer, reads: list[Labels], *, channels: int) -> Labels:
        """Return the labels of a layer's output."""
        if isinstance(layer, _MAKING) and not _is_depthwise(layer):
            made = np.arange(len(self._parents), len(self._parents) + channels)
            self._parents.extend(made.tolist())
            return made
        if isinstance(layer, keras.layers.Concatenate):
            return np.concatenate(reads)
        if isinstance(layer, _TYING):
            for other in reads[1:]:
                self._tie(reads[0], other)
            return reads[0]
        if isinstance(layer, ChannelSlice):
            return reads[0][layer.first : layer.end]
        if isinstance(layer, DepthToSpace2x):
            first, *others = np.split(reads[0], 4)
            for other in others:
                self._tie(first, other)
            return first
        if isinstance(layer, SpaceToDepth2x):
            return np.tile(reads[0], 4)
        if len(reads) == 1 and len(reads[0]) == channels:
            return reads[0]
        raise ValueError(f"pruning does not know how channels pass {type(layer).__name__}")

    def representatives(self) -> Labels:
        """Return for each label the one that stands for its group."""
        return np.array([self._root(label) for label in range(len(self._parents))])

    def _tie(self, left: Labels, right: Labels) -> None:
        for one, other in zip(left.tolist(), right.tolist(), strict=True):
            self._parents[self._root(other)] = self._root(one)

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            label = self._parents[label]
        return label


def _choose(
    uses: list[LayerChannels], ties: Labels, fixed: npt.NDArray[np.bool_], macs_share: float
) -> npt.NDArray[np.bool_]:
    """Drop tied groups, the least important first, until the MACs are nearest to the target."""
    kept = np.ones(len(ties), dtype=bool)
    target = macs_share * sum(use.macs(kept) for use in uses)
    excess = sum(use.macs(kept) for use in uses) - target
    for group in _by_importance(uses, ties, fixed):
        if excess <= CLOSE_ENOUGH_SHARE * target:
            break
        trial = kept & (ties != group)
        if _too_thin(uses, trial):
            continue
        left = sum(use.macs(trial) for use in uses) - target
        if abs(left) <= abs(excess) and left >= -TOLERANCE_SHARE * target:
            kept, excess = trial, left
    if abs(excess) > TOLERANCE_SHARE * target:
        raise ValueError(
            f"{macs_share:.0%} of the MACs cannot be reached within 2 %: {LEAST_KEPT_SHARE:.0%} of "
            "each layer's channels must stay, or one channel more or less is too large a step"
        )
    return kept


def _by_importance(
    uses: list[LayerChannels], ties: Labels, fixed: npt.NDArray[np.bool_]
) -> list[int]:
    """Return the groups that may leave, the least important first."""
    squares = np.zeros(len(ties))
    for use in uses:
        if isinstance(use.layer, _MAKING) and not _is_depthwise(use.layer):
            norms = np.sum(_filters(use.layer) ** 2, axis=1)
            squares[use.makes] = norms / norms.mean()
    groups = [int(group) for group in np.unique(ties) if not fixed[group]]
    scores = {group: float(np.mean(squares[ties == group])) for group in groups}
    return sorted(groups, key=lambda group: (scores[group], group))


def _too_thin(uses: list[LayerChannels], kept: npt.NDArray[np.bool_]) -> bool:
    return any(
        kept[use.makes].sum() < LEAST_KEPT_SHARE * len(use.makes)
        for use in uses
        if isinstance(use.layer, _MAKING)
    )


def _filters(layer: keras.layers.Layer) -> npt.NDArray[np.float64]:
    """Return [filters, everything else] of a convolution's kernel."""
    kernel: npt.NDArray[np.float64] = np.asarray(
        keras.ops.convert_to_numpy(layer.kernel), dtype=np.float64
    )
    axis = 2 if isinstance(layer, keras.layers.Conv2DTranspose) else 3
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)


def _sliced(
    value: npt.NDArray[Any], use: LayerChannels, kept: npt.NDArray[np.bool_], index: int
) -> npt.NDArray[Any]:
    """Return one weight array of a layer, without the channels that left."""
    reads, makes = kept[use.reads], kept[use.makes]
    if index == 0 and value.ndim == 4:
        if _is_depthwise(use.layer):
            return value[:, :, reads]
        if isinstance(use.layer, keras.layers.Conv2DTranspose):
            return value[:, :, makes][:, :, :, reads]
        return value[:, :, reads][:, :, :, makes]
    return value[..., makes]


def _is_depthwise(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv2D)
