"""Build the graphs of published reports: one to three ops that some driver computed wrongly.

Each is generated here, with seeded weights; shapes are those that the reports name.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from harness import flatbuffer
from harness.graph import parse
from harness.inputs import Values
from harness.model import Model

_TYPES = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}
_OPTIONS = {
    "ADD": "AddOptions", "MUL": "MulOptions", "DIV": "DivOptions", "SUM": "ReducerOptions",
    "MEAN": "ReducerOptions", "BATCH_MATMUL": "BatchMatMulOptions", "SOFTMAX": "SoftmaxOptions",
    "CONV_2D": "Conv2DOptions", "PAD": "PadOptions",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A graph that some driver computed wrongly, and inputs that show it.

    Attributes:
        name: Short name.
        about: What is in it.
        source: The report.
        seen: Phones and software on which it was wrong.
        model: The graph.
        inputs: Real values by name of the input.
    """

    name: str
    about: str
    source: str
    seen: str
    model: Model
    inputs: Mapping[str, Values]


class _Draft:
    """A graph of float32 tensors that is being written."""

    def __init__(self) -> None:
        self._tree = schema.ModelT()
        self._tree.version, self._tree.description = 3, b"a known failure of drivers"
        self._tree.buffers, self._tree.operatorCodes = [schema.BufferT()], []
        self._graph = schema.SubGraphT()
        self._graph.name, self._graph.tensors, self._graph.operators = b"main", [], []
        self.random = np.random.default_rng(20)

    def tensor(self, *shape: int, name: str = "") -> int:
        """Add a tensor of activations."""
        return self._add(shape, "float32", name)

    def constant(self, values: Any, dtype: str = "float32") -> int:
        """Add a constant."""
        array = np.asarray(values, dtype)
        index = self._add(array.shape, dtype, "")
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self._graph.tensors[index].buffer = len(self._tree.buffers)
        self._tree.buffers.append(buffer)
        return index

    def _add(self, shape: Sequence[int], dtype: str, name: str) -> int:
        tensor = schema.TensorT()
        tensor.name = (name or f"t{len(self._graph.tensors)}").encode()
        tensor.shape, tensor.type, tensor.buffer = [int(n) for n in shape], _TYPES[dtype], 0
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def op(self, name: str, inputs: Sequence[int], *shape: int, **options: Any) -> int:
        """Add an op of one output, and return that."""
        made = self.tensor(*shape)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = len(self._tree.operatorCodes), list(inputs)
        operator.outputs = [made]
        kind = _OPTIONS[name]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = getattr(schema, f"{kind}T")()
        for key, value in options.items():
            setattr(operator.builtinOptions, key, value)
        self._tree.operatorCodes.append(code)
        self._graph.operators.append(operator)
        return made

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Return the file."""
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)
        self._tree.subgraphs = [self._graph]
        return flatbuffer.pack(self._tree)


_Net = Callable[[_Draft], tuple[list[int], list[int]]]


def _case(name: str, net: _Net, *, about: str, source: str, seen: str, top: float = 1.0) -> Probe:
    """Draw a graph; its inputs are uniform in [0, top]."""
    draft = _Draft()
    data = draft.build(*net(draft))
    graph = parse(data)
    inputs: dict[str, NDArray[np.float32]] = {
        graph.tensors[i].name: draft.random.uniform(0, top, graph.tensors[i].shape).astype("f4")
        for i in graph.inputs
    }
    return Probe(
        name=name, about=about, source=source, seen=seen,
        model=Model(name=name, data=data), inputs=inputs,
    )  # fmt: skip


def probes() -> tuple[Probe, ...]:
    """Return the probes in the order in which they are run."""
    metal = "LiteRT 2.1.6 to 2.3.0 (Metal, WebGPU)"
    return (
        _case("pad_rank_3", _pad, about="PAD at rank 3", source="LiteRT issue 9272", seen=metal),
        _case(
            "add_constant_rank_2", _add_constant,
            about="ADD of a constant of its own shape, rank 2", source="litert-samples issue 307",
            seen=f"{metal}; Pixel 8a, Adreno 740 and 830",
        ),
        _case(
            "add_shown_and_summed", _shown, about="ADD that is an output and is read by a SUM",
            source="LiteRT issue 8599", seen="LiteRT 2.1.3 to 2.3.0 (Pixel 8a, Metal, WebGPU)",
        ),
        _case(
            "masked_attention", _attention, about="BATCH_MATMUL, ADD of a broadcast mask, SOFTMAX",
            source="LiteRT issue 8593", seen="LiteRT 2.1.3 and 2.1.5 (Pixel 8a)",
        ),
        _case(
            "matmul_of_40", _matmul, about="BATCH_MATMUL of 40 columns",
            source="litert-samples issue 307", seen="LiteRT 2 (Metal)",
        ),
        _case(
            "sum_past_fp16", _sum, about="SUM over 112 x 112 pixels past 65504", top=12.0,
            source="LiteRT issue 9249", seen="Pixel 8a and Metal in fp16",
        ),
        _case(
            "mean_past_fp16", _mean, about="MEAN over 256 x 256 pixels whose sum passes 65504",
            top=4.0, source="LiteRT issue 9249", seen="models with squeeze-and-excitation in fp16",
        ),
        _case(
            "channel_broadcast", _channels, about="ADD of one channel to 96, then MUL",
            source="tensorflow issue 66740", seen="TensorFlow Lite 2.16.1 (Pixel 7)",
        ),
        _case(
            "width_broadcast", _width, about="ADD of one column to 16 channels",
            source="tensorflow issue 61594", seen="Mali-G710 (Vivo X80)",
        ),
        _case(
            "add_epsilon", _epsilon, about="ADD of 1e-5 to one channel", top=1e-3,
            source="tensorflow issue 67216", seen="TensorFlow Lite 2.16.1 (Adreno 740)",
        ),
        _case(
            "div_then_conv", _division, about="DIV, then CONV_2D on 3 channels",
            source="tensorflow issue 55606",
            seen="GPU delegates of MediaTek phones; LiteRT 2.3.0 (WebGPU)",
        ),
    )  # fmt: skip


def _pad(d: _Draft) -> tuple[list[int], list[int]]:
    x = d.tensor(16, 32, 1, name="x")
    pads = d.constant([[0, 0], [16, 16], [0, 0]], "int32")
    return [x], [d.op("PAD", [x, pads], 16, 64, 1)]


def _add_constant(d: _Draft) -> tuple[list[int], list[int]]:
    x = d.tensor(64, 16, name="x")
    return [x], [d.op("ADD", [x, d.constant(d.random.uniform(0, 1, (64, 16)))], 64, 16)]


def _shown(d: _Draft) -> tuple[list[int], list[int]]:
    x, y = d.tensor(1, 8, 8, 4, name="x"), d.tensor(1, 8, 8, 4, name="y")
    added = d.op("ADD", [x, y], 1, 8, 8, 4)
    summed = d.op("SUM", [added, d.constant([1, 2, 3], "int32")], 1)
    return [x, y], [summed, added]


def _attention(d: _Draft) -> tuple[list[int], list[int]]:
    x, y = d.tensor(1, 4, 64, 32, name="x"), d.tensor(1, 4, 32, 64, name="y")
    scores = d.op("BATCH_MATMUL", [x, y], 1, 4, 64, 64)
    hidden = np.triu(np.full((64, 64), -100.0), 1).reshape(1, 1, 64, 64)
    masked = d.op("ADD", [scores, d.constant(hidden)], 1, 4, 64, 64)
    return [x, y], [d.op("SOFTMAX", [masked], 1, 4, 64, 64, beta=1.0)]


def _matmul(d: _Draft) -> tuple[list[int], list[int]]:
    x, y = d.tensor(8, 40, 15, name="x"), d.tensor(8, 15, 40, name="y")
    return [x, y], [d.op("BATCH_MATMUL", [x, y], 8, 40, 40)]


def _sum(d: _Draft) -> tuple[list[int], list[int]]:
    x = d.tensor(1, 112, 112, 8, name="x")
    summed = d.op("SUM", [x, d.constant([1, 2], "int32")], 1, 8)
    return [x], [d.op("MUL", [summed, d.constant([1 / math.prod((112, 112))])], 1, 8)]


def _mean(d: _Draft) -> tuple[list[int], list[int]]:
    x = d.tensor(1, 256, 256, 8, name="x")
    axes = d.constant([1, 2], "int32")
    return [x], [d.op("MEAN", [x, axes], 1, 1, 1, 8, keepDims=True)]


def _channels(d: _Draft) -> tuple[list[int], list[int]]:
    x = d.tensor(1, 64, 64, 1, name="x")
    many = (1, 1, 1, 96)
    added = d.op("ADD", [x, d.constant(d.random.uniform(0, 1, many))], 1, 64, 64, 96)
    return [x], [d.op("MUL", [added, d.constant(d.random.uniform(1, 2, many))], 1, 64, 64, 96)]


def _width(d: _Draft) -> tuple[list[int], list[int]]:
    x = d.tensor(1, 8, 1, 1, name="x")
    return [x], [d.op("ADD", [x, d.constant(d.random.uniform(0, 1, (1, 1, 1, 16)))], 1, 8, 1, 16)]


def _epsilon(d: _Draft) -> tuple[list[int], list[int]]:
    x = d.tensor(1, 1, 256, 1, name="x")
    return [x], [d.op("ADD", [x, d.constant([1e-5])], 1, 1, 256, 1)]


def _division(d: _Draft) -> tuple[list[int], list[int]]:
    x = d.tensor(1, 16, 16, 3, name="x")
    divided = d.op("DIV", [x, d.constant([0.5, 0.25, 2.0])], 1, 16, 16, 3)
    filters = d.constant(d.random.uniform(-1, 1, (3, 3, 3, 3)))
    made = d.op(
        "CONV_2D", [divided, filters, d.constant([0.0, 0.0, 0.0])], 1, 16, 16, 3,
        strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    return [x], [made]
