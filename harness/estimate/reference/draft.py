"""Draw a network as a Graph without weights and without TensorFlow, to cost published figures.

The ops are those that an exporter leaves: batch normalization is folded into the convolution
before it, and a clamp is the fused activation of its op.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from harness.graph import ACTIVATIONS, PADDINGS, Graph, Op, Tensor, count_macs

Node = int
"""A tensor of a draft, by index."""

_ACTIVATION_NUMBERS = {name: number for number, name in ACTIVATIONS.items()}
_PADDING_NUMBERS = {name: number for number, name in PADDINGS.items()}
_NO_DATA = b""


class Draft:
    """A network that is being drawn in execution order; each verb returns the tensor it makes.

    Attributes:
        quantized: Whether activations are int8.
        fuses_clamps: Whether RELU6 is fused in quantized networks too.
        parameters: Trainable parameters as cards publish them: batch normalization counts two
            per channel, and a convolution that has it counts no bias.
    """

    def __init__(self, *, precision: str = "float", fuses_clamps: bool = False) -> None:
        """Start an empty network; `precision` is float or int8."""
        self.quantized = precision != "float"
        self.fuses_clamps = fuses_clamps
        self._dtype = "float32" if precision == "float" else "int8"
        self._bias_dtype = "float32" if precision == "float" else "int32"
        self._tensors: list[Tensor] = []
        self._ops: list[Op] = []
        self._inputs: list[Node] = []
        self.parameters = 0

    def input(self, *shape: int) -> Node:
        """Add an input of shape [1, ...]."""
        node = self._tensor("input", (1, *shape))
        self._inputs.append(node)
        return node

    def image(self, side_px: int) -> Node:
        """Add a square image of three colors, normalized by a SUB and a MUL as classifiers' are."""
        x = self.input(side_px, side_px, 3)
        mean, inverse = (self.constant(1, 1, 1, 3) for _ in range(2))
        return self.binary("MUL", self.binary("SUB", x, mean), inverse)

    def shape(self, x: Node) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._tensors[x].shape

    def conv(
        self,
        x: Node,
        channels: int,
        kernel: int | tuple[int, int] = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        padding: str = "SAME",
        act: str = "RELU",
        norm: bool = True,
    ) -> Node:
        """Add a convolution with folded batch normalization (or a plain bias) and activation."""
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        in_channels = self.shape(x)[-1]
        weights = (channels, height, width, in_channels // groups)
        self.parameters += prod(weights) + (2 * channels if norm else channels)
        options = {
            "padding": _PADDING_NUMBERS[padding], "stride_h": stride, "stride_w": stride,
            "dilation_h_factor": dilation, "dilation_w_factor": dilation,
        }  # fmt: skip
        shape = self._window(x, channels, (height, width), stride, padding, dilation)
        inputs = [x, self.constant(*weights), self._bias(channels)]
        return self._activated("CONV_2D", inputs, shape, options, act)

    def depthwise(
        self,
        x: Node,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        act: str = "RELU6",
        norm: bool = True,
        padding: str = "SAME",
    ) -> Node:
        """Add a depthwise convolution."""
        channels = self.shape(x)[-1]
        self.parameters += kernel * kernel * channels + (2 * channels if norm else channels)
        options = {
            "padding": _PADDING_NUMBERS[padding], "stride_h": stride, "stride_w": stride,
            "dilation_h_factor": dilation, "dilation_w_factor": dilation, "depth_multiplier": 1,
        }  # fmt: skip
        shape = self._window(x, channels, (kernel, kernel), stride, padding, dilation)
        inputs = [x, self.constant(1, kernel, kernel, channels), self._bias(channels)]
        return self._activated("DEPTHWISE_CONV_2D", inputs, shape, options, act)

    def transpose_conv(self, x: Node, channels: int) -> Node:
        """Double height and width by a 2x2 transposed convolution with a bias."""
        _, height, width, in_channels = self.shape(x)
        shape = (1, 2 * height, 2 * width, channels)
        self.parameters += 4 * in_channels * channels + channels
        options = {"padding": _PADDING_NUMBERS["VALID"], "stride_h": 2, "stride_w": 2}
        size = self._tensor("size", (4,), dtype="int32", data=_int32(shape))
        inputs = [size, self.constant(channels, 2, 2, in_channels), x, self._bias(channels)]
        return self._activated("TRANSPOSE_CONV", inputs, shape, options, "NONE")

    def dense(self, x: Node, features: int, *, act: str = "NONE") -> Node:
        """Add a fully connected layer over the last axis."""
        shape = self.shape(x)
        self.parameters += features * (shape[-1] + 1)
        inputs = [x, self.constant(features, shape[-1]), self._bias(features)]
        options = {"keep_num_dims": True}
        return self._activated("FULLY_CONNECTED", inputs, (*shape[:-1], features), options, act)

    def pool(
        self, x: Node, kind: str, kernel: int, *, stride: int = 1, padding: str = "SAME"
    ) -> Node:
        """Add a MAX or AVERAGE pooling."""
        options = {
            "padding": _PADDING_NUMBERS[padding], "stride_h": stride, "stride_w": stride,
            "filter_height": kernel, "filter_width": kernel,
        }  # fmt: skip
        shape = self._window(x, self.shape(x)[-1], (kernel, kernel), stride, padding, 1)
        return self._activated(f"{kind}_POOL_2D", [x], shape, options, "NONE")

    def mean(self, x: Node, axes: Sequence[int] = (1, 2), *, keep_dims: bool = True) -> Node:
        """Average over some axes."""
        shape = self.shape(x)
        kept = [1 if i in axes else size for i, size in enumerate(shape)]
        left = [size for i, size in enumerate(shape) if i not in axes]
        axis = self._tensor("axes", (len(axes),), dtype="int32", data=_int32(axes))
        return self.op("MEAN", [x, axis], kept if keep_dims else left, {"keep_dims": keep_dims})

    def strided(self, x: Node, channels: int, kernel: int, **options: Any) -> Node:
        """Add a convolution of stride 2 with PyTorch's padding: a PAD, then no padding."""
        return self.conv(
            self.pad(x, kernel // 2), channels, kernel, stride=2, padding="VALID", **options
        )

    def dilated(self, x: Node, channels: int, rate: int, **options: Any) -> Node:
        """Add a dilated 3x3 convolution as exporters leave it: a PAD, then no padding."""
        return self.conv(self.pad(x, rate), channels, 3, dilation=rate, padding="VALID", **options)

    def classify(self, x: Node, classes: int = 1000) -> Node:
        """Average over pixels and connect to the classes, as classifiers end in PyTorch."""
        return self.dense(self.mean(x, keep_dims=False), classes)

    def add(self, a: Node, b: Node, *, act: str = "NONE") -> Node:
        """Add two tensors."""
        return self.binary("ADD", a, b, act=act)

    def binary(self, name: str, a: Node, b: Node, *, act: str = "NONE") -> Node:
        """Apply ADD, SUB, MUL ... to two tensors, of which one may be broadcast."""
        shape = max(self.shape(a), self.shape(b), key=prod)
        return self._activated(name, [a, b], shape, {}, act)

    def unary(self, name: str, x: Node) -> Node:
        """Apply an element-wise op such as LOGISTIC or HARD_SWISH."""
        return self.op(name, [x], self.shape(x), {})

    def concat(self, *nodes: Node, axis: int = -1) -> Node:
        """Concatenate tensors along an axis."""
        shape = list(self.shape(nodes[0]))
        shape[axis] = sum(self.shape(node)[axis] for node in nodes)
        options = {"axis": axis % len(shape), "fused_activation_function": 0}
        return self.op("CONCATENATION", list(nodes), shape, options)

    def requantize(self, x: Node) -> Node:
        """Give an int8 tensor another scale, as exporters do around ops that keep theirs."""
        if not self.quantized:
            return x
        return self.op("QUANTIZE", [x], self.shape(x), {})

    def reshape(self, x: Node, *shape: int, batch: bool = True) -> Node:
        """Change the shape, given without the batch axis of 1; `batch` says whether it has one."""
        wanted = (1, *shape) if batch else shape
        target = self._tensor("shape", (len(wanted),), dtype="int32", data=_int32(wanted))
        return self.op("RESHAPE", [x, target], wanted, {})

    def transpose(self, x: Node, *order: int) -> Node:
        """Permute the axes."""
        axes = self._tensor("order", (len(order),), dtype="int32", data=_int32(order))
        return self.op("TRANSPOSE", [x, axes], [self.shape(x)[i] for i in order], {})

    def split(self, x: Node, parts: int, *, axis: int = -1) -> list[Node]:
        """Split a tensor into equal parts."""
        shape = list(self.shape(x))
        axis %= len(shape)
        shape[axis] //= parts
        where = self._tensor("axis", (), dtype="int32", data=_int32([axis]))
        outputs = [self._tensor(f"split{i}", tuple(shape)) for i in range(parts)]
        self._append("SPLIT", [where, x], outputs, {"num_splits": parts})
        return outputs

    def half(self, x: Node, number: int) -> Node:
        """Slice the first (0) or second (1) half of the channels."""
        shape = self.shape(x)
        channels = shape[-1] // 2
        bounds = [[0, 0, 0, number * channels], [*shape[:3], (number + 1) * channels], [1] * 4]
        inputs = [self._tensor("bound", (4,), dtype="int32", data=_int32(b)) for b in bounds]
        options = {"begin_mask": 0, "end_mask": 0}
        return self.op("STRIDED_SLICE", [x, *inputs], (*shape[:3], channels), options)

    def classes_of_pixels(self, x: Node) -> Node:
        """Return the index of the largest channel of each pixel, as int32."""
        axis = self._tensor("axis", (), dtype="int32", data=_int32([3]))
        output = self._tensor("mask", self.shape(x)[:3], dtype="int32")
        self._append("ARG_MAX", [x, axis], [output], {})
        return output

    def pad(self, x: Node, pixels: int) -> Node:
        """Pad height and width on both sides."""
        rows = [0, 0, pixels, pixels, pixels, pixels, 0, 0]
        amounts = self._tensor("paddings", (4, 2), dtype="int32", data=_int32(rows))
        batch, height, width, channels = self.shape(x)
        return self.op(
            "PAD", [x, amounts], (batch, height + 2 * pixels, width + 2 * pixels, channels), {}
        )

    def resize(self, x: Node, height: int, width: int, *, kind: str = "BILINEAR") -> Node:
        """Resize to a height and width; `kind` is BILINEAR or NEAREST_NEIGHBOR."""
        size = self._tensor("size", (2,), dtype="int32", data=_int32([height, width]))
        options = {"align_corners": False, "half_pixel_centers": True}
        shape = (1, height, width, self.shape(x)[-1])
        return self.op(f"RESIZE_{kind}", [x, size], shape, options)

    def depth_to_space(self, x: Node, block: int) -> Node:
        """Move channels into blocks of pixels."""
        batch, height, width, channels = self.shape(x)
        shape = (batch, height * block, width * block, channels // block**2)
        return self.op("DEPTH_TO_SPACE", [x], shape, {"block_size": block})

    def prelu(self, x: Node) -> Node:
        """Apply PReLU with one slope per channel."""
        channels = self.shape(x)[-1]
        self.parameters += channels
        return self.op("PRELU", [x, self.constant(1, 1, channels)], self.shape(x), {})

    def matrix_product(self, rows: Node, columns: Node) -> Node:
        """Multiply [n, inner] and [m, inner] to [n, m] by a FULLY_CONNECTED of computed weights."""
        shape = (self.shape(rows)[0], self.shape(columns)[0])
        options = {"fused_activation_function": 0, "keep_num_dims": False}
        return self.op("FULLY_CONNECTED", [rows, columns, -1], shape, options)

    def pack(self, nodes: Sequence[Node]) -> Node:
        """Stack tensors to [1, count, ...]."""
        shape = (len(nodes), *self.shape(nodes[0]))
        packed = self.op("PACK", nodes, shape, {"axis": 0, "values_count": len(nodes)})
        return self.reshape(packed, *shape)

    def constant(self, *shape: int) -> Node:
        """Add a constant of the activations' dtype."""
        return self._tensor("weights", shape, data=_NO_DATA)

    def op(
        self, name: str, inputs: Sequence[Node], shape: Sequence[int], options: Mapping[str, Any]
    ) -> Node:
        """Add any op with one output."""
        output = self._tensor(name.lower(), tuple(shape))
        self._append(name, inputs, [output], options)
        return output

    def finish(self, *outputs: Node) -> Graph:
        """Return the network as a Graph."""
        return Graph(
            tensors=tuple(self._tensors),
            ops=tuple(self._ops),
            inputs=tuple(self._inputs),
            outputs=outputs,
            size_bytes=sum(t.size_bytes for t in self._tensors if t.constant is not None),
        )

    def _activated(
        self,
        name: str,
        inputs: Sequence[Node],
        shape: Sequence[int],
        options: Mapping[str, Any],
        act: str,
    ) -> Node:
        """Add an op with a clamp fused into it, or followed by any other activation."""
        # Most exporters of quantized networks leave RELU6 an op of its own.
        left = act == "RELU6" and self.quantized and not self.fuses_clamps
        apart = left or act not in _ACTIVATION_NUMBERS
        fused = "NONE" if apart else act
        numbered = {**options, "fused_activation_function": _ACTIVATION_NUMBERS[fused]}
        x = self.op(name, inputs, shape, numbered)
        if act == "SILU":
            return self.binary("MUL", x, self.unary("LOGISTIC", x))
        return x if fused == act else self.unary(act, x)

    def _window(
        self,
        x: Node,
        channels: int,
        kernel: tuple[int, int],
        stride: int,
        padding: str,
        dilation: int,
    ) -> tuple[int, ...]:
        sizes = []
        for size, k in zip(self.shape(x)[1:3], kernel, strict=True):
            reach = 0 if padding == "SAME" else (k - 1) * dilation
            sizes.append(-(-(size - reach) // stride))
        return (1, *sizes, channels)

    def _bias(self, channels: int) -> Node:
        return self._tensor("bias", (channels,), dtype=self._bias_dtype, data=_NO_DATA)

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        dtype: str | None = None,
        data: bytes | None = None,
    ) -> Node:
        index = len(self._tensors)
        self._tensors.append(
            Tensor(
                index=index, name=f"{name}_{index}", shape=shape, dtype=dtype or self._dtype,
                constant=data,
            )
        )  # fmt: skip
        return index

    def _append(
        self, name: str, inputs: Sequence[Node], outputs: Sequence[Node], options: Mapping[str, Any]
    ) -> None:
        macs = count_macs(name, inputs, outputs, self._tensors)
        self._ops.append(
            Op(
                index=len(self._ops), name=name, version=1, inputs=tuple(inputs),
                outputs=tuple(outputs), options=dict(options), macs=macs,
            )
        )  # fmt: skip


def _int32(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(4, "little", signed=True) for value in values)
