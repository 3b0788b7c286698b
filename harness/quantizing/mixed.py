"""Find the least set of ops to leave in float so that an 8-bit model keeps its PSNR."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness import culprit
from harness.culprit import pair_tensors
from harness.errors import ModelError
from harness.model import Model
from harness.quantizing.recipes import Quantizing
from harness.stacks import xnnpack

_RECIPE = "int8"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One try of the search.

    Attributes:
        kept: Ops left in float, by their index in the float model.
        psnr_db: The lowest PSNR against the float model, of any frame.
        model: The file.
        keeps: Whether that PSNR is enough.
    """

    kept: tuple[int, ...]
    psnr_db: float
    model: Model
    keeps: bool


def least_in_float(quantizing: Quantizing, *, keep_psnr_db: float) -> Iterator[Step]:
    """Yield each try; the last one keeps the PSNR, and no op more of it can be quantized.

    The image that comes in and the one that goes out are left in float first; 8 bits of them
    bound what any op between can give. Then the error along the fully quantized graph says which
    tensors lose most. A tensor is in float where all ops that write or read it are, so these are
    left in float, the costliest tensors first: 1, 2, 4, 8 tensors and so on until the PSNR is
    kept, then half way back. Then each op is quantized again, the one that was last to come
    first, and stays so where the PSNR is kept all the same. Other sets of as many ops may do as
    well.

    Args:
        quantizing: The model and its frames.
        keep_psnr_db: Least PSNR against the float model that every frame must have.

    Raises:
        ModelError: the quantizer or LiteRT does not take the model.
        DeviceError: one of them crashed.
    """
    step = _tried(quantizing, (), keep_psnr_db)
    yield step
    if step.keeps:
        return
    groups = _ranked(quantizing, step.model)
    enough, too_few = 1, 0
    while True:
        step = _tried(quantizing, _ops(groups[:enough]), keep_psnr_db)
        yield step
        if step.keeps:
            break
        if enough >= len(groups):
            raise ModelError(
                f"{quantizing.model.name}: has {step.psnr_db:.2f} dB with all of its ops in "
                f"float, and is asked for {keep_psnr_db:g} dB: an op is quantized all the same"
            )
        too_few, enough = enough, min(2 * enough, len(groups))
    least = step
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        step = _tried(quantizing, _ops(groups[:middle]), keep_psnr_db)
        yield step
        if step.keeps:
            least, enough = step, middle
        else:
            too_few = middle
    yield from _thinned(quantizing, least, keep_psnr_db)


def _thinned(quantizing: Quantizing, least: Step, keep_psnr_db: float) -> Iterator[Step]:
    """Yield tries with one op fewer each, the smallest set that keeps the PSNR again at the end."""
    last = least
    for op in reversed(least.kept):
        kept = tuple(other for other in least.kept if other != op)
        last = _tried(quantizing, kept, keep_psnr_db)
        yield last
        if last.keeps:
            least = last
    if last is not least:
        yield least


def _tried(quantizing: Quantizing, kept: tuple[int, ...], keep_psnr_db: float) -> Step:
    made = quantizing.quantized(_RECIPE, kept=kept)
    worst_db = min(match.psnr_db for match in quantizing.distances(made))
    return Step(kept=kept, psnr_db=worst_db, model=made, keeps=worst_db >= keep_psnr_db)


def _ops(groups: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the ops of some groups, each once, in the order of the groups."""
    return tuple(dict.fromkeys(op for group in groups for op in group))


def _ranked(quantizing: Quantizing, made: Model) -> list[tuple[int, ...]]:
    """Return the ops at both ends of the float model, then around each tensor, the worst first."""
    graph, sized = quantizing.sized.graph, made.at(quantizing.sized.size)
    found = culprit.search(
        sized,
        quantizing.sized,
        quantizing.frames[0],
        run=xnnpack.execute,
        run_reference=xnnpack.execute,
    )
    pairs = pair_tensors(sized.graph, graph)
    falls = {
        pairs[sized.graph.ops[point.index].outputs[0]]: point.fall_db for point in found.points
    }
    written = [i for op in graph.ops for i in op.outputs if graph.runtime_inputs(op)]
    inner = sorted(set(written) - set(graph.outputs), key=lambda i: -falls.get(i, -math.inf))
    ends = (*graph.inputs, *graph.outputs)
    return [
        tuple(
            op.index
            for op in graph.ops
            if {*op.outputs, *(t.index for t in graph.runtime_inputs(op))}.intersection(tensors)
        )
        for tensors in (ends, *((tensor,) for tensor in inner))
    ]
