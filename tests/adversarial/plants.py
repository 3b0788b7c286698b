"""Faults to plant in a small sound network, each with the gates that it must turn red."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests import faults, models
from tests.adversarial.editing import (
    Array,
    add_op,
    calculate,
    constant,
    convs,
    end_at,
    image_of,
    load,
    ops_named,
    output_of,
    real,
    store,
    tensor_of,
)

SIZE_PX = 64
FP32, INT8 = "fp32", "int8_ptq"
PIXELS = frozenset({"fidelity", "regression"})
"""Wrong pixels: far from the golden, and farther than blessed from the sharp target."""
PLACED = frozenset({"cpu_fallback", "regression"})
"""Ops on the CPU: not allowed, and more than blessed."""


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A fault in one export of the sound network.

    Attributes:
        name: Of the variant that has it.
        of: The sound variant that it is planted in.
        red: Gates that must fail; all others must pass.
        change: Changes an unpacked model in place, or returns another file.
    """

    name: str
    of: str
    red: frozenset[str]
    change: Callable[[Any], bytes | None]

    def apply(self, sound: bytes) -> bytes:
        """Return the file with the fault."""
        other: list[bytes] = []

        def change(whole: Any) -> None:
            found = self.change(whole)
            if found is not None:
                other.append(found)

        changed = faults.rewrite(sound, change)
        return other[0] if other else changed


def sound() -> dict[str, bytes]:
    """Return the sound network in FP32 and int8: the same real weights, small residuals."""
    draft = models.unet(dtype="int8", channels=8, size_px=SIZE_PX)
    int8 = faults.rewrite(draft, _settle)
    return {FP32: faults.float_twin(int8), INT8: int8}


def _settle(whole: Any) -> None:
    """Give every convolution a bias, and the last one weights that correct the image a little."""
    random = np.random.default_rng(11)
    for conv in convs(whole):
        bias = tensor_of(whole, conv.inputs[2])
        store(whole, conv.inputs[2], random.integers(-800, 800, bias.shape).astype(np.int32))
    last = convs(whole)[-1]
    for index in last.inputs[1:3]:
        quantization = tensor_of(whole, index).quantization
        quantization.scale = [0.4 * float(scale) for scale in quantization.scale]


# Changes of constants.


def _of_conv(
    number: int, change: Callable[[Array], Array], *, what: int = 1
) -> Callable[..., None]:
    """Return a change of one constant (1: weights, 2: bias) of one convolution."""

    def apply(whole: Any) -> None:
        index = convs(whole)[number].inputs[what]
        before = load(whole, index)
        store(whole, index, change(before).astype(before.dtype))

    return apply


def _negate_filter(weights: Array) -> Array:
    weights[0] *= -1
    return weights


def _drop_filter(weights: Array) -> Array:
    weights[1] = 0
    return weights


def _two_bits(weights: Array) -> Array:
    step = np.abs(weights).max() / 2.0
    return np.round(weights / step) * step


def _spoil(value: float) -> Callable[[Array], Array]:
    def change(weights: Array) -> Array:
        weights.flat[0] = value
        return weights

    return change


def _each(what: int, change: Callable[[Array], Array]) -> Callable[..., None]:
    def apply(whole: Any) -> None:
        for number in range(len(convs(whole))):
            _of_conv(number, change, what=what)(whole)

    return apply


def _slopes(value: float) -> Callable[..., None]:
    def apply(whole: Any) -> None:
        for op in ops_named(whole, "PRELU"):
            store(whole, op.inputs[1], np.full_like(load(whole, op.inputs[1]), value))

    return apply


# Changes of ops.


def _swap_skip(whole: Any) -> None:
    op = ops_named(whole, "CONCATENATION")[-1]
    op.inputs = list(op.inputs)[::-1]


def _subtract(whole: Any) -> None:
    (op,) = ops_named(whole, "ADD")
    whole.operatorCodes[op.opcodeIndex].builtinCode = schema.BuiltinOperator.SUB
    whole.operatorCodes[op.opcodeIndex].deprecatedBuiltinCode = schema.BuiltinOperator.SUB
    op.builtinOptionsType = schema.BuiltinOptions.SubOptions
    op.builtinOptions = schema.SubOptionsT()


def _fuse(op: str, activation: int) -> Callable[..., None]:
    def apply(whole: Any) -> None:
        ops_named(whole, op)[-1].builtinOptions.fusedActivationFunction = activation

    return apply


def _resize_option(name: str) -> Callable[..., None]:
    def apply(whole: Any) -> None:
        for op in ops_named(whole, "RESIZE_BILINEAR"):
            setattr(op.builtinOptions, name, True)
            whole.operatorCodes[op.opcodeIndex].version = 3

    return apply


def _at_end(name: str, value: float) -> Callable[..., None]:
    return lambda whole: end_at(whole, calculate(whole, name, output_of(whole), real(whole, value)))


def _gamma(whole: Any) -> None:
    end_at(whole, calculate(whole, "MUL", output_of(whole), output_of(whole)))


def _grey(whole: Any) -> None:
    black = calculate(whole, "MUL", output_of(whole), real(whole, 0.0))
    end_at(whole, calculate(whole, "ADD", black, real(whole, 0.5)))


def _nan_at_black_pixels(whole: Any) -> None:
    one = calculate(whole, "DIV", image_of(whole), image_of(whole))
    end_at(whole, calculate(whole, "MUL", output_of(whole), one))


def _infinity_at_black_pixels(whole: Any) -> None:
    ramp = calculate(whole, "MUL", image_of(whole), real(whole, 1e30))
    same = calculate(whole, "ADD", ramp, real(whole, 0.0))
    inverse = calculate(whole, "DIV", same, image_of(whole))
    over = calculate(whole, "DIV", inverse, image_of(whole))
    nothing = calculate(whole, "MUL", over, real(whole, 0.0))
    end_at(whole, calculate(whole, "ADD", output_of(whole), nothing))


def _spoil_dark_patch(whole: Any) -> None:
    """Brighten only what is darker than a twentieth: one patch of each frame."""
    below = calculate(whole, "SUB", real(whole, 0.05), image_of(whole))
    tensor_of(whole, below).shape = list(tensor_of(whole, image_of(whole)).shape)
    patch = add_op(whole, "RELU", [below])
    end_at(whole, calculate(whole, "ADD", output_of(whole), patch))


def _destroy_dark_half(whole: Any) -> None:
    low = calculate(whole, "SUB", output_of(whole), real(whole, 0.5))
    end_at(whole, calculate(whole, "ADD", add_op(whole, "RELU", [low]), real(whole, 0.5)))


def _transpose(whole: Any, index: int, order: Sequence[int]) -> int:
    shape = [tensor_of(whole, index).shape[axis] for axis in order]
    axes = constant(whole, np.asarray(order, np.int32))
    return add_op(whole, "TRANSPOSE", [index, axes], shape=shape, table="TransposeOptions")


def _transpose_twice(whole: Any) -> None:
    there = _transpose(whole, output_of(whole), (0, 3, 1, 2))
    end_at(whole, _transpose(whole, there, (0, 2, 3, 1)))


def _mirror(whole: Any) -> None:
    there = _transpose(whole, output_of(whole), (0, 2, 1, 3))
    end_at(whole, there)


def _reverse(whole: Any, index: int, axis: int) -> int:
    axes = constant(whole, np.asarray([axis], np.int32))
    return add_op(whole, "REVERSE_V2", [index, axes], table="ReverseV2Options")


def _reverse_twice(whole: Any) -> None:
    end_at(whole, _reverse(whole, _reverse(whole, output_of(whole), 3), 3))


def _reverse_channels(whole: Any) -> None:
    end_at(whole, _reverse(whole, output_of(whole), 3))


def _cpu_in_between(whole: Any) -> None:
    """Send the image to the CPU and back before a last op of the accelerator."""
    back = _reverse(whole, _reverse(whole, output_of(whole), 3), 3)
    end_at(whole, calculate(whole, "MUL", back, real(whole, 1.0)))


def _heavy(whole: Any) -> None:
    """Compute much that is then multiplied by nothing."""
    x = image_of(whole)
    random = np.random.default_rng(2)
    for depth, channels in ((3, 256), (256, 256), (256, 256), (256, 3)):
        weights = random.normal(0, 0.02, (channels, 3, 3, depth)).astype(np.float32)
        inputs = [x, constant(whole, weights), constant(whole, np.zeros(channels, np.float32))]
        shape = [*list(tensor_of(whole, x).shape)[:3], channels]
        options = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
        x = add_op(whole, "CONV_2D", inputs, shape=shape, options=options, table="Conv2DOptions")
    nothing = calculate(whole, "MUL", x, real(whole, 0.0))
    end_at(whole, calculate(whole, "ADD", output_of(whole), nothing))


def _more_ops(whole: Any) -> None:
    """Multiply by one, twelve times: right, and slower than blessed."""
    for _ in range(12):
        _at_end("MUL", 1.0)(whole)


# Changes of quantization.


def _scale(tensor: Callable[[Any], int], factor: float) -> Callable[..., None]:
    def apply(whole: Any) -> None:
        quantization = tensor_of(whole, tensor(whole)).quantization
        quantization.scale = [factor * float(scale) for scale in quantization.scale]

    return apply


def _zero_point(tensor: Callable[[Any], int], by: int) -> Callable[..., None]:
    def apply(whole: Any) -> None:
        quantization = tensor_of(whole, tensor(whole)).quantization
        quantization.zeroPoint = [int(point) + by for point in quantization.zeroPoint]

    return apply


def _last_conv(whole: Any) -> int:
    return int(convs(whole)[-1].outputs[0])


def _one_scale(whole: Any) -> None:
    quantization = tensor_of(whole, convs(whole)[-1].inputs[1]).quantization
    quantization.scale = [4.0 * float(quantization.scale[0]), *map(float, quantization.scale[1:])]


def _rename(whole: Any) -> None:
    for index, tensor in enumerate(whole.subgraphs[0].tensors):
        tensor.name = f"renamed_{index}".encode()


def _swap_weights(whole: Any) -> None:
    """Exchange the weights of two convolutions of one shape."""
    first, second = convs(whole)[1], convs(whole)[2]
    a, b = load(whole, first.inputs[1]), load(whole, second.inputs[1])
    store(whole, first.inputs[1], b)
    store(whole, second.inputs[1], a)


def _float(name: str, red: frozenset[str], change: Callable[[Any], bytes | None]) -> Plant:
    return Plant(name=name, of=FP32, red=red, change=change)


def _int8(name: str, red: frozenset[str], change: Callable[[Any], bytes | None]) -> Plant:
    return Plant(name=name, of=INT8, red=red, change=change)


_NONE: frozenset[str] = frozenset()
_RELU, _RELU6 = 1, 3

QUICK = (
    _float("weights_negated", PIXELS, _of_conv(-1, lambda w: -w)),
    _float("not_a_number_at_one_pixel", PIXELS, _nan_at_black_pixels),
    _float("one_patch_wrong", PIXELS, _spoil_dark_patch),
    _float("transposed_twice", frozenset({"regression"}), _transpose_twice),
    _float("ops_on_the_cpu", PLACED, _reverse_twice),
    _float("much_slower", frozenset({"latency", "regression"}), _heavy),
    _float("tensors_renamed", _NONE, _rename),
    _int8("int8_weight_scale_wrong", PIXELS, _scale(lambda w: convs(w)[-1].inputs[1], 3.0)),
    _int8("int8_output_zero_point_clips", PIXELS, _zero_point(output_of, 100)),
)
"""Run with the normal tests."""

PLANTS = (
    *QUICK,
    _float("one_filter_negated", PIXELS, _of_conv(-1, _negate_filter)),
    _float("inner_filter_negated", PIXELS, _of_conv(1, _negate_filter)),
    _float("one_filter_dropped", PIXELS, _of_conv(-2, _drop_filter)),
    _float("first_bias_dropped", PIXELS, _of_conv(0, np.zeros_like, what=2)),
    _float("last_bias_dropped", PIXELS, _of_conv(-1, np.zeros_like, what=2)),
    _float("all_biases_dropped", PIXELS, _each(2, np.zeros_like)),
    _float("bias_negated", PIXELS, _of_conv(2, lambda b: -b, what=2)),
    _float("output_channels_swapped", PIXELS, _of_conv(-1, lambda w: w[::-1])),
    _float("input_channels_swapped", PIXELS, _of_conv(0, lambda w: w[..., ::-1])),
    _float("kernel_transposed", PIXELS, _of_conv(-1, lambda w: w.swapaxes(1, 2))),
    _float("residual_shifted_by_a_pixel", PIXELS, _of_conv(-1, lambda w: np.roll(w, 1, axis=2))),
    _float("residual_shifted_down", PIXELS, _of_conv(-1, lambda w: np.roll(w, 1, axis=1))),
    _float("weights_off_by_two_percent", PIXELS, _each(1, lambda w: 1.02 * w)),
    _float("weights_in_two_bits", PIXELS, _each(1, _two_bits)),
    _float("last_layer_zero", PIXELS, _of_conv(-1, np.zeros_like)),
    _float("one_weight_not_a_number", PIXELS, _of_conv(-1, _spoil(float("nan")))),
    _float("one_weight_infinite", PIXELS, _of_conv(-1, _spoil(float("inf")))),
    _float("one_weight_huge", PIXELS, _of_conv(1, _spoil(1e4))),
    _float("weights_of_two_layers_swapped", PIXELS, _swap_weights),
    _float("slopes_lost", PIXELS, _slopes(0.0)),
    _float("slopes_doubled", PIXELS, _slopes(0.5)),
    _float("skip_concatenated_the_other_way", PIXELS, _swap_skip),
    _float("residual_subtracted", PIXELS, _subtract),
    _float("residual_only_brightens", PIXELS, _fuse("CONV_2D", _RELU)),
    _float("output_clamped_by_relu6", _NONE, _fuse("ADD", _RELU6)),
    _float("aligned_corners", PIXELS | PLACED, _resize_option("alignCorners")),
    _float("half_pixel_centers", PIXELS | PLACED, _resize_option("halfPixelCenters")),
    _float("gamma", PIXELS, _gamma),
    _float("clipped_at_one_half", PIXELS, _at_end("MINIMUM", 0.5)),
    _float("black_lifted", PIXELS, _at_end("MAXIMUM", 0.3)),
    _float("two_percent_darker", PIXELS, _at_end("MUL", 0.98)),
    _float("one_level_brighter", PIXELS, _at_end("ADD", 1.0 / 255.0)),
    _float("all_zero", PIXELS, _at_end("MUL", 0.0)),
    _float("all_grey", PIXELS, _grey),
    _float("infinite_at_one_pixel", PIXELS, _infinity_at_black_pixels),
    _float("dark_half_destroyed", PIXELS, _destroy_dark_half),
    _float("rows_for_columns", PIXELS, _mirror),
    _float("blue_for_red", PIXELS | PLACED, _reverse_channels),
    _float("cpu_in_between", PLACED, _cpu_in_between),
    _float("more_ops_than_blessed", frozenset({"regression"}), _more_ops),
    _int8("int8_weights_negated", PIXELS, _of_conv(-1, lambda w: -w)),
    _int8("int8_filter_dropped", PIXELS, _of_conv(-2, _drop_filter)),
    _int8("int8_one_channels_scale_wrong", PIXELS, _one_scale),
    _int8("int8_residual_zero_point_clips", PIXELS, _zero_point(_last_conv, 127)),
    _int8("int8_zero_point_moved_within_its_range", _NONE, _zero_point(output_of, 8)),
    _int8("int8_range_destroyed", PIXELS, _scale(lambda w: convs(w)[-2].outputs[0], 0.02)),
    # The kernel writes in the scale it reads, so a wider one only makes the steps coarser: a tenth
    # lies within the 6 dB by which phones may round differently, and the baseline alone sees it.
    _int8("int8_output_a_tenth_coarser", frozenset({"regression"}), _scale(output_of, 1.1)),
    _int8("int8_output_four_times_coarser", PIXELS, _scale(output_of, 4.0)),
    _int8("int8_output_channels_swapped", PIXELS, _of_conv(-1, lambda w: w[::-1])),
    _int8("int8_tensors_renamed", _NONE, _rename),
)
"""Run with HARNESS_PLANTS=all."""
