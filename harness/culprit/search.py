"""Follow the error of a variant along its graph, and find the op that makes it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness import cutting
from harness.culprit import cause
from harness.culprit.matching import pair_tensors
from harness.errors import ModelError
from harness.graph import Graph, Op, Tensor
from harness.images import Pixels
from harness.model import Model

Values = NDArray[np.float32]
Run = Callable[[Model, Sequence[Values]], Sequence[Values]]
"""Runs a model on the real values of its inputs; returns those of every output, in order."""

TOLERANCE_DB = 15.0
"""Signal to error of an inner tensor below which it counts as wrong: an error of 18 %.
Source: measured on this repository's deblur_unet against FP32 at 128x128; the worst inner tensor
has 19 dB in int8, 24 dB in int16 and 54 dB in fp16, and the image itself 48 dB in int8."""

_OTHER_KERNEL = (
    "its tensors can hold what it should write and its constants are right: the kernel computes "
    "something else from the same inputs"
)
_READABLE = ("float32", "int8", "uint8", "int16")
_SUSPECTS = 6


@dataclass(frozen=True, kw_only=True)
class OpDistance:
    """How far one op's output is from the reference.

    Attributes:
        index: Of the op, in execution order.
        op: TFLite builtin name.
        tensor: Name of the tensor that it writes.
        reads: Names of the runtime tensors that it reads.
        stored: Dtype of the output, with scale and zero point where it has them.
        snr_db: Reference over error, with the errors of all ops before; inf without error.
        fall_db: How far that is below the worst of its inputs.
        own_snr_db: Reference over error where the op is given the reference's inputs; None where
            it was not taken.
    """

    index: int
    op: str
    tensor: str
    reads: tuple[str, ...]
    stored: str
    snr_db: float
    fall_db: float
    own_snr_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class Search:
    """The curve of error along a graph, and the op that it is laid to.

    Attributes:
        points: One for each op that has a counterpart in the reference, in execution order.
        culprit: The op whose own error is to blame, or None if no inner tensor leaves the
            tolerance, or if the model's own output keeps it.
        cause: What is wrong with it, as far as the files say; '' without a culprit.
        first_wrong: The first op whose output leaves the tolerance; it may only pass on what
            the culprit did.
        tolerance_db: The tolerance.
        unmatched: Ops without a counterpart in the reference, such as parts of a split op.
        output_snr_db: Of the model's own output, nothing else shown; inf without error.
    """

    points: tuple[OpDistance, ...]
    culprit: OpDistance | None
    cause: str
    first_wrong: OpDistance | None
    tolerance_db: float
    unmatched: tuple[int, ...]
    output_snr_db: float


def search(
    model: Model,
    reference: Model,
    frame: Pixels,
    *,
    run: Run,
    run_reference: Run,
    tolerance_db: float = TOLERANCE_DB,
) -> Search:
    """Find the first op whose output leaves the tolerance, and the op that is to blame for it.

    Every inner tensor is made an output of both models, which may keep a compiler from fusing
    some ops. The first op below the tolerance and those at which the error grows most are then
    run alone on the reference's values; the one with the largest error of its own is the culprit.

    Args:
        model: The variant. To compare two ways to run one file, give it twice.
        reference: What it should compute, such as the FP32 export of the same model.
        frame: Float32 [1, H, W, C], of the size that both take.
        run: Runs the variant, whole or in parts.
        run_reference: Runs the reference.
        tolerance_db: Least signal to error of an inner tensor.

    Raises:
        ModelError: the two models have no ops in common, or one does not take the frame.
        DeviceError: what runs them failed.
    """
    graph, other = model.graph, reference.graph
    pairs = _readable_pairs(graph, other)
    shown = [i for op in graph.ops for i in op.outputs if i in pairs]
    if not shown:
        raise ModelError("the two models have no op in common; are they exports of one model?")
    values = _inner_values(model, shown, frame, run)
    right = _reference_values(reference, [pairs[i] for i in shown], frame, run_reference)
    truth = {here: right[there] for here, there in pairs.items() if there in right}
    points = _curve(graph, values, truth)
    found = Search(
        points=points,
        culprit=None,
        cause="",
        first_wrong=next((point for point in points if point.snr_db < tolerance_db), None),
        tolerance_db=tolerance_db,
        unmatched=tuple(op.index for op in graph.ops if _is_unmatched(graph, op, pairs)),
        output_snr_db=_output_snr_db(run(model, [frame]), run_reference(reference, [frame])),
    )
    if found.first_wrong is None or found.output_snr_db >= tolerance_db:
        return found
    return _blamed(found, model, other, pairs, truth, run)


def _blamed(
    found: Search,
    model: Model,
    other: Graph,
    pairs: Mapping[int, int],
    truth: Mapping[int, Pixels],
    run: Run,
) -> Search:
    """Run the suspects of a search alone on true values, and name the culprit among them."""
    assert found.first_wrong is not None
    graph = model.graph
    suspects = {
        point.index: replace(
            point, own_snr_db=_own_snr_db(model, graph.ops[point.index], truth, run)
        )
        for point in _suspects(found.points, found.first_wrong)
    }
    culprit = min(suspects.values(), key=_own_db)  # of several, the first in execution order
    why = cause.explain(graph, other, graph.ops[culprit.index], pairs, truth)
    return replace(
        found,
        points=tuple(suspects.get(point.index, point) for point in found.points),
        culprit=culprit,
        cause=_worded(why, adds_up=_own_db(culprit) >= found.tolerance_db),
        first_wrong=suspects[found.first_wrong.index],
    )


def _output_snr_db(outputs: Sequence[Values], truth: Sequence[Values]) -> float:
    """Return the worst signal to error of the outputs of two runs, -inf where they do not fit."""
    if [o.shape for o in outputs] != [t.shape for t in truth]:
        return -math.inf
    return min(snr_db(output, right) for output, right in zip(outputs, truth, strict=True))


def _worded(why: str, *, adds_up: bool) -> str:
    """Return the cause for a person, also where the files show none."""
    if not adds_up:
        return why or _OTHER_KERNEL
    line = "no op alone leaves the tolerance: the error adds up, and this one adds most"
    return f"{line}; {why}" if why else line


def _own_db(point: OpDistance) -> float:
    return math.inf if point.own_snr_db is None else point.own_snr_db


def snr_db(values: Values, truth: Values) -> float:
    """Return the energy of the truth over that of the error, in dB.

    Inf for no error, -inf where a value is not finite or the truth is all zeros.
    """
    if not np.isfinite(values).all():
        return -math.inf
    error = float(np.sum((values.astype(np.float64) - truth) ** 2))
    signal = float(np.sum(truth.astype(np.float64) ** 2))
    if error == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / error) if signal > 0.0 else -math.inf


def _readable_pairs(graph: Graph, reference: Graph) -> dict[int, int]:
    """Return the paired tensors whose real values can be read on both sides."""
    return {
        here: there
        for here, there in pair_tensors(graph, reference).items()
        if _is_readable(graph.tensors[here]) and _is_readable(reference.tensors[there])
    }


def _reference_values(
    model: Model, tensors: Sequence[int], frame: Pixels, run: Run
) -> dict[int, Values]:
    """Return the real values of some tensors of the reference, its inputs included.

    Raises:
        ModelError: a value is not finite.
    """
    graph = model.graph
    wanted = list(dict.fromkeys(i for i in tensors if i not in graph.inputs))
    values = _inner_values(model, wanted, frame, run) if wanted else {}
    for i, inner in values.items():
        if not np.isfinite(inner).all():
            name = graph.tensors[i].name
            raise ModelError(f"the reference itself computes values that are not finite: {name!r}")
    return values | dict.fromkeys(graph.inputs, frame)


def _inner_values(
    model: Model, tensors: Sequence[int], frame: Pixels, run: Run
) -> dict[int, Values]:
    """Run a model and return the real values of some of its tensors, by index."""
    shown = Model(name=model.name, data=cutting.show(model.data, tensors))
    return dict(zip(tensors, run(shown, [frame]), strict=True))


def _curve(
    graph: Graph, values: Mapping[int, Values], truth: Mapping[int, Values]
) -> tuple[OpDistance, ...]:
    ratios = {i: snr_db(value, truth[i]) for i, value in values.items()}
    points = []
    for op in graph.ops:
        i = op.outputs[0]
        if i not in ratios:
            continue
        reads = graph.runtime_inputs(op)
        before = min((ratios.get(tensor.index, math.inf) for tensor in reads), default=math.inf)
        points.append(
            OpDistance(
                index=op.index,
                op=op.name,
                tensor=graph.tensors[i].name,
                reads=tuple(tensor.name for tensor in reads),
                stored=_stored(graph.tensors[i]),
                snr_db=ratios[i],
                fall_db=before - ratios[i] if before != ratios[i] else 0.0,
            )
        )
    return tuple(points)


def _suspects(points: Sequence[OpDistance], first: OpDistance) -> list[OpDistance]:
    """Return the first wrong op and those at which the error grows most, in execution order."""
    falling = sorted(points, key=lambda point: point.fall_db, reverse=True)[: _SUSPECTS - 1]
    return sorted({first.index: first, **{p.index: p for p in falling}}.values(), key=_index)


def _index(point: OpDistance) -> int:
    return point.index


def _own_snr_db(model: Model, op: Op, truth: Mapping[int, Values], run: Run) -> float:
    """Run an op alone on the reference's values; with it, ops before it that have none."""
    graph = model.graph
    ops: set[int] = set()
    inputs: dict[int, None] = {}
    pending = [op]
    while pending:
        current = pending.pop()
        ops.add(current.index)
        for tensor in graph.runtime_inputs(current):
            if tensor.index in truth:
                inputs[tensor.index] = None
            elif tensor.index in graph.producers:
                pending.append(graph.producers[tensor.index])
    part = cutting.cut(model.data, ops=sorted(ops), inputs=list(inputs), outputs=op.outputs[:1])
    (output,) = run(Model(name=model.name, data=part), [truth[i] for i in inputs])
    return snr_db(output, truth[op.outputs[0]])


def _is_readable(tensor: Tensor) -> bool:
    quantized = tensor.quantization is not None and len(tensor.quantization.scales) == 1
    return (
        tensor.constant is None
        and (tensor.dtype == "float32" or quantized)
        and (tensor.dtype in _READABLE)
    )


def _is_unmatched(graph: Graph, op: Op, pairs: Mapping[int, int]) -> bool:
    return bool(graph.runtime_inputs(op)) and not any(i in pairs for i in op.outputs)


def _stored(tensor: Tensor) -> str:
    if tensor.quantization is None:
        return tensor.dtype
    scale, zero_point = tensor.quantization.scales[0], tensor.quantization.zero_points[0]
    return f"{tensor.dtype}, scale {scale:.6g}, zero point {zero_point}"
