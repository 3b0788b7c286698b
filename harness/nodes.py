"""Tensors, ops and the graph that they form, as a model file describes them."""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import text
from harness.errors import ModelError
from harness.text import counted

_BYTES_PER_ELEMENT = {
    "float64": 8.0, "int64": 8.0, "uint64": 8.0, "complex64": 8.0,
    "float32": 4.0, "int32": 4.0, "uint32": 4.0,
    "float16": 2.0, "int16": 2.0, "uint16": 2.0, "bfloat16": 2.0,
    "int8": 1.0, "uint8": 1.0, "bool": 1.0, "int4": 0.5, "uint4": 0.5, "int2": 0.25,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """The affine mapping of a tensor: real = scale * (stored - zero_point)."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor: NHWC shape, dtype in NumPy's words, and its constant data if it has any."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    constant: bytes | memoryview | None = field(default=None, repr=False)

    @property
    def elements(self) -> int:
        """Return the number of elements."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Return the bytes that the tensor's elements take."""
        return math.ceil(self.elements * _BYTES_PER_ELEMENT.get(self.dtype, 4.0))

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: a view of a file goes as bytes of its own."""
        constant = None if self.constant is None else bytes(self.constant)
        return {**vars(self), "constant": constant}

    def values(self) -> np.ndarray[Any, Any] | None:
        """Return the constant data as an array of the tensor's shape, or None.

        Raises:
            ModelError: the stored bytes do not fit the shape.
        """
        if self.constant is None:
            return None
        try:
            return np.frombuffer(self.constant, dtype=self.dtype).reshape(self.shape)
        except (TypeError, ValueError) as error:
            raise ModelError(f"tensor {self.name!r}: constant data does not fit: {error}") from None


@dataclass(frozen=True, kw_only=True)
class Op:
    """One node; `inputs` has -1 for an omitted optional input.

    Attributes:
        macs: Multiply-accumulates of one inference; 0 for ops that have none.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    macs: int


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The one subgraph of a model, in execution order.

    Attributes:
        size_bytes: Of the file.
        believed: Ops whose output shapes no rule can tell; the file is believed there.
        signature: Names that the file's one signature gives to inputs and outputs, by tensor.
        name: Name of the subgraph, or ''.
    """

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    size_bytes: int
    believed: tuple[int, ...] = ()
    signature: Mapping[int, str] = field(default_factory=dict)
    name: str = ""

    @functools.cached_property
    def input_names(self) -> tuple[str, ...]:
        """Return a name for each input: the signature's, else the tensor's; no two are equal."""
        return self._names_of(self.inputs)

    @functools.cached_property
    def output_names(self) -> tuple[str, ...]:
        """Return a name for each output: the signature's, else the tensor's; no two are equal."""
        return self._names_of(self.outputs)

    def _names_of(self, indices: tuple[int, ...]) -> tuple[str, ...]:
        names: list[str] = []
        for position, i in enumerate(indices):
            name = self.signature.get(i) or self.tensors[i].name or f"#{position}"
            names.append(f"{name}#{position}" if name in names else name)
        return tuple(names)

    def __repr__(self) -> str:
        """Return its counts."""
        weights = f"weights {self.weight_bytes / 2**20:.3g} MiB"
        counts = f"{counted(len(self.ops), 'op')}, {counted(len(self.tensors), 'tensor')}"
        return text.repr_of(self, f"{counts}, {self.macs / 1e9:.3g} GMAC, {weights}")

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of one inference."""
        return sum(op.macs for op in self.ops)

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of all constant tensors."""
        return sum(t.size_bytes for t in self.tensors if t.constant is not None)

    @property
    def belief(self) -> str:
        """Return what is said where shapes had to be believed; '' where all were checked."""
        if not self.believed:
            return ""
        first = self.ops[self.believed[0]]
        more = f" and {len(self.believed) - 1} more" if len(self.believed) > 1 else ""
        return (
            f"no rule can tell the output shapes of {first.name:.40} #{first.index}{more}; "
            "those that the file declares are believed, not checked"
        )

    @functools.cached_property
    def has_float16_weights(self) -> bool:
        """Return whether any constant is stored in 16-bit floats, as an fp16 export does."""
        return any(t.dtype == "float16" and t.constant is not None for t in self.tensors)

    @functools.cached_property
    def peak_activation_bytes(self) -> int:
        """Return the most bytes of activations that are alive at one time, in file order."""
        end = len(self.ops)
        last_use = dict.fromkeys(self.inputs, 0)  # what nothing reads dies after the first op
        for step, op in enumerate(self.ops):
            last_use |= dict.fromkeys((*op.inputs, *op.outputs), step)
        last_use |= dict.fromkeys(self.outputs, end)
        dying: list[list[int]] = [[] for _ in range(end + 1)]
        for i, step in last_use.items():
            dying[step].append(i)
        alive = set(self.inputs)
        size_bytes = peak_bytes = sum(self.tensors[i].size_bytes for i in alive)
        for op, last in zip(self.ops, dying, strict=False):
            born = set(op.outputs) - alive
            alive |= born
            size_bytes += sum(self.tensors[i].size_bytes for i in born)
            peak_bytes = max(peak_bytes, size_bytes)
            size_bytes -= sum(self.tensors[i].size_bytes for i in last if i in alive)
            alive.difference_update(last)
        return peak_bytes

    @functools.cached_property
    def producers(self) -> Mapping[int, Op]:
        """Return the op that computes each tensor, for those that one computes."""
        return {i: op for op in self.ops for i in op.outputs}

    @functools.cached_property
    def readers(self) -> Mapping[int, tuple[Op, ...]]:
        """Return the ops that read each tensor, each once, in execution order."""
        readers: dict[int, list[Op]] = {tensor.index: [] for tensor in self.tensors}
        for op in self.ops:
            for i in dict.fromkeys(op.inputs):
                if i >= 0:
                    readers[i].append(op)
        return {i: tuple(ops) for i, ops in readers.items()}

    def unpacks_constant(self, op: Op) -> bool:
        """Return whether an op only unpacks constant weights, which runtimes do once, at load.

        Source: TFLite's DEQUANTIZE kernel and XNNPACK keep the float copy of constant float16
        weights; DENSIFY does the same for sparse ones.
        """
        if op.name not in ("DEQUANTIZE", "DENSIFY") or not op.inputs or op.inputs[0] < 0:
            return False
        return self.tensors[op.inputs[0]].constant is not None

    def runtime_dtype(self, op: Op) -> str:
        """Return the dtype of the first tensor an op reads that is not constant, '' if none is."""
        inputs = self.runtime_inputs(op)
        return inputs[0].dtype if inputs else ""

    def input_tensors(self, op: Op) -> list[Tensor]:
        """Return the tensors an op reads, constants included, omitted ones left out."""
        return [self.tensors[i] for i in op.inputs if i >= 0]

    def runtime_inputs(self, op: Op) -> list[Tensor]:
        """Return the tensors an op reads that are not constant."""
        return [t for t in self.input_tensors(op) if t.constant is None]


def names_of(enumeration: type) -> Iterator[tuple[int, str]]:
    """Return the members of a generated enumeration as (number, name)."""
    for name, value in vars(enumeration).items():
        if isinstance(value, int):
            yield value, name


ACTIVATIONS = dict(names_of(schema.ActivationFunctionType))
"""Names of fused activations by their number in an op's `fused_activation_function`."""
PADDINGS = dict(names_of(schema.Padding))
"""Names of paddings by their number in an op's `padding`."""
