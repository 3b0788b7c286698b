"""Hold the NNAPI delegate's op table: which node it offers to the drivers at a feature level.

Source: LiteRT @ f674577, tflite/delegates/nnapi/nnapi_delegate.cc,
`NNAPIDelegateKernel::Validate`; transcribed as facts, in our own words. Recurrent cells and
embeddings are left out: a node of theirs counts as refused.
"""

from dataclasses import dataclass

from harness.graph import Tensor
from harness.stacks import nnapi_limits as limits
from harness.stacks.nnapi_limits import (
    INT16,
    LEVEL_6,
    LEVEL_7,
    NNAPI_1_0,
    NNAPI_1_1,
    NNAPI_1_2,
    NNAPI_1_3,
    needs_level,
)
from harness.stacks.rules import (
    Constraint,
    Node,
    Objection,
    constant,
    dtype_is,
    input_counts,
    join,
    output_is_no_scalar,
    rank_is,
    ranks_at_most,
    refused,
    without_activation,
    without_zero_sizes,
)

_DTYPE_FIELDS = {
    "float32": "f32", "float16": "f16", "uint8": "u8", "int8": "i8", "int32": "i32", "bool": "bit",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NnapiRule:
    """One row: from which feature level an op is taken, by the dtype of its data input.

    Attributes:
        op: TFLite builtin name.
        version_max: Newest version of the op, or None for any.
        f32: First feature level for float32; None for never. So f16, u8, i8, i32 and bit (bool).
        unchecked: First level at which the delegate does not look at the dtype any more.
        runtime_dtypes: What the NNAPI runtime takes where the delegate does not look; any other
            dtype makes the delegate fail as a whole.
        data: Index of the input whose dtype counts.
        needs: Further constraints.
    """

    op: str
    version_max: int | None
    f32: int | None = None
    f16: int | None = None
    u8: int | None = None
    i8: int | None = None
    i32: int | None = None
    bit: int | None = None
    unchecked: int | None = None
    runtime_dtypes: tuple[str, ...] = ("float32", "float16", "uint8", "int8")
    data: int = 0
    needs: tuple[Constraint, ...] = ()

    def first_level(self, dtype: str) -> int | None:
        """Return the first feature level that takes a dtype, or None if none does."""
        field = _DTYPE_FIELDS.get(dtype)
        levels = (getattr(self, field) if field else None, self.unchecked)
        return min((level for level in levels if level is not None), default=None)


def check(node: Node) -> Objection | None:
    """Return why the delegate does not offer a node to the drivers, or None if it does."""
    rule = RULES.get(node.op.name)
    if rule is None:
        return refused(f"the NNAPI delegate does not know {node.op.name}")
    data = node.input(rule.data)
    if data is None or node.output is None:
        return refused("lacks an input or an output")
    if _dequantizes_computed_float16(node):
        return None
    findings = [_check_version(node, rule), _check_dtype(node, rule, data)]
    findings += [constraint(node) for constraint in rule.needs]
    return join([finding for finding in findings if finding is not None])


def breaks_delegate(node: Node) -> bool:
    """Return whether the delegate takes a node that the NNAPI runtime then rejects.

    That is an error and no fallback: TFLite removes the delegate from the whole graph.
    """
    rule = RULES.get(node.op.name)
    if rule is None or rule.unchecked is None:
        return False
    data = node.input(rule.data)
    return data is not None and data.dtype not in rule.runtime_dtypes


def _check_version(node: Node, rule: NnapiRule) -> Objection | None:
    limit = rule.version_max
    if node.op.name == "MUL" and not node.accelerator_specified:
        limit = 2
    if limit is None or node.op.version <= limit:
        return None
    remedy = ""
    if any(t.dtype == "int16" for t in node.graph.input_tensors(node.op)):
        remedy = INT16
    return refused(f"op version {node.op.version} is newer than {limit}", remedy)


def _check_dtype(node: Node, rule: NnapiRule, data: Tensor) -> Objection | None:
    first = rule.first_level(data.dtype)
    if first is None:
        remedy = INT16 if data.dtype == "int16" else ""
        return refused(f"{data.dtype} is not taken at any feature level", remedy)
    if node.level < first:
        return refused(needs_level(first, data.dtype, node.level))
    return None


def _dequantizes_computed_float16(node: Node) -> bool:
    data = node.input(0)
    return (
        node.op.name == "DEQUANTIZE"
        and node.level >= NNAPI_1_3
        and data is not None
        and data.dtype == "float16"
        and data.constant is None
    )


_ELEMENTWISE = (limits.int32_without_activation, ranks_at_most(4, 0, 1))
_SAMPLING = (constant(1, "size"), limits.sampling_is_legacy)
_CONV_BEFORE_1_2 = (
    limits.weights_are_not_hybrid_before_1_2,
    limits.scales_are_per_tensor_before_1_2,
    limits.scales_are_restricted_before_1_2,
    limits.dilation_is_1_before_1_2,
)
_CONV_2D = (limits.has_bias, limits.is_not_grouped_before_1_2, *_CONV_BEFORE_1_2)
_DEPTHWISE = (limits.scales_are_restricted_before_1_2, limits.dilation_is_1_before_1_2)
_FULLY_CONNECTED = (
    limits.output_is_not_int16,
    limits.weights_are_not_hybrid_before_1_2,
    limits.scales_are_restricted_before_1_2,
    limits.keep_num_dims_from_1_3,
)
_RESIZE_BILINEAR = (rank_is(4), limits.output_is_square_before_1_2, *_SAMPLING)
_TRANSPOSE_CONV = (constant(0, "output shape"), constant(1, "weights"))
_BATCH_MATMUL = (rank_is(2, 3, 4), limits.same_dtypes, limits.without_batch_broadcast)
_CONCATENATION = (
    without_activation, ranks_at_most(4, 0), limits.uint8_scales_are_equal_before_1_2,
)  # fmt: skip
_PAD = (input_counts(2, 3), limits.padding_value_from_1_2, without_zero_sizes)
_MIRROR_PAD = (input_counts(2), limits.mode_is_known, without_zero_sizes)
_MEAN = (ranks_at_most(4, 0), output_is_no_scalar)
_RESHAPE = (ranks_at_most(4, 0), limits.output_rank_at_most_4, limits.shape_is_known)
_SLICE = (dtype_is(1, "begin", "int32"), dtype_is(2, "size", "int32"))
_SPLIT_V = (
    constant(1, "sizes", "int32"), constant(2, "axis", "int32"), limits.sizes_are_not_zero,
)  # fmt: skip
_UNPACK = (rank_is(2, 3, 4), limits.axis_is_not_last)
_SOFTMAX = (
    ranks_at_most(4, 0), limits.rank_2_or_4_before_1_2,
    limits.output_dtype_in("float32", "uint8", "int8"),
)  # fmt: skip
_GATHER = (dtype_is(1, "indices", "int32"), limits.indices_are_no_scalar)
_ARG = (limits.output_dtype_in("int32"),)

# Columns: from which feature level an op is taken with each dtype; a dtype left out is never taken.
V0, V1, V2, V3 = NNAPI_1_0, NNAPI_1_1, NNAPI_1_2, NNAPI_1_3
_TABLE = (
    NnapiRule(op="CONV_2D", version_max=5, f32=V0, u8=V0, unchecked=V2, needs=_CONV_2D),
    NnapiRule(op="DEPTHWISE_CONV_2D", version_max=3, f32=V0, u8=V0, unchecked=V2, needs=_DEPTHWISE),
    NnapiRule(op="TRANSPOSE_CONV", version_max=4, unchecked=V2, data=2, needs=_TRANSPOSE_CONV),
    NnapiRule(
        op="FULLY_CONNECTED", version_max=5, f32=V0, u8=V0, unchecked=V2, needs=_FULLY_CONNECTED
    ),
    NnapiRule(
        op="BATCH_MATMUL", version_max=2, f32=LEVEL_6, i8=LEVEL_6, i32=LEVEL_6, needs=_BATCH_MATMUL
    ),
    NnapiRule(op="RESIZE_BILINEAR", version_max=3, f32=V0, u8=V2, i8=V2, needs=_RESIZE_BILINEAR),
    NnapiRule(op="RESIZE_NEAREST_NEIGHBOR", version_max=3, f32=V2, u8=V2, i8=V2, needs=_SAMPLING),
    NnapiRule(op="DEPTH_TO_SPACE", version_max=None, f32=V0, u8=V0, i8=V0),
    NnapiRule(op="SPACE_TO_DEPTH", version_max=2, f32=V0, u8=V0, i8=V0),
    NnapiRule(op="PRELU", version_max=1, f32=V2, u8=V2, i8=V2),
    NnapiRule(op="LEAKY_RELU", version_max=1, f32=V2, u8=V2, i8=V2),
    *(
        NnapiRule(op=op, version_max=2, f32=V0, u8=V0, i8=V0)
        for op in ("RELU", "RELU6", "RELU_N1_TO_1", "LOGISTIC")
    ),
    NnapiRule(op="TANH", version_max=2, f32=V0, u8=V2, i8=V2),
    NnapiRule(op="HARD_SWISH", version_max=None, f32=V0, u8=V0, i8=V0),
    NnapiRule(op="ELU", version_max=1, f32=V3),
    NnapiRule(op="ADD", version_max=2, f32=V0, u8=V0, i8=V0, i32=V3, needs=_ELEMENTWISE),
    NnapiRule(op="SUB", version_max=3, f32=V1, u8=V2, i8=V2, i32=V3, needs=_ELEMENTWISE),
    NnapiRule(op="MUL", version_max=3, f32=V0, u8=V0, i8=V0, i32=V3, needs=_ELEMENTWISE),
    NnapiRule(op="DIV", version_max=1, f32=V1, needs=(ranks_at_most(4, 0, 1),)),
    NnapiRule(
        op="SQUARED_DIFFERENCE", version_max=2, f32=V1, u8=V2, i8=V3, i32=V3,
        needs=(ranks_at_most(4, 0, 1),),
    ),
    *(
        NnapiRule(
            op=op, version_max=3, f32=V2, u8=V2, i8=V2, i32=V2,
            needs=(limits.scalars_are_constant,),
        )
        for op in ("MINIMUM", "MAXIMUM")
    ),
    NnapiRule(
        op="CONCATENATION", version_max=2, f32=V0, f16=V0, u8=V0, i8=V0, needs=_CONCATENATION
    ),
    *(NnapiRule(op=op, version_max=2, f32=V1, u8=V2, i8=V2, needs=_PAD) for op in ("PAD", "PADV2")),
    NnapiRule(
        op="MIRROR_PAD", version_max=2, f32=LEVEL_7, u8=LEVEL_7, i8=LEVEL_7, i32=LEVEL_7,
        needs=_MIRROR_PAD,
    ),
    NnapiRule(op="MAX_POOL_2D", version_max=2, f32=V0, u8=V0, i8=V0),
    NnapiRule(
        op="AVERAGE_POOL_2D", version_max=2, f32=V0, u8=V0, i8=V0,
        needs=(limits.window_is_small_without_accelerator,),
    ),
    NnapiRule(op="MEAN", version_max=2, f32=V1, u8=V2, i8=V2, needs=_MEAN),
    *(
        NnapiRule(op=op, version_max=2, f32=V2, u8=V2, i8=V2, needs=(limits.input_is_no_scalar,))
        for op in ("REDUCE_MAX", "REDUCE_MIN")
    ),
    *(
        NnapiRule(op=op, version_max=1, f32=V2, needs=(output_is_no_scalar,))
        for op in ("SUM", "REDUCE_PROD")
    ),
    NnapiRule(op="TRANSPOSE", version_max=2, unchecked=V1, needs=(constant(1, "permutation"),)),
    NnapiRule(op="RESHAPE", version_max=1, f32=V0, u8=V0, i8=V0, i32=LEVEL_6, needs=_RESHAPE),
    NnapiRule(op="SQUEEZE", version_max=1, unchecked=V1, needs=(limits.squeeze_dims_at_1_1,)),
    NnapiRule(
        op="EXPAND_DIMS", version_max=1, f32=V2, f16=V2, u8=V2, i8=V2, i32=V2,
        needs=(constant(1, "axis", "int32"),),
    ),
    NnapiRule(op="STRIDED_SLICE", version_max=2, f32=V1, u8=V1, i8=V1),
    NnapiRule(op="SLICE", version_max=2, f32=V2, u8=V2, i8=V2, i32=V2, needs=_SLICE),
    NnapiRule(
        op="SPLIT", version_max=3, f32=V2, u8=V2, i8=V3, i32=V2, data=1,
        needs=(constant(0, "axis", "int32"),),
    ),
    NnapiRule(op="SPLIT_V", version_max=2, f32=V3, u8=V3, i8=V3, i32=V3, needs=_SPLIT_V),
    NnapiRule(
        op="PACK", version_max=2, f32=V3, u8=LEVEL_6, i8=V3, i32=LEVEL_6,
        needs=(limits.axis_is_not_last_before_6,),
    ),
    NnapiRule(op="UNPACK", version_max=2, f32=V3, u8=V3, i8=V3, needs=_UNPACK),
    NnapiRule(op="SOFTMAX", version_max=2, f32=V0, u8=V0, i8=V0, needs=_SOFTMAX),
    NnapiRule(
        op="CAST", version_max=1, f32=V2, u8=V2, i8=V3, i32=V2,
        needs=(limits.casts_to_a_known_dtype,),
    ),
    NnapiRule(
        op="QUANTIZE", version_max=2, f32=V2, u8=V2, i8=V2,
        needs=(limits.quantizes_to_a_known_dtype, limits.scales_are_positive),
    ),
    NnapiRule(
        op="DEQUANTIZE", version_max=2, u8=V0, i8=V2, needs=(limits.int8_is_symmetric_at_1_2,)
    ),
    *(
        NnapiRule(op=op, version_max=1, f32=V2)
        for op in ("ABS", "EXP", "LOG", "POW", "SQRT", "SIN", "COS", "LOG_SOFTMAX")
    ),
    NnapiRule(op="RSQRT", version_max=2, f32=V2, u8=LEVEL_7, i8=LEVEL_7),
    NnapiRule(op="GATHER", version_max=2, f32=V2, f16=V2, u8=V2, i8=V2, i32=V2, needs=_GATHER),
    NnapiRule(op="NEG", version_max=2, f32=V2, i32=V2),
    NnapiRule(
        op="TILE", version_max=1, f32=V2, u8=V2, i8=V2, i32=V2,
        needs=(dtype_is(1, "multipliers", "int32"),),
    ),
    NnapiRule(op="SPACE_TO_BATCH_ND", version_max=2, unchecked=V1),
    NnapiRule(op="BATCH_TO_SPACE_ND", version_max=2, unchecked=V1, needs=(limits.crops_are_zero,)),
    NnapiRule(op="FLOOR", version_max=1, unchecked=V0, runtime_dtypes=("float32", "float16")),
    *(
        NnapiRule(op=op, version_max=2, f32=V2, u8=V2, i8=V2, i32=V2, bit=V2)
        for op in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL")
    ),
    *(
        NnapiRule(op=op, version_max=1, bit=V2)
        for op in ("LOGICAL_OR", "LOGICAL_AND", "LOGICAL_NOT")
    ),
    NnapiRule(
        op="SELECT", version_max=2, f32=V2, u8=V2, i8=V2, i32=V2, data=1,
        needs=(limits.condition_has_the_shape_of_the_data,),
    ),
    *(
        NnapiRule(op=op, version_max=2, f32=V2, f16=V2, u8=V2, i8=V2, i32=V2, needs=_ARG)
        for op in ("ARG_MAX", "ARG_MIN")
    ),
)  # fmt: skip

RULES = {rule.op: rule for rule in _TABLE}
"""The op table by TFLite builtin name."""
