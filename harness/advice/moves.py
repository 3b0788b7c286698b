"""Rewrite ops that only move values into the one op that an accelerator knows for it.

PyTorch's exporters write a pixel shuffle as RESHAPE, TRANSPOSE and RESHAPE in six dimensions, Keras
an upsampling by copies in five, and conversions from channels first add TRANSPOSE after TRANSPOSE.
What such a chain does is worked out by sending the index of each value through it, so what takes
its place moves every value to where it was: nothing is guessed from shapes.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.advice.editor import Editor
from harness.graph import Graph, Op
from harness.model import Model

Indices = NDArray[np.int32]
_ALIKE = frozenset({
    "ABS", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "RELU", "RELU6",
    "RELU_0_TO_1", "RELU_N1_TO_1", "SQRT", "SQUARE", "TANH",
})  # fmt: skip
"""Ops that do the same to every value, before a move as well as after it."""
_ELEMENTS_MAX = 2**26
_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Orders of axes that put the channels last, and first."""
_BLOCKS = (2, 3, 4, 8)

PIXEL_SHUFFLE, NEAREST, LAYOUT = "DEPTH_TO_SPACE", "RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Ops that only move values, one after the other, and ops among them that treat all alike.

    Attributes:
        ops: In execution order; the first and the last one move.
        source: Tensor that the first one reads.
        moved: Index in the source of each value of the last one's output, in its shape.
    """

    ops: tuple[Op, ...]
    source: int
    moved: Indices


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """What takes the place of a chain's moves.

    Attributes:
        kind: `DEPTH_TO_SPACE`, `RESIZE_NEAREST_NEIGHBOR` or `TRANSPOSE` (any change of layout).
        block: Output edge over input edge of the first two.
        channels: Order of the source's channels that DEPTH_TO_SPACE wants; () as they are.
        order: Order of axes to put the result in at the end, or ().
        reshapes: Whether the result, whose values stay in their order, gets another shape.
    """

    kind: str
    block: int = 1
    channels: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    reshapes: bool = False

    @property
    def count(self) -> int:
        """Return how many ops it takes."""
        return (self.block > 1) + bool(self.order) + self.reshapes


def chains(graph: Graph) -> Iterator[Chain]:
    """Yield the longest chains of a graph, of two moves or more."""
    taken: set[int] = set()
    for op in graph.ops:
        if op.index in taken or op.name not in _MOVES or not _one_input(graph, op):
            continue
        ops, length = [op], 1
        while (following := _next(graph, ops[-1])) is not None:
            ops.append(following)
            if following.name in _MOVES:
                length = len(ops)
        taken.update(one.index for one in ops)
        moves = [one for one in ops[:length] if one.name in _MOVES]
        source = _data(graph, op)
        if len(moves) < 2 or graph.tensors[source].elements > _ELEMENTS_MAX:
            continue
        shape = graph.tensors[source].shape
        moved: Indices | None = np.arange(graph.tensors[source].elements, dtype=np.int32)
        moved = moved.reshape(shape) if moved is not None else None
        for move in moves:
            moved = None if moved is None else _MOVES[move.name](graph, move, moved)
        if moved is not None and moved.shape == graph.tensors[ops[length - 1].outputs[0]].shape:
            yield Chain(ops=tuple(ops[:length]), source=source, moved=moved)


def plan(graph: Graph, chain: Chain) -> Replacement | None:
    """Return the fewest ops that move as a chain does, or None where it is as short as can be."""
    shape, moved = graph.tensors[chain.source].shape, chain.moved
    moves = sum(op.name in _MOVES for op in chain.ops)
    start = np.arange(graph.tensors[chain.source].elements, dtype=np.int32).reshape(shape)
    for found in _candidates(graph, chain, start, moved):
        if found.count < moves:
            return found
    return None


def simplified(model: Model, kinds: Sequence[str]) -> Model | None:
    """Return the model with its chains of some kinds replaced; None where there is none.

    Args:
        model: Any model of one subgraph.
        kinds: Of `Replacement.kind`.
    """
    graph = model.graph
    planned = [(chain, plan(graph, chain)) for chain in chains(graph)]
    wanted = [(chain, found) for chain, found in planned if found and found.kind in kinds]
    if not wanted:
        return None
    editor = Editor(model.data)
    stored = list(editor.ops)
    replaced: dict[int, list[Any]] = {}
    for chain, found in wanted:
        for op in chain.ops:
            replaced[op.index] = []
        replaced[chain.ops[-1].index] = _written(editor, graph, chain, found, stored)
    editor.ops[:] = [op for index, one in enumerate(stored) for op in replaced.get(index, [one])]
    return Model(name=model.name, data=editor.write())


def _candidates(
    graph: Graph, chain: Chain, start: Indices, moved: Indices
) -> Iterator[Replacement]:
    """Yield what moves in the same way, the fewest ops first."""
    in_order = bool((moved.ravel() == start.ravel()).all()) if moved.size == start.size else False
    if in_order:
        yield Replacement(kind=LAYOUT, reshapes=moved.shape != start.shape)
        return
    for order in itertools.permutations(range(start.ndim)) if start.ndim <= 4 else ():
        if np.array_equal(start.transpose(order), moved):
            yield Replacement(kind=LAYOUT, order=order)
            return
    if start.ndim != 4 or moved.ndim != 4:
        return
    for order, result in (((), moved), (_FIRST, moved.transpose(_LAST))):
        block = result.shape[1] // max(start.shape[1], 1)
        if block not in _BLOCKS or result.shape[2] != block * start.shape[2]:
            continue
        if np.array_equal(start.repeat(block, axis=1).repeat(block, axis=2), result):
            yield Replacement(kind=NEAREST, block=block, order=order)
        channels = _shuffled(start, result, block)
        if channels is not None and (not channels or _takes_order(graph, chain.source)):
            yield Replacement(kind=PIXEL_SHUFFLE, block=block, channels=channels, order=order)


def _shuffled(start: Indices, result: Indices, block: int) -> tuple[int, ...] | None:
    """Return the order of channels after which DEPTH_TO_SPACE gives a result; None if none does."""
    depth = start.shape[3]
    if depth != block**2 * result.shape[3]:
        return None
    plain = _depth_to_space(start, block)
    order = np.zeros(depth, np.int32)
    order[plain[0, :block, :block].ravel() % depth] = result[0, :block, :block].ravel() % depth
    if sorted(order) != list(range(depth)):
        return None
    if not np.array_equal(_depth_to_space(start[..., order], block), result):
        return None
    return () if np.array_equal(order, np.arange(depth)) else tuple(int(n) for n in order)


def _takes_order(graph: Graph, source: int) -> bool:
    """Return whether the op that writes a tensor can write its channels in another order."""
    before = graph.producers.get(source)
    if before is None or before.name != "CONV_2D" or source in graph.outputs:
        return False
    weights = [graph.tensors[i] for i in before.inputs[1:] if i >= 0]
    return len(graph.readers[source]) == 1 and all(
        t.constant is not None and t.dtype in ("float32", "float16", "int8", "int32", "int64")
        for t in weights
    )


def _written(
    editor: Editor, graph: Graph, chain: Chain, found: Replacement, stored: Sequence[Any]
) -> list[Any]:
    """Return the ops that take a chain's place."""
    at, result = chain.source, chain.ops[-1].outputs[0]
    if found.channels:
        before = graph.producers[chain.source]
        conv = stored[before.index]
        for position, index in enumerate(before.inputs):
            if position > 0 and index >= 0:
                conv.inputs[position] = editor.add_reordered(index, found.channels)
    final = graph.tensors[result].shape
    made: list[Any] = []
    steps: list[tuple[Callable[[int, int], Any], Sequence[int]]] = []
    if found.block > 1:
        shape: Sequence[int] = tuple(final[a] for a in _LAST) if found.order else final
        steps.append((_upsampling(editor, graph, found, shape), shape))
    if found.order:
        order = editor.add_integers(found.order)
        make = _maker(editor, "TRANSPOSE", graph, "TransposeOptions", {}, [order])
        steps.append((make, final))
    if found.reshapes:
        target = editor.add_integers(final)
        shaped = {"newShape": np.array(final, np.int32)}
        steps.append((_maker(editor, "RESHAPE", graph, "ReshapeOptions", shaped, [target]), final))
    alike = [op for op in chain.ops if op.name in _ALIKE]
    for number, (make, shape) in enumerate(steps):
        ends = number == len(steps) - 1 and not alike
        to = result if ends else editor.add_activation(shape, like=at)
        made.append(make(at, to))
        at = to
    for number, op in enumerate(alike):
        last = number == len(alike) - 1
        to = result if last else editor.add_activation(final, like=op.outputs[0])
        one = stored[op.index]
        one.inputs, one.outputs = np.array([at], np.int32), np.array([to], np.int32)
        made.append(one)
        at = to
    if not made:
        _rewire(editor, stored, result, at)
    return made


def _rewire(editor: Editor, stored: Sequence[Any], old: int, new: int) -> None:
    """Let all readers of a tensor, and the graph's outputs, have another in its place."""
    for op in stored:
        op.inputs = np.where(np.asarray(op.inputs) == old, new, op.inputs)
    editor.replace_output(old, new)


def _upsampling(
    editor: Editor, graph: Graph, found: Replacement, shape: Sequence[int]
) -> Callable[[int, int], Any]:
    if found.kind == NEAREST:
        size = editor.add_integers(shape[1:3])
        return _maker(editor, NEAREST, graph, "ResizeNearestNeighborOptions", {}, [size])
    options = {"blockSize": found.block}
    return _maker(editor, PIXEL_SHUFFLE, graph, "DepthToSpaceOptions", options, [])


def _maker(
    editor: Editor,
    name: str,
    graph: Graph,
    kind: str,
    options: Mapping[str, Any],
    more: Sequence[int],
) -> Callable[[int, int], Any]:
    """Return what makes an op from and to a tensor, with more constant inputs."""

    def make(at: int, to: int) -> Any:
        version = 1 if editor.dtype(at) == "float32" else 2
        return editor.op(name, version, [at, *more], [to], kind, options)

    return make


def _next(graph: Graph, op: Op) -> Op | None:
    """Return the op that alone reads what an op writes, if a chain goes on with it."""
    made = op.outputs[0]
    readers = graph.readers[made]
    if made in graph.outputs or len({reader.index for reader in readers}) != 1:
        return None
    following = readers[0]
    if following.name in _ALIKE or (following.name in _MOVES and _one_input(graph, following)):
        return following
    return None


def _one_input(graph: Graph, op: Op) -> bool:
    data = {tensor.index for tensor in graph.runtime_inputs(op)}
    return len(data) == 1 and len(op.outputs) == 1


def _data(graph: Graph, op: Op) -> int:
    return graph.runtime_inputs(op)[0].index


def _integers(graph: Graph, op: Op, position: int) -> list[int] | None:
    if position >= len(op.inputs) or op.inputs[position] < 0:
        return None
    values = graph.tensors[op.inputs[position]].values()
    return None if values is None or values.size > 8 else [int(v) for v in values.ravel()]


def _reshape(graph: Graph, op: Op, moved: Indices) -> Indices | None:
    shape = graph.tensors[op.outputs[0]].shape
    return moved.reshape(shape) if int(np.prod(shape)) == moved.size else None


def _transpose(graph: Graph, op: Op, moved: Indices) -> Indices | None:
    order = _integers(graph, op, 1)
    if order is None or sorted(axis % moved.ndim for axis in order) != list(range(moved.ndim)):
        return None
    return moved.transpose(order)


def _broadcast(graph: Graph, op: Op, moved: Indices) -> Indices | None:
    shape = graph.tensors[op.outputs[0]].shape
    try:
        return np.broadcast_to(moved, shape)
    except ValueError:
        return None


def _tile(graph: Graph, op: Op, moved: Indices) -> Indices | None:
    times = _integers(graph, op, 1)
    return None if times is None or len(times) != moved.ndim else np.tile(moved, times)


def _copies(graph: Graph, op: Op, moved: Indices) -> Indices | None:
    if op.options.get("fused_activation_function"):
        return None
    return np.concatenate([moved] * len(op.inputs), axis=int(op.options.get("axis", 0)))


def _blocks(graph: Graph, op: Op, moved: Indices) -> Indices | None:
    block = int(op.options.get("block_size", 0))
    return _depth_to_space(moved, block) if block > 1 and moved.ndim == 4 else None


def _depth_to_space(moved: Indices, block: int) -> Indices:
    n, height, width, depth = moved.shape
    parts = moved.reshape(n, height, width, block, block, depth // block**2)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(n, height * block, width * block, -1)


_MOVES: Mapping[str, Callable[[Graph, Op, Indices], Indices | None]] = {
    "BROADCAST_TO": _broadcast,
    "CONCATENATION": _copies,
    "DEPTH_TO_SPACE": _blocks,
    "EXPAND_DIMS": _reshape,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
}
