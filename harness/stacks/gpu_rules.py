"""Say which op runs where through the classic GPU delegate (OpenCL), by its published rules.

This stands in where LiteRT's real GPU accelerator cannot run on the host.

Source: LiteRT @ f674577, tflite/delegates/gpu/common/model_builder.cc and
tflite/tools/versioning/gpu_compatibility.cc; transcribed as facts, in our own words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence import Evidence, Provenance, now_utc
from harness.graph import Graph, Op
from harness.model import Model
from harness.placement import CPU, NodePlacement, Placement, partition
from harness.profiles import Accelerator, Target
from harness.stacks import known_failures
from harness.stacks.rules import (
    INT16_REMEDY,
    Constraint,
    Node,
    Objection,
    constant,
    driver_refusal,
    input_counts,
    join,
    join_float16,
    largest_partitions,
    rank_is,
    refused,
    remap_float16,
)
from harness.stacks.substitutes import probe, substitute

SOURCE = "LiteRT @ f674577, model_builder.cc and gpu_compatibility.cc"

PARTITIONS_MAX = 1
"""Partitions that the delegate takes by default. Source: LiteRT @ f674577, gpu/delegate.h."""

_DATA = ("float32", "float16", "int8", "uint8")
_REMEDY_16 = INT16_REMEDY.format(delegate="the GPU delegate")


@dataclass(frozen=True, kw_only=True)
class GpuRule:
    """One row: the newest version of an op, and what else it needs.

    Attributes:
        op: TFLite builtin name.
        version_max: Newest version, or None where no limit is published.
        needs: Further constraints.
        dtypes: What its data may be at run time.
    """

    op: str
    version_max: int | None
    needs: tuple[Constraint, ...] = ()
    dtypes: tuple[str, ...] = _DATA


def place(model: Model, target: Target) -> Placement:
    """Say which op of a model the GPU delegate takes with its default options, and why not others.

    Args:
        model: At the size it is to run.
        target: The phone; its accelerator of the delegate gpu gives the unit its name.
    """
    graph = model.graph
    units = target.profile.accelerators_of("gpu")
    seen, widening = remap_float16(graph)
    findings = _judge(seen, widening, units)
    able = [op.index not in findings and op.index not in widening for op in graph.ops]
    if findings:
        kept = largest_partitions(graph, able, PARTITIONS_MAX)
    else:
        kept = tuple(able)
    accelerated = join_float16(graph, kept, widening)
    nodes, failures = known_failures.mark(
        [
            NodePlacement(index=op.index, op=op.name, unit=units[0].name)
            if accelerated[op.index]
            else _on_cpu(op, findings.get(op.index), widens=op.index in widening)
            for op in graph.ops
        ],
        graph,
    )
    note = f"default options: at most {PARTITIONS_MAX} partition goes to the GPU"
    return Placement(
        nodes=nodes,
        partitions=len(partition(graph, accelerated, idle=widening)),
        provenance=Provenance(
            evidence=Evidence.RULES,
            device=f"{target.profile.name}:gpu rules",
            variant_sha256=model.sha256,
            file_sha256=model.file_sha256,
            runtime={"gpu rules": SOURCE, "profile": target.sha256[:12]},
            time_utc=now_utc(),
            note=f"{note}; {failures}" if failures else note,
        ),
    )


def check(node: Node) -> Objection | None:
    """Return why the GPU delegate cannot run a node, or None if it can."""
    rule = RULES.get(node.op.name)
    if rule is None:
        return refused(f"{node.op.name} is not among the published ops of the GPU delegate")
    if node.output is None or not node.op.inputs:
        return refused("lacks an input or an output")
    findings = [_check_version(node, rule), _check_tensors(node, rule)]
    findings += [constraint(node) for constraint in rule.needs]
    return join([finding for finding in findings if finding is not None])


def _judge(
    seen: Graph, widening: frozenset[int], units: Sequence[Accelerator]
) -> dict[int, Objection]:
    """Return why ops cannot run on the GPU, by index."""
    if not units:
        reason = refused("the profile names no GPU")
        return {op.index: reason for op in seen.ops}
    found = {}
    for op in seen.ops:
        finding = _refusal(seen, op, units[0]) if op.index not in widening else None
        if finding is not None:
            instead = finding.remedy or substitute(
                op.name,
                _dtype(seen, op),
                lambda names, dtype: all(
                    _refusal(graph, graph.ops[0], units[0]) is None
                    for graph in (probe(name, dtype) for name in names)
                ),
            )
            found[op.index] = refused(finding.reason, instead)
    return found


def _refusal(graph: Graph, op: Op, unit: Accelerator) -> Objection | None:
    finding = check(Node(graph=graph, op=op))
    return finding or driver_refusal(unit, op.name, _dtype(graph, op))


def _dtype(graph: Graph, op: Op) -> str:
    """Return the dtype of an op's data, or of its first constant where all it reads is constant."""
    return graph.runtime_dtype(op) or next((t.dtype for t in graph.input_tensors(op)), "")


def _on_cpu(op: Op, finding: Objection | None, *, widens: bool) -> NodePlacement:
    if finding is None:
        finding = (
            refused("widens float16 weights of an op on the CPU")
            if widens
            else refused(
                f"the GPU delegate takes its {PARTITIONS_MAX} largest partition only, and this op "
                "is in another",
                "replace the ops that split the graph, or raise max_delegated_partitions",
            )
        )
    return NodePlacement(
        index=op.index, op=op.name, unit=CPU, reason=finding.reason, remedy=finding.remedy
    )


def _check_version(node: Node, rule: GpuRule) -> Objection | None:
    if rule.version_max is None or node.op.version <= rule.version_max:
        return None
    return refused(f"op version {node.op.version} is newer than {rule.version_max}")


def _check_tensors(node: Node, rule: GpuRule) -> Objection | None:
    computed = [
        *node.graph.runtime_inputs(node.op),
        *(node.graph.tensors[i] for i in node.op.outputs),
    ]
    for tensor in computed:
        if len(tensor.shape) > 4:
            return refused(f"a tensor has rank {len(tensor.shape)}; at most 4")
        if tensor.dtype not in rule.dtypes:
            remedy = _REMEDY_16 if tensor.dtype == "int16" else ""
            return refused(f"{tensor.dtype} data is not taken", remedy)
    return None


def _steps_are_positive(*options: str) -> Constraint:
    def check_steps(node: Node) -> Objection | None:
        zero = [name for name in options if node.option(name, 1) <= 0]
        return refused(f"{', '.join(zero)} is not positive") if zero else None

    return check_steps


def _computes(*counts: int) -> Constraint:
    def check_inputs(node: Node) -> Objection | None:
        count = len(node.graph.runtime_inputs(node.op))
        if count in counts:
            return None
        wanted = " or ".join(map(str, counts))
        return refused(f"has {count} inputs computed at run time; wants {wanted}")

    return check_inputs


def _channels_multiply(node: Node) -> Objection | None:
    data, multiplier = node.input(0), node.option("depth_multiplier", 1)
    if data is None or node.output is None or not data.shape or not node.output.shape:
        return refused("has no channels")
    if node.output.shape[-1] == data.shape[-1] * multiplier:
        return None
    return refused("output channels are not input channels x depth_multiplier")


def _ranks_fit_keep_num_dims(node: Node) -> Objection | None:
    data = node.input(0)
    if not node.option("keep_num_dims", False) or data is None or node.output is None:
        return None
    return None if len(data.shape) == len(node.output.shape) else refused("keep_num_dims: ranks")


def _weights_are_plain(node: Node) -> Objection | None:
    return refused("shuffled weights") if node.option("weights_format") != 0 else None


def _broadcast_is_known(node: Node) -> Objection | None:
    left, right = node.input(0), node.input(1)
    if left is None or right is None:
        return None
    shorter, longer = sorted((left.shape, right.shape), key=len)
    if len(shorter) <= 1 or len(shorter) == len(longer):
        return None
    known = len(longer) == 4 and (
        (len(shorter) == 3 and longer[0] == 1)
        or shorter == (1, 1)
        or shorter == (longer[0], longer[3])
    )
    return None if known else refused(f"cannot broadcast {list(shorter)} to {list(longer)}")


def _slope_is_per_channel_or_full(node: Node) -> Objection | None:
    data, slope = node.input(0), node.input(1)
    if data is None or slope is None or not data.shape or not slope.shape:
        return refused("has no slope")
    per_channel = slope.elements == slope.shape[-1] == data.shape[-1]
    if per_channel or slope.shape[-3:] == data.shape[-3:]:
        return None
    return refused(f"slope of shape {list(slope.shape)} is neither per channel nor full")


def _sampling_is_one_kind(node: Node) -> Objection | None:
    if node.option("align_corners", False) and node.option("half_pixel_centers", False):
        return refused("align_corners together with half_pixel_centers")
    return None


def _block_is_more_than_1(node: Node) -> Objection | None:
    return refused("block size 1") if node.option("block_size", 2) <= 1 else None


def _paddings_are_3x2_or_4x2(node: Node) -> Objection | None:
    paddings = node.input(1)
    if paddings is not None and paddings.shape in ((3, 2), (4, 2)):
        return None
    return refused("paddings are neither 3x2 nor 4x2")


def _mirror_reflects(node: Node) -> Objection | None:
    return None if node.option("mode") == 0 else refused("mirror mode is not REFLECT")


def _masks_are_empty(node: Node) -> Objection | None:
    masks = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    used = [mask for mask in masks if node.option(mask)]
    return refused(f"uses {', '.join(used)}") if used else None


def _strides_are_not_negative(node: Node) -> Objection | None:
    strides = node.input(3)
    values = strides.values() if strides is not None else None
    return refused("a stride is negative") if values is not None and (values < 0).any() else None


def _beta_is_1(node: Node) -> Objection | None:
    return None if node.option("beta", 1.0) == 1.0 else refused("beta is not 1")


def _indices_are_a_vector(node: Node) -> Objection | None:
    indices = node.input(1)
    if indices is not None and indices.dtype == "int32" and len(indices.shape) == 1:
        return None
    return refused("indices are not a vector of int32")


_STRIDES = ("stride_h", "stride_w")
_CONV = (_steps_are_positive(*_STRIDES, "dilation_h_factor", "dilation_w_factor"), _computes(1, 2))
_POOL = (_steps_are_positive(*_STRIDES, "filter_height", "filter_width"),)
_MIXED = ("float32", "int32", "bool")

_TABLE = (
    GpuRule(op="CONV_2D", version_max=6, needs=_CONV),
    GpuRule(op="DEPTHWISE_CONV_2D", version_max=6, needs=(*_CONV, rank_is(4), _channels_multiply)),
    GpuRule(op="TRANSPOSE_CONV", version_max=3, needs=(_steps_are_positive(*_STRIDES),)),
    GpuRule(
        op="FULLY_CONNECTED", version_max=9, needs=(_weights_are_plain, _ranks_fit_keep_num_dims)
    ),
    GpuRule(op="ADD", version_max=2, needs=(input_counts(2), _broadcast_is_known)),
    GpuRule(op="MUL", version_max=3, needs=(input_counts(2), _broadcast_is_known)),
    *(
        GpuRule(op=op, version_max=2, needs=(input_counts(2), _computes(1, 2)))
        for op in ("SUB", "DIV", "MINIMUM", "MAXIMUM", "POW", "SQUARED_DIFFERENCE")
    ),
    *(
        GpuRule(op=op, version_max=2, needs=(_computes(1),))
        for op in (
            "EXP", "SQRT", "RSQRT", "TANH", "LOGISTIC", "HARD_SWISH", "ELU", "GELU", "ABS", "NEG",
            "SIN", "COS", "LOG", "SQUARE", "FLOOR",
        )
    ),
    *(
        GpuRule(op=op, version_max=2)
        for op in ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "CONCATENATION")
    ),
    GpuRule(op="PRELU", version_max=1, needs=(_slope_is_per_channel_or_full,)),
    *(
        GpuRule(op=op, version_max=3, needs=(_sampling_is_one_kind,))
        for op in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
    ),
    *(
        GpuRule(op=op, version_max=2, needs=(_block_is_more_than_1,))
        for op in ("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
    ),
    *(GpuRule(op=op, version_max=2, needs=(_paddings_are_3x2_or_4x2,)) for op in ("PAD", "PADV2")),
    GpuRule(op="MIRROR_PAD", version_max=2, needs=(_paddings_are_3x2_or_4x2, _mirror_reflects)),
    *(GpuRule(op=op, version_max=2, needs=_POOL) for op in ("MAX_POOL_2D", "AVERAGE_POOL_2D")),
    *(
        GpuRule(op=op, version_max=None, needs=(constant(1, "axes", "int32"),))
        for op in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
    ),
    GpuRule(op="TRANSPOSE", version_max=4),
    GpuRule(op="RESHAPE", version_max=1),
    GpuRule(op="SLICE", version_max=2, needs=(rank_is(3, 4),)),
    GpuRule(
        op="STRIDED_SLICE", version_max=4,
        needs=(rank_is(3, 4), _masks_are_empty, _strides_are_not_negative),
    ),
    *(GpuRule(op=op, version_max=None) for op in ("SPLIT", "SPLIT_V", "PACK", "UNPACK", "TILE")),
    GpuRule(op="BATCH_MATMUL", version_max=None, needs=(_computes(1, 2),)),
    GpuRule(op="SOFTMAX", version_max=2, needs=(_beta_is_1,)),
    GpuRule(op="CAST", version_max=None, dtypes=_MIXED),
    GpuRule(op="QUANTIZE", version_max=2),
    GpuRule(op="DEQUANTIZE", version_max=3),
    GpuRule(op="GATHER", version_max=1, needs=(_indices_are_a_vector,), dtypes=(*_DATA, "int32")),
    GpuRule(op="CUMSUM", version_max=None, dtypes=("float32",)),
)  # fmt: skip

RULES = {rule.op: rule for rule in _TABLE}
"""The op table by TFLite builtin name."""
