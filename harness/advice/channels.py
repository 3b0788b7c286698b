"""Change a model's channel counts, by following which tensors must have the same."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.advice.editor import Editor
from harness.estimate import work
from harness.graph import Graph, Op
from harness.model import Model

_FOLLOWERS = frozenset({
    "ABS", "AVERAGE_POOL_2D", "DEQUANTIZE", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU",
    "LOGISTIC", "MAX_POOL_2D", "MIRROR_PAD", "NEG", "PAD", "PADV2", "QUANTIZE", "RELU", "RELU6",
    "RELU_N1_TO_1", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SQUARE", "TANH",
})  # fmt: skip
_JOINTS = frozenset({"ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SUB"})
_CHANNELS_AXIS = 3


@dataclass
class _Group:
    """Channels that can only change together."""

    size: int
    fixed: bool = False
    multiple: int = 1


@dataclass(frozen=True)
class _Segment:
    """A run of a tensor's channels: a group, divided where DEPTH_TO_SPACE spread it."""

    group: _Group
    divisor: int = 1


@dataclass
class _Links:
    """The segments of each tensor, and what weights hang on them."""

    segments: dict[int, list[_Segment]] = field(default_factory=dict)
    merged: dict[int, _Group] = field(default_factory=dict)
    """Group that another was merged into, by id."""
    weights: list[tuple[int, int, list[_Segment]]] = field(default_factory=list)
    """(tensor, axis, segments that set its size)."""
    shapes: list[tuple[int, list[_Segment]]] = field(default_factory=list)
    """(constant output shape, segments that set its last entry)."""

    def root(self, group: _Group) -> _Group:
        while id(group) in self.merged:
            group = self.merged[id(group)]
        return group


def change(model: Model, resize: Callable[[int], int]) -> Model:
    """Return the model with other channel counts inside; input and output keep theirs.

    Channels change only where everything that shares them is understood; the rest stays. New
    weights are zeros.

    Args:
        model: At any size.
        resize: New count for an old one.
    """
    graph = model.graph
    links = _follow(graph)
    editor = Editor(model.data)
    sizes = {id(group): _resized(group, resize) for group in _groups(links)}

    def channels(segments: Sequence[_Segment]) -> int:
        return sum(sizes[id(links.root(s.group))] // s.divisor for s in segments)

    for index, segments in links.segments.items():
        shape = graph.tensors[index].shape
        if len(shape) == 4:
            _set(editor, graph, index, _CHANNELS_AXIS, channels(segments))
    for index, axis, segments in links.weights:
        _set(editor, graph, index, axis, channels(segments))
    for index, segments in links.shapes:
        values = graph.tensors[index].values()
        if values is not None:
            editor.set_integers(index, [*map(int, values.ravel()[:-1]), channels(segments)])
    return Model(name=model.name, data=editor.write())


def _set(editor: Editor, graph: Graph, index: int, axis: int, count: int) -> None:
    shape = [int(size) for size in editor.tensors[index].shape]
    if shape[axis] != count:
        shape[axis] = count
        editor.set_shape(index, shape)


def _resized(group: _Group, resize: Callable[[int], int]) -> int:
    if group.fixed:
        return group.size
    return math.ceil(max(1, resize(group.size)) / group.multiple) * group.multiple


def _groups(links: _Links) -> list[_Group]:
    found: dict[int, _Group] = {}
    for segments in [*links.segments.values(), *(s for _, _, s in links.weights)]:
        for segment in segments:
            root = links.root(segment.group)
            found[id(root)] = root
    return list(found.values())


def _follow(graph: Graph) -> _Links:
    links = _Links()
    for index in graph.inputs:
        links.segments[index] = [_fixed(graph.tensors[index].shape)]
    constants = work.weight_tensors(graph)
    sources = {
        i: op.inputs[0] for op in graph.ops if graph.unpacks_constant(op) for i in op.outputs
    }
    for op in graph.ops:
        if not graph.unpacks_constant(op):
            _follow_op(graph, op, links, constants, sources)
    for index in graph.outputs:
        _fix(links, links.segments.get(index, []))
    return links


def _follow_op(
    graph: Graph, op: Op, links: _Links, constants: frozenset[int], sources: dict[int, int]
) -> None:
    data = [i for i in op.inputs if i >= 0 and i not in constants]
    known = [links.segments.setdefault(i, [_fixed(graph.tensors[i].shape)]) for i in data]
    output = op.outputs[0]
    made: list[_Segment] | None = None
    if op.name in ("CONV_2D", "TRANSPOSE_CONV") and len(data) == 1:
        made = _convolution(graph, op, links, known[0], sources)
    elif op.name == "DEPTHWISE_CONV_2D" and graph.tensors[output].shape == (
        *graph.tensors[output].shape[:3],
        graph.tensors[data[0]].shape[3],
    ):
        made = known[0]
        _hang(graph, links, sources, op.inputs[1], 3, made)
        _hang(graph, links, sources, op.inputs[2] if len(op.inputs) > 2 else -1, 0, made)
    elif op.name in _FOLLOWERS and len(data) == 1:
        made = known[0]
    elif op.name in _JOINTS:
        made = _join(graph, op, links, known, constants, sources)
    elif op.name == "CONCATENATION" and int(op.options.get("axis", 3)) in (3, -1):
        made = [segment for segments in known for segment in segments]
    elif op.name == "DEPTH_TO_SPACE" and len(known[0]) == 1:
        block = int(op.options.get("block_size") or 0) ** 2 or 4
        segment = known[0][0]
        made = [_Segment(segment.group, segment.divisor * block)]
        root = links.root(segment.group)
        root.multiple = math.lcm(root.multiple, segment.divisor * block)
    if made is None:
        for segments in known:
            _fix(links, segments)
        for index in op.outputs:
            links.segments[index] = [_fixed(graph.tensors[index].shape)]
    else:
        links.segments[output] = made


def _convolution(
    graph: Graph, op: Op, links: _Links, known: list[_Segment], sources: dict[int, int]
) -> list[_Segment] | None:
    weights = graph.tensors[op.inputs[1]].shape
    data = graph.tensors[op.inputs[2 if op.name == "TRANSPOSE_CONV" else 0]].shape
    if weights[3] != data[3]:
        return None  # grouped: its channels keep their meaning only at their own count
    made = [_Segment(_Group(weights[0]))]
    _hang(graph, links, sources, op.inputs[1], 0, made)
    _hang(graph, links, sources, op.inputs[1], 3, known)
    if op.name == "TRANSPOSE_CONV":
        links.shapes.append((op.inputs[0], made))
    bias = 3 if op.name == "TRANSPOSE_CONV" else 2
    _hang(graph, links, sources, op.inputs[bias] if len(op.inputs) > bias else -1, 0, made)
    return made


def _join(
    graph: Graph,
    op: Op,
    links: _Links,
    known: list[list[_Segment]],
    constants: frozenset[int],
    sources: dict[int, int],
) -> list[_Segment] | None:
    first = known[0]
    channels = graph.tensors[op.outputs[0]].shape[-1]
    for other in known[1:]:
        if not _merge(links, first, other):
            return None
    for index in op.inputs:
        shape = graph.tensors[index].shape if index in constants else ()
        if shape and shape[-1] == channels and channels > 1:
            _hang(graph, links, sources, index, len(shape) - 1, first)
    return first


def _merge(links: _Links, a: list[_Segment], b: list[_Segment]) -> bool:
    if [(s.group.size, s.divisor) for s in a] != [(s.group.size, s.divisor) for s in b]:
        return False
    for one, two in zip(a, b, strict=True):
        keep, drop = links.root(one.group), links.root(two.group)
        if keep is not drop:
            keep.fixed |= drop.fixed
            keep.multiple = math.lcm(keep.multiple, drop.multiple)
            links.merged[id(drop)] = keep
    return True


def _hang(
    graph: Graph,
    links: _Links,
    sources: dict[int, int],
    index: int,
    axis: int,
    segments: list[_Segment],
) -> None:
    """Let a constant's axis follow segments; half-precision constants follow behind DEQUANTIZE."""
    while index >= 0 and len(graph.tensors[index].shape) > axis:
        links.weights.append((index, axis, segments))
        index = sources.get(index, -1)


def _fixed(shape: Sequence[int]) -> _Segment:
    return _Segment(_Group(shape[-1] if shape else 1, fixed=True))


def _fix(links: _Links, segments: Sequence[_Segment]) -> None:
    for segment in segments:
        links.root(segment.group).fixed = True
