"""Name the limits that the NNAPI delegate sets beyond dtype and version, one function each.

Source: LiteRT @ f674577, tflite/delegates/nnapi/nnapi_delegate.cc,
`NNAPIDelegateKernel::Validate`; transcribed as facts, in our own words.
"""

from harness.stacks.rules import (
    INT16_REMEDY,
    Constraint,
    Node,
    Objection,
    constant,
    refused,
    without_activation,
)

NNAPI_1_0, NNAPI_1_1, NNAPI_1_2, NNAPI_1_3 = 27, 28, 29, 30
LEVEL_5, LEVEL_6, LEVEL_7, LEVEL_8 = 31, 1_000_006, 1_000_007, 1_000_008

LEVEL_NAMES = {
    NNAPI_1_0: "27 (NNAPI 1.0, Android 8.1)",
    NNAPI_1_1: "28 (NNAPI 1.1, Android 9)",
    NNAPI_1_2: "29 (NNAPI 1.2, Android 10)",
    NNAPI_1_3: "30 (NNAPI 1.3, Android 11)",
    LEVEL_5: "31 (feature level 5, Android 12)",
    LEVEL_6: "1000006 (feature level 6)",
    LEVEL_7: "1000007 (feature level 7, Android 13)",
    LEVEL_8: "1000008 (feature level 8, Android 14)",
}
"""Feature levels, in the numbers that the delegate compares. Source: nnapi_delegate_kernel.h."""

INT16 = INT16_REMEDY.format(delegate="NNAPI")


def needs_level(level: int, what: str, here: int) -> str:
    """Say that something needs a newer feature level than there is."""
    return f"{what} needs feature level {LEVEL_NAMES[level]}, here {here}"


def sampling_is_legacy(node: Node) -> Objection | None:
    """Refuse align_corners and half_pixel_centers below NNAPI 1.3."""
    flags = [f for f in ("align_corners", "half_pixel_centers") if node.option(f, False)]
    if not flags or node.level >= NNAPI_1_3:
        return None
    return refused(
        needs_level(NNAPI_1_3, " and ".join(flags), node.level),
        "export with half_pixel_centers=False and align_corners=False",
    )


def output_is_square_before_1_2(node: Node) -> Objection | None:
    """Refuse a resize to a rectangle below NNAPI 1.2."""
    shape = node.output.shape if node.output else ()
    if node.level >= NNAPI_1_2 or len(shape) != 4 or shape[1] == shape[2]:
        return None
    return refused(needs_level(NNAPI_1_2, "an output that is not square", node.level))


def _is_hybrid(node: Node) -> bool:
    data, weights = node.input(0), node.input(1)
    return (
        data is not None
        and weights is not None
        and (data.dtype, weights.dtype) == ("float32", "int8")
    )


def weights_are_not_hybrid_before_1_2(node: Node) -> Objection | None:
    """Refuse int8 weights with float32 data below NNAPI 1.2."""
    if node.level >= NNAPI_1_2 or not _is_hybrid(node):
        return None
    return refused(needs_level(NNAPI_1_2, "int8 weights with float32 data", node.level))


def scales_are_per_tensor_before_1_2(node: Node) -> Objection | None:
    """Refuse weights quantized per channel below NNAPI 1.2."""
    weights = node.input(1)
    if node.level >= NNAPI_1_2 or weights is None or weights.quantization is None:
        return None
    if len(weights.quantization.scales) <= 1:
        return None
    return refused(needs_level(NNAPI_1_2, "weights quantized per channel", node.level))


def scales_are_restricted_before_1_2(node: Node) -> Objection | None:
    """Refuse uint8 scales whose product reaches the output scale below NNAPI 1.2."""
    data = node.input(0)
    if node.level >= NNAPI_1_2 or data is None or data.dtype != "uint8":
        return None
    scales = [
        t.quantization.scales[0] if t is not None and t.quantization else 0.0
        for t in (data, node.input(1), node.output)
    ]
    if scales[0] * scales[1] < scales[2]:
        return None
    return refused(needs_level(NNAPI_1_2, "input scale x weight scale >= output scale", node.level))


def dilation_is_1_before_1_2(node: Node) -> Objection | None:
    """Refuse dilation below NNAPI 1.2."""
    factors = (node.option("dilation_h_factor", 1), node.option("dilation_w_factor", 1))
    if node.level >= NNAPI_1_2 or factors == (1, 1):
        return None
    return refused(needs_level(NNAPI_1_2, "dilation", node.level))


def is_not_grouped_before_1_2(node: Node) -> Objection | None:
    """Refuse a grouped convolution below NNAPI 1.2."""
    data, weights = node.input(0), node.input(1)
    if node.level >= NNAPI_1_2 or data is None or weights is None:
        return None
    if data.shape[-1:] == weights.shape[-1:]:
        return None
    return refused(needs_level(NNAPI_1_2, "a grouped convolution", node.level))


def has_bias(node: Node) -> Objection | None:
    """Refuse a convolution without bias."""
    if len(node.op.inputs) == 3:
        return None
    return refused("has no bias", "export the convolution with a bias, even if it is zero")


def output_is_not_int16(node: Node) -> Objection | None:
    """Refuse an int16 result."""
    if node.output is None or node.output.dtype != "int16":
        return None
    return refused("int16 output is not taken", INT16)


def keep_num_dims_from_1_3(node: Node) -> Objection | None:
    """Refuse keep_num_dims below NNAPI 1.3."""
    if not node.option("keep_num_dims", False) or node.level >= NNAPI_1_3:
        return None
    return refused(needs_level(NNAPI_1_3, "keep_num_dims", node.level))


def int32_without_activation(node: Node) -> Objection | None:
    """Refuse a fused activation on int32 data."""
    data = node.input(0)
    return without_activation(node) if data is not None and data.dtype == "int32" else None


def same_dtypes(node: Node) -> Objection | None:
    """Refuse two inputs of different dtypes."""
    left, right = node.input(0), node.input(1)
    if left is None or right is None or left.dtype == right.dtype:
        return None
    return refused(f"mixes {left.dtype} and {right.dtype}")


def without_batch_broadcast(node: Node) -> Objection | None:
    """Refuse to broadcast batch dimensions."""
    left, right = node.input(0), node.input(1)
    if left is None or right is None or left.shape[:-2] == right.shape[:-2]:
        return None
    return refused("broadcasts its batch dimensions")


def scalars_are_constant(node: Node) -> Objection | None:
    """Refuse a scalar operand that is computed at run time."""
    for tensor in (node.input(0), node.input(1)):
        if tensor is not None and tensor.shape == () and tensor.constant is None:
            return refused("a scalar operand is computed at run time")
    return None


def uint8_scales_are_equal_before_1_2(node: Node) -> Objection | None:
    """Refuse to join uint8 tensors of unequal scale below NNAPI 1.2."""
    data = node.input(0)
    if node.level >= NNAPI_1_2 or data is None or data.dtype != "uint8":
        return None
    if len({t.quantization for t in node.graph.input_tensors(node.op)}) <= 1:
        return None
    return refused(needs_level(NNAPI_1_2, "joining uint8 tensors of unequal scale", node.level))


def padding_value_from_1_2(node: Node) -> Objection | None:
    """Refuse a padding value below NNAPI 1.2."""
    if len(node.op.inputs) != 3 or node.level >= NNAPI_1_2:
        return None
    return refused(needs_level(NNAPI_1_2, "a padding value", node.level))


def window_is_small_without_accelerator(node: Node) -> Objection | None:
    """Refuse a large quantized window where NNAPI may choose its own CPU path."""
    data = node.input(0)
    if node.accelerator_specified or data is None or data.dtype not in ("uint8", "int8"):
        return None
    window = node.option("filter_width", 1) * node.option("filter_height", 1)
    return None if window <= 256 else refused(f"a quantized window of {window} > 256 elements")


def input_is_no_scalar(node: Node) -> Objection | None:
    """Refuse a scalar input."""
    data = node.input(0)
    return refused("the input is a scalar") if data is not None and data.shape == () else None


def output_rank_at_most_4(node: Node) -> Objection | None:
    """Refuse a result of rank 5 or more."""
    if node.output is None or len(node.output.shape) <= 4:
        return None
    return refused(f"output has rank {len(node.output.shape)}; at most 4")


def shape_is_known(node: Node) -> Objection | None:
    """Refuse a reshape to a shape that is computed, or to a scalar."""
    if len(node.op.inputs) >= 2:
        return constant(1, "shape")(node)
    new_shape = [int(size) for size in node.option("new_shape", ())]
    return refused("reshapes to a scalar") if new_shape in ([], [0]) else None


def squeeze_dims_at_1_1(node: Node) -> Objection | None:
    """Refuse to squeeze without named dimensions at NNAPI 1.1."""
    if node.level != NNAPI_1_1 or len(node.option("squeeze_dims", ())):
        return None
    return refused(needs_level(NNAPI_1_2, "squeezing without named dimensions", node.level))


def sizes_are_not_zero(node: Node) -> Objection | None:
    """Refuse a split with an empty part."""
    sizes = node.input(1)
    values = sizes.values() if sizes is not None else None
    return refused("a split has size 0") if values is not None and (values == 0).any() else None


def axis_is_not_last_before_6(node: Node) -> Objection | None:
    """Refuse to pack along a new last axis below feature level 6."""
    data, axis = node.input(0), node.option("axis")
    if node.level >= LEVEL_6 or data is None or axis not in (-1, len(data.shape)):
        return None
    return refused(needs_level(LEVEL_6, "packing along the last axis", node.level))


def axis_is_not_last(node: Node) -> Objection | None:
    """Refuse to unpack along the last axis."""
    data, axis = node.input(0), node.option("axis")
    if data is None or axis not in (-1, len(data.shape) - 1):
        return None
    return refused("unpacks along the last axis")


def rank_2_or_4_before_1_2(node: Node) -> Objection | None:
    """Refuse other ranks than 2 and 4 below NNAPI 1.2."""
    data = node.input(0)
    if node.level >= NNAPI_1_2 or data is None or len(data.shape) in (2, 4):
        return None
    return refused(needs_level(NNAPI_1_2, f"rank {len(data.shape)}", node.level))


def output_dtype_in(*known: str) -> Constraint:
    """Refuse a result of another dtype."""

    def check_output(node: Node) -> Objection | None:
        if node.output is None or node.output.dtype in known:
            return None
        return refused(f"{node.output.dtype} output is not taken")

    return check_output


def casts_to_a_known_dtype(node: Node) -> Objection | None:
    """Refuse a cast to a dtype that the feature level does not have."""
    known = ["float32", "int32", "uint8"]
    return output_dtype_in(*known, *(["int8"] if node.level >= NNAPI_1_3 else []))(node)


def quantizes_to_a_known_dtype(node: Node) -> Objection | None:
    """Refuse to quantize to int8 below NNAPI 1.3, and to int16 at all."""
    if node.output is None or node.output.dtype == "uint8":
        return None
    if node.output.dtype != "int8":
        remedy = INT16 if node.output.dtype == "int16" else ""
        return refused(f"{node.output.dtype} output is not taken at any feature level", remedy)
    if node.level >= NNAPI_1_3:
        return None
    return refused(
        needs_level(NNAPI_1_3, "int8 output", node.level),
        "export with int8 inputs, so that the app quantizes and the model needs no QUANTIZE",
    )


def scales_are_positive(node: Node) -> Objection | None:
    """Refuse quantized tensors without a scale."""
    for tensor in (node.input(0), node.output):
        if tensor is None or tensor.dtype not in ("uint8", "int8"):
            continue
        if tensor.quantization is None or tensor.quantization.scales[0] <= 0:
            return refused("a quantized tensor has no scale above 0")
    return None


def int8_is_symmetric_at_1_2(node: Node) -> Objection | None:
    """Refuse to dequantize int8 with a zero point at NNAPI 1.2."""
    data = node.input(0)
    if node.level != NNAPI_1_2 or data is None or data.dtype != "int8":
        return None
    if data.quantization is None or not any(data.quantization.zero_points):
        return None
    return refused(
        needs_level(NNAPI_1_3, "int8 with a zero point", node.level),
        "export with int8 outputs, so that the app dequantizes and the model needs no DEQUANTIZE",
    )


def crops_are_zero(node: Node) -> Objection | None:
    """Refuse crops other than four constant zeros."""
    crops = node.input(2)
    values = crops.values() if crops is not None else None
    if values is not None and values.size == 4 and not values.any():
        return None
    return refused("crops are not four constant zeros")


def indices_are_no_scalar(node: Node) -> Objection | None:
    """Refuse scalar indices."""
    indices = node.input(1)
    return refused("indices are a scalar") if indices is not None and not indices.shape else None


def mode_is_known(node: Node) -> Objection | None:
    """Refuse a padding mode that is neither REFLECT nor SYMMETRIC."""
    return None if node.option("mode") in (0, 1) else refused("unknown padding mode")


def condition_has_the_shape_of_the_data(node: Node) -> Objection | None:
    """Refuse to broadcast the condition of a select."""
    condition, data = node.input(0), node.input(1)
    if condition is None or data is None or condition.shape == data.shape:
        return None
    return refused("the condition has another shape than the data")
