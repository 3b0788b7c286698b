"""Find in a graph what a phone's compiler runs as something else than the file's ops say.

Layer normalization is exported as nine ops or more; Qualcomm's compilers since HTP v73 run it as
one. A product of batches of matrices, as the heads of attention ask for, is exported as one fully
connected layer for each matrix; they run the batch. A classifier's file begins by normalizing its
input with a SUB and a MUL; phones fold that into the conversion of the input, at no visible cost.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.estimate import work
from harness.graph import Graph, Op

LAYER_NORM = "LAYER_NORM"
"""Name of the op that stands for a layer normalization; inputs: data, scale or -1, shift or -1."""

_ARITHMETIC = frozenset({"ADD", "SUB", "MUL", "DIV"})
_IMAGE_CHANNELS_MAX = 4


def without_input_normalization(graph: Graph) -> Graph:
    """Return a graph whose images enter behind the ops that normalize them.

    Those are element-wise ops of an image input of at most four channels and constants with one
    value per channel, one after the other, each read by one op only.
    """
    weights = work.weight_tensors(graph)
    dropped: set[int] = set()
    moved: dict[int, int] = {}
    for start in graph.inputs:
        end = start
        while (op := _normalizes(graph, end, weights)) is not None:
            dropped.add(op.index)
            end = op.outputs[0]
        moved[start] = end
    return replace(
        graph,
        ops=tuple(op for op in graph.ops if op.index not in dropped),
        inputs=tuple(moved[i] for i in graph.inputs),
    )


def _normalizes(graph: Graph, image: int, weights: frozenset[int]) -> Op | None:
    """Return the op that alone reads an image, if it is arithmetic with one value per channel."""
    shape = graph.tensors[image].shape
    if len(shape) != 4 or shape[-1] > _IMAGE_CHANNELS_MAX or image in graph.outputs:
        return None
    reading = graph.readers[image]
    if len(reading) != 1 or reading[0].name not in _ARITHMETIC:
        return None
    op = reading[0]
    others = [i for i in op.inputs if i != image]
    constant = len(others) == 1 and others[0] in weights
    if not constant or op.options.get("fused_activation_function"):
        return None
    known = graph.tensors[op.outputs[0]]
    per_channel = graph.tensors[others[0]].elements in (1, shape[-1])
    return (
        op if per_channel and known.shape == shape and op.outputs[0] not in graph.outputs else None
    )


def with_layer_norms(graph: Graph, *, images: bool = True) -> Graph:
    """Return a graph in which each layer normalization over the last axis is one op.

    Args:
        graph: In execution order.
        images: Whether those of images, with four axes, are too.

    Two forms are known: centre and divide by the deviation, with or without a scale and a shift
    (PyTorch's exporters); and scale by the inverse deviation, then shift by what that leaves of the
    mean (Keras and TensorFlow), which newer converters subtract by a NEG and an ADD.
    """
    found: dict[int, Op] = {}
    gone: set[int] = set()
    patterns = _Match(graph, work.weight_tensors(graph), rank_max=4 if images else 3)
    for op in graph.ops:
        if op.name in ("RSQRT", "SQRT"):
            match = patterns.around(op)
            if match is not None:
                ops, fused = match
                found[fused.index] = fused
                gone.update(one.index for one in ops)
    return _exchanged(graph, found, gone)


def _exchanged(graph: Graph, found: Mapping[int, Op], gone: Collection[int]) -> Graph:
    """Return a graph without some ops, but for those in whose place another one stands."""
    return replace(
        graph,
        ops=tuple(
            found.get(op.index, op) for op in graph.ops if op.index in found or op.index not in gone
        ),
    )


def with_batched_products(graph: Graph) -> Graph:
    """Return a graph in which products of matrices, taken apart one by one, are one of a batch.

    Two tensors [1, batch, rows, columns] are split along the batch, each pair of parts is
    multiplied by a FULLY_CONNECTED whose weights are computed, and the products are packed.
    """
    found: dict[int, Op] = {}
    gone: set[int] = set()
    for op in graph.ops:
        match = _product(graph, op) if op.name == "PACK" else None
        if match is not None:
            product, ops = match
            found[product.index] = product
            gone.update(ops)
    return _exchanged(graph, found, gone)


def _product(graph: Graph, pack: Op) -> tuple[Op, set[int]] | None:
    """Return the product of a batch that ends in a PACK and a RESHAPE, and the ops it is for."""
    last = _only_reader(graph, pack.outputs[0], "RESHAPE")
    layers = [_made_by(graph, i, "FULLY_CONNECTED") for i in pack.inputs]
    if last is None or pack.options.get("axis") != 0:
        return None
    inside, macs = {pack.index}, 0
    sides: list[list[tuple[int, bool]]] = [[], []]
    for layer in layers:
        if layer is None or _adds_or_clamps(layer):
            return None
        inside.add(layer.index)
        macs += layer.macs
        for side, index in zip(sides, layer.inputs[:2], strict=True):
            turned = _made_by(graph, index, "TRANSPOSE")
            flat = _made_by(graph, turned.inputs[0] if turned else index, "RESHAPE")
            if flat is None:
                return None
            inside.update(op.index for op in (flat, turned) if op)
            side.append((flat.inputs[0], turned is not None))
    left, right = (_split_by_batch(graph, side) for side in sides)
    if left is None or right is None or sides[0][0][1]:
        return None
    shape = graph.tensors[left.inputs[1]].shape
    if graph.tensors[last.outputs[0]].shape[:-1] != shape[:-1]:
        return None
    product = Op(
        index=last.index,
        name="BATCH_MATMUL",
        version=1,
        inputs=(left.inputs[1], right.inputs[1]),
        outputs=last.outputs,
        # A fully connected layer takes its weights transposed.
        options={"adj_x": False, "adj_y": not sides[1][0][1]},
        macs=macs,
    )
    return product, inside | {left.index, right.index}


def _adds_or_clamps(layer: Op) -> bool:
    """Return whether a fully connected layer does more than multiply."""
    has_bias = any(i >= 0 for i in layer.inputs[2:])
    return has_bias or bool(layer.options.get("fused_activation_function"))


def _split_by_batch(graph: Graph, side: Sequence[tuple[int, bool]]) -> Op | None:
    """Return the SPLIT of [1, batch, rows, columns] along the batch that made one side's parts.

    Args:
        graph: That they are in.
        side: Each part with whether it is transposed, in the order of the products.
    """
    split = graph.producers.get(side[0][0])
    if split is None or split.name != "SPLIT" or [i for i, _ in side] != list(split.outputs):
        return None
    axis = graph.tensors[split.inputs[0]].values()
    if axis is None or [int(a) for a in np.ravel(axis)] != [1]:
        return None
    alone = all(len(graph.readers[i]) == 1 and i not in graph.outputs for i, _ in side)
    alike = len({turned for _, turned in side}) == 1
    rank = len(graph.tensors[split.inputs[1]].shape)
    return split if alone and alike and rank == 4 else None


def _made_by(graph: Graph, index: int, name: str) -> Op | None:
    """Return the op of a name that made a tensor for one reader alone."""
    op = graph.producers.get(index)
    alone = len(graph.readers[index]) == 1 and index not in graph.outputs
    return op if op is not None and op.name == name and alone else None


def _only_reader(graph: Graph, index: int, name: str) -> Op | None:
    """Return the op of a name that alone reads a tensor."""
    reading = graph.readers[index]
    alone = len(reading) == 1 and index not in graph.outputs
    return reading[0] if alone and reading[0].name == name else None


class _Match:
    """The ops around an inverse deviation, where they are a layer normalization."""

    def __init__(self, graph: Graph, weights: frozenset[int], *, rank_max: int) -> None:
        self._graph = graph
        self._rank_max = rank_max
        self._weights = weights
        self._positions = {op.index: position for position, op in enumerate(graph.ops)}

    def around(self, root: Op) -> tuple[list[Op], Op] | None:
        """Return the ops and the one that stands for them, at the place of the last."""
        shifted = self._graph.producers.get(root.inputs[0])
        if shifted is None or shifted.name != "ADD":
            return None
        epsilon, variance = self._constant_and_rest(shifted)
        average = self._graph.producers.get(variance) if variance is not None else None
        if epsilon is None or average is None or not self._is_mean(average):
            return None
        data = self._data(average.inputs[0])
        if data is None or len(self._graph.tensors[data].shape) > self._rank_max:
            return None
        return self._closure(data, root)

    def _data(self, squared: int) -> int | None:
        """Return the tensor whose squared distance from its mean a tensor is."""
        square = self._graph.producers.get(squared)
        if square is None:
            return None
        if square.name == "SQUARED_DIFFERENCE":
            return self._mean_of(square.inputs[0], square.inputs[1])
        if square.name in ("SQUARE", "POW") or (
            square.name == "MUL" and square.inputs[0] == square.inputs[1]
        ):
            centred = self._graph.producers.get(square.inputs[0])
            if centred is not None and centred.name == "SUB":
                return self._mean_of(*centred.inputs[:2])
        return None

    def _mean_of(self, data: int, mean: int) -> int | None:
        op = self._graph.producers.get(mean)
        return data if op is not None and self._is_mean(op) and op.inputs[0] == data else None

    def _is_mean(self, op: Op) -> bool:
        if op.name != "MEAN" or not op.options.get("keep_dims"):
            return False
        axes = self._graph.tensors[op.inputs[1]].values()
        last = len(self._graph.tensors[op.inputs[0]].shape) - 1
        return axes is not None and [int(a) % (last + 1) for a in np.ravel(axes)] == [last]

    def _closure(self, data: int, root: Op) -> tuple[list[Op], Op] | None:
        """Collect what is computed from the data and constants alone, up to one output."""
        inside: dict[int, Op] = {}
        made = {data}
        # Nothing before its first reader depends on the data.
        start = min(self._positions[op.index] for op in self._graph.readers[data])
        for op in self._graph.ops[start:]:
            read = [i for i in op.inputs if i >= 0 and i not in self._weights]
            inner = read and op.name in _PARTS and made.issuperset(read)
            if not inner or (read == [data] and op.name != "MEAN"):
                continue
            inside[op.index] = op
            made.update(op.outputs)
            if root.index in inside and self._closed(inside, data, op):
                for kind in ("MUL", "ADD"):
                    op = self._followed_by(op, kind)
                    inside[op.index] = op
                return list(inside.values()), self._fused(inside, data, op)
            if len(inside) == _OPS_MAX or (root.outputs[0] in read and len(read) > 1):
                break  # what is divided by the deviation is read elsewhere
        return None

    def _followed_by(self, last: Op, kind: str) -> Op:
        """Return the scale or shift by channel that alone reads an op's output, or the op."""
        made = last.outputs[0]
        reading = self._graph.readers[made]
        if len(reading) != 1 or reading[0].name != kind or made in self._graph.outputs:
            return last
        others = [i for i in reading[0].inputs if i != made]
        channels = self._graph.tensors[made].shape[-1]
        constant = len(others) == 1 and others[0] in self._weights
        return reading[0] if constant and self._size(others[0]) == channels else last

    def _size(self, index: int) -> int:
        return self._graph.tensors[index].elements

    def _closed(self, inside: Mapping[int, Op], data: int, last: Op) -> bool:
        """Return whether the last op's output is all that others read of those inside."""
        same = self._graph.tensors[last.outputs[0]].shape == self._graph.tensors[data].shape
        for op in inside.values():
            for i in op.outputs:
                outside = i in self._graph.outputs or any(
                    reader.index not in inside for reader in self._graph.readers[i]
                )
                if outside and op is not last:
                    return False
        return same

    def _fused(self, inside: Mapping[int, Op], data: int, last: Op) -> Op:
        channels = self._graph.tensors[data].shape[-1]
        constants = [
            i
            for op in inside.values()
            for i in op.inputs
            if i in self._weights and op.name in ("MUL", "ADD", "SUB") and self._size(i) == channels
        ]
        scale, shift = (*constants, -1, -1)[:2]
        return Op(
            index=last.index,
            name=LAYER_NORM,
            version=1,
            inputs=(data, scale, shift),
            outputs=last.outputs,
            options={},
            macs=0,
        )

    def _constant_and_rest(self, op: Op) -> tuple[int | None, int | None]:
        constant = next((i for i in op.inputs if i in self._weights), None)
        rest = next((i for i in op.inputs if i not in self._weights), None)
        return constant, rest


_PARTS = _ARITHMETIC | {"MEAN", "NEG", "POW", "RSQRT", "SQRT", "SQUARE", "SQUARED_DIFFERENCE"}
_OPS_MAX = 12
