"""Count what one op asks of the unit that runs it: arithmetic, bytes, channels.

Every op has a rule here or is a ModelError that names it; none costs nothing by accident.
"""

from dataclasses import dataclass
from math import prod

from harness.errors import ModelError
from harness.graph import Graph, Op, Tensor

DENSE = "dense"
TRANSPOSED = "transposed"
DEPTHWISE = "depthwise"
VECTOR = "vector"
REFERENCE = "reference"
MOVE = "move"

FLOAT = "float"
INT8 = "int8"
INT16 = "int16"

_DENSE_OPS = frozenset({"CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"})

# Multiply-adds per element of the first output, in what a vectorized kernel spends on it.
# Source: counted from each operator's definition; transcendental functions as the polynomial of
# about ten terms that vector math libraries use.
_VECTOR_OPS = {
    "ABS": 1, "ADD": 1, "ADD_N": 1, "CEIL": 1, "ELU": 12, "EQUAL": 1, "EXP": 10, "FLOOR": 1,
    "FLOOR_DIV": 6, "FLOOR_MOD": 6, "GELU": 14, "GREATER": 1, "GREATER_EQUAL": 1,
    "HARD_SWISH": 4, "LAYER_NORM": 8, "LEAKY_RELU": 2, "LESS": 1, "LESS_EQUAL": 1, "LOG": 10,
    "LOGISTIC": 12,
    "MAXIMUM": 1, "MINIMUM": 1, "MUL": 1, "NEG": 1, "NOT_EQUAL": 1, "POW": 20, "PRELU": 2,
    "RELU": 1, "RELU6": 1, "RELU_0_TO_1": 1, "RELU_N1_TO_1": 1, "ROUND": 1, "RSQRT": 6,
    "SELECT": 1, "SELECT_V2": 1, "SIN": 10, "COS": 10, "SQRT": 6, "SQUARE": 1,
    "SQUARED_DIFFERENCE": 2, "SUB": 1, "SOFTMAX": 14, "LOG_SOFTMAX": 16, "TANH": 12, "DIV": 4,
    "RESIZE_BILINEAR": 4, "L2_NORMALIZATION": 4, "LOCAL_RESPONSE_NORMALIZATION": 16,
    "QUANTIZE": 2, "DEQUANTIZE": 2, "CAST": 1, "CUMSUM": 1,
}  # fmt: skip

# Multiply-adds per element of the first input.
_REDUCTIONS = frozenset(
    {"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "ARG_MAX", "ARG_MIN"}
)
_POOLS = frozenset({"MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D"})
_MOVES = frozenset({
    "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS",
    "FILL", "GATHER", "GATHER_ND", "MIRROR_PAD", "PACK", "PAD", "PADV2", "RESHAPE",
    "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SHAPE", "SLICE", "SPACE_TO_BATCH_ND",
    "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE",
    "UNPACK",
})  # fmt: skip

# In 8 bits the CPU has only TFLite's reference kernels for these: one thread, one element after
# the other. Source: XNNPACK delegate of LiteRT 2.3 (takes them in float only); 43 to 50
# instructions per element on Arm against 2.4 of ADD and 2.0 of HARD_SWISH, counted under QEMU for
# Pixel 4's cores.
_REFERENCE_INT8_OPS = frozenset({"PRELU", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"})


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one op asks for.

    Attributes:
        kind: dense, transposed, depthwise, vector, reference or move: which rate its arithmetic
            runs at.
        operations: Multiply-accumulates; multiply-adds for a vector op, elements for a reference
            kernel, 0 for a move.
        in_channels: Channels summed over, 0 where the notion does not apply.
        out_channels: Channels produced, 0 where the notion does not apply.
    """

    kind: str
    operations: int
    in_channels: int = 0
    out_channels: int = 0


def work_of(graph: Graph, op: Op, *, on_cpu: bool) -> Work:
    """Count the work of one op.

    Args:
        graph: The graph that it is of.
        op: The op.
        on_cpu: Whether it runs on the CPU.

    Raises:
        ModelError: there is no rule for the op.
    """
    if op.name in _DENSE_OPS and not is_depthwise(graph, op):
        in_channels, out_channels = _channels(graph, op)
        kind = TRANSPOSED if op.name == "TRANSPOSE_CONV" else DENSE
        return Work(
            kind=kind, operations=op.macs, in_channels=in_channels, out_channels=out_channels
        )
    output = graph.tensors[op.outputs[0]] if op.outputs else None
    if output is None:
        raise ModelError(f"op #{op.index} {op.name} has no output; the latency model needs one")
    if is_depthwise(graph, op):
        return Work(kind=DEPTHWISE, operations=op.macs, out_channels=output.shape[-1])
    if on_cpu and has_only_reference_kernel(graph, op):
        return Work(kind=REFERENCE, operations=output.elements)
    if op.name in _VECTOR_OPS:
        return Work(kind=VECTOR, operations=_VECTOR_OPS[op.name] * output.elements)
    if op.name in _REDUCTIONS:
        return Work(kind=VECTOR, operations=graph.tensors[op.inputs[0]].elements)
    if op.name in _POOLS:
        window = int(op.options.get("filter_height", 1)) * int(op.options.get("filter_width", 1))
        return Work(kind=VECTOR, operations=window * output.elements)
    if op.name in _MOVES:
        return Work(kind=MOVE, operations=0)
    raise ModelError(
        f"op #{op.index} {op.name} has no rule in the latency model, so nothing is estimated; "
        "measure the model on a phone"
    )


def is_depthwise(graph: Graph, op: Op) -> bool:
    """Return whether a convolution sums over one channel alone, under whichever name."""
    if op.name != "CONV_2D":
        return op.name == "DEPTHWISE_CONV_2D"
    data, weights = (graph.tensors[i].shape for i in op.inputs[:2])
    return weights[-1:] == (1,) and data[-1:] != (1,)


def _channels(graph: Graph, op: Op) -> tuple[int, int]:
    """Return the channels that a dense op sums over and produces, for one group."""
    output = graph.tensors[op.outputs[0]].shape
    if op.name == "BATCH_MATMUL":
        return graph.tensors[op.inputs[0]].shape[-1], output[-1]
    weights = graph.tensors[op.inputs[1]].shape
    if op.name == "CONV_2D":
        data = graph.tensors[op.inputs[0]].shape
        groups = max(1, data[-1] // max(1, weights[-1]))
        return weights[-1], output[-1] // groups
    return weights[-1], output[-1]


def precision_of(graph: Graph, op: Op) -> str:
    """Return float, int8 or int16: the arithmetic an op runs in, by its activations."""
    index = op.inputs[0] if op.name == "DEQUANTIZE" else op.outputs[0]
    dtype = graph.tensors[index].dtype
    if dtype in ("int8", "uint8", "int4", "uint4"):
        return INT8
    return INT16 if dtype in ("int16", "uint16") else FLOAT


def has_only_reference_kernel(graph: Graph, op: Op) -> bool:
    """Return whether the CPU has no vectorized kernel for an op in its precision."""
    return op.name in _REFERENCE_INT8_OPS and precision_of(graph, op) == INT8


def weight_tensors(graph: Graph) -> frozenset[int]:
    """Return the tensors that are weights: constant, or unpacked from a constant."""
    unpacked = {i for op in graph.ops if graph.unpacks_constant(op) for i in op.outputs}
    return frozenset(unpacked | {t.index for t in graph.tensors if t.constant is not None})


def activation_bytes(tensor: Tensor, *, float_bytes: float) -> float:
    """Return the bytes of an activation on a unit that keeps floats in `float_bytes` each."""
    if tensor.dtype in ("float32", "float16", "bfloat16"):
        return prod(tensor.shape) * float_bytes
    return float(tensor.size_bytes)
