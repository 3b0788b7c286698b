"""Ask the vendor's estimator about a long graph by three shorter ones, where its blocks repeat.

Its compiler has one thread and takes more than twice as long for twice the ops. What a block adds
to the estimate differs from one to the next with what is left in on-chip memory, so that one block
cannot be priced once for all; a third of them can, less what is around them. Where the later half
of that third adds other than the earlier, the rest may too, and the interval is wider by that.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from harness.estimate import vendor, work
from harness.estimate.vendor import VendorEstimate
from harness.graph import Graph

_OPS_MIN = 1_000
"""Only one network that constants are fitted to has as many: ESRGAN in float, with 1,024."""
_TIMES_MIN = 8
SHORTENED_RATIO = 1.05
"""How much wider an interval is at least of which a third of the blocks was asked about.

Source: the largest error of this kind (decision 0029).
"""


@dataclass(frozen=True, kw_only=True)
class RepeatedBlocks:
    """Blocks of ops that are alike, one behind the other.

    Attributes:
        first: Position of the first op.
        length: How many ops a block has.
        times: How many blocks there are.
    """

    first: int
    length: int
    times: int

    @property
    def end(self) -> int:
        """Return the position behind the last block."""
        return self.first + self.length * self.times


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the estimator says of a graph, or of shorter ones in its place.

    Attributes:
        said: Of the graph.
        shortened: What was asked instead, as a phrase; '' where the graph was asked about.
        ratio: How much wider an interval is for that.
    """

    said: VendorEstimate
    shortened: str = ""
    ratio: float = 1.0


def estimate(graph: Graph, **limits: float) -> Answer:
    """Ask about a graph, or about its blocks where it is long and repeats them.

    Args:
        graph: As the phone runs it.
        limits: Of one question, as `vendor.estimate` takes them.

    Raises:
        TimeLimitError, StackMissing, ModelError, DeviceError: as `vendor.estimate`.
    """
    run = find(graph) if len(graph.ops) >= _OPS_MIN else None
    if run is None:
        return Answer(said=vendor.estimate(graph, **limits))
    third = math.ceil(run.times / 3)
    sixth = math.ceil(third / 2)
    # The longest first: on two cores the others take no longer than it does.
    asked = [shorten(graph, run, times) for times in (third, sixth, 1)]
    most, less, one = vendor.estimate_each(asked, **limits)
    said = _carried_on(one, most, steps=(run.times - third) / (third - 1))
    early_ms = (less.time_ms - one.time_ms) / (sixth - 1)
    late_ms = (most.time_ms - less.time_ms) / (third - sixth)
    left = run.times - third
    ends_ms = [most.time_ms + left * max(0.0, each_ms) for each_ms in (early_ms, late_ms)]
    ratio = max(max(end_ms / said.time_ms, said.time_ms / end_ms) for end_ms in ends_ms)
    phrase = f"its {run.times} blocks of {run.length} ops carried on from {third}"
    if ratio > SHORTENED_RATIO:
        phrase += f", of which the first add {early_ms:.2g} ms each and the last {late_ms:.2g} ms"
    return Answer(said=said, shortened=phrase, ratio=max(SHORTENED_RATIO, ratio))


def _carried_on(one: VendorEstimate, most: VendorEstimate, *, steps: float) -> VendorEstimate:
    """Return what comes after two estimates if it grows on as from one to the other."""

    def on(value: float, before: float) -> float:
        return value + steps * max(0.0, value - before)

    lacking = Counter(most.uncosted)
    for word, count in (lacking - Counter(one.uncosted)).items():
        lacking[word] += round(steps * count)
    return VendorEstimate(
        time_ms=on(most.time_ms, one.time_ms),
        traffic_mib=on(most.traffic_mib, one.traffic_mib),
        uncosted=tuple(lacking.elements()),
        hidden_mib=on(most.hidden_mib, one.hidden_mib),
    )


def find(graph: Graph) -> RepeatedBlocks | None:
    """Return the run of blocks that holds the most ops beyond its first block, or None."""
    tokens = _tokens(graph)
    best = None
    for length in range(1, len(tokens) // _TIMES_MIN + 1):
        alike = np.concatenate(([0], (tokens[:-length] == tokens[length:]).astype(int), [0]))
        starts, ends = (np.flatnonzero(np.diff(alike) == step) for step in (1, -1))
        if len(starts) == 0:
            continue
        longest = int(np.argmax(ends - starts))
        times = int(ends[longest] - starts[longest]) // length + 1
        if times < _TIMES_MIN:
            continue
        if best is None or (times - 1) * length > (best.times - 1) * best.length:
            best = RepeatedBlocks(first=int(starts[longest]), length=length, times=times)
    return best


def shorten(graph: Graph, run: RepeatedBlocks, times: int) -> Graph:
    """Return a graph with fewer blocks; what read the last ones reads those that are left.

    Args:
        graph: The whole.
        run: From `find`.
        times: How many blocks to leave, from 1.
    """
    start = run.first + times * run.length
    made = {
        index: (position, port)
        for position, op in enumerate(graph.ops)
        for port, index in enumerate(op.outputs)
        if start <= position < run.end
    }

    def left(index: int) -> int:
        if index not in made:
            return index
        position, port = made[index]
        block = (position - run.first) // run.length
        # Counted from the last, and at most the first that is left.
        kept = max(0, block - (run.times - times))
        return graph.ops[position - (block - kept) * run.length].outputs[port]

    return replace(
        graph,
        ops=(
            *graph.ops[:start],
            *(
                replace(op, inputs=tuple(left(index) for index in op.inputs))
                for op in graph.ops[run.end :]
            ),
        ),
        outputs=tuple(dict.fromkeys(left(index) for index in graph.outputs)),
    )


def _tokens(graph: Graph) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return a number for each op; equal ones are the same op, wired alike to those before it."""
    bare = vendor.without_weights(graph)
    weights = work.weight_tensors(graph)
    made = {i: position for position, op in enumerate(graph.ops) for i in op.outputs}
    numbers: dict[object, int] = {}
    found = []
    for position, op in enumerate(graph.ops):
        token: list[object] = [op.name, str(sorted((k, str(v)) for k, v in op.options.items()))]
        for index in op.inputs:
            tensor = bare.tensors[index] if index >= 0 else None
            distance = None
            if tensor is not None and tensor.constant is None and index not in weights:
                distance = position - made[index] if index in made else -1 - index
            token.append((distance, tensor and (tensor.shape, tensor.dtype, tensor.constant)))
        token.append(tuple((bare.tensors[i].shape, bare.tensors[i].dtype) for i in op.outputs))
        found.append(numbers.setdefault(tuple(token), len(numbers)))
    return np.array(found, dtype=np.int64)
