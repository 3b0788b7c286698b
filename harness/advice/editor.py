"""Edit the structure of a .tflite: ops, tensors, constants.

New and resized weights are zeros: an edited file is for placing and costing, not for running.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import flatbuffer

_TYPES = {name.lower(): value for name, value in vars(schema.TensorType).items() if name.isupper()}
_NAMES = {value: name for name, value in _TYPES.items()}
_BUILTINS = {name: value for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
_BYTES = {"float32": 4, "float16": 2, "int8": 1, "uint8": 1, "int16": 2, "int32": 4, "int64": 8}
_BIAS = {"float32": "float32", "int8": "int32", "uint8": "int32", "int16": "int64"}


class Editor:
    """A model that is being edited; `bytes()` writes it."""

    def __init__(self, model: bytes) -> None:
        """Unpack a model that `graph.parse` has read."""
        self._model = flatbuffer.unpack(model)
        self._graph = self._model.subgraphs[0]

    def write(self) -> bytes:
        """Return the edited model."""
        return flatbuffer.pack(self._model)

    @property
    def ops(self) -> list[Any]:
        """Return the ops in execution order; the list may be changed."""
        found: list[Any] = self._graph.operators
        return found

    @property
    def tensors(self) -> list[Any]:
        """Return the tensors."""
        found: list[Any] = self._graph.tensors
        return found

    def dtype(self, index: int) -> str:
        """Return a tensor's dtype in NumPy's words."""
        name: str = _NAMES[self.tensors[index].type]
        return name

    def set_dtype(self, index: int, dtype: str) -> None:
        """Change a tensor's dtype; a constant becomes zeros."""
        tensor = self.tensors[index]
        tensor.type = _TYPES[dtype]
        if self.is_constant(index):
            self._zero(tensor)

    def is_constant(self, index: int) -> bool:
        """Return whether a tensor holds data."""
        data = self._model.buffers[self.tensors[index].buffer].data
        return data is not None and len(data) > 0

    def set_shape(self, index: int, shape: Sequence[int]) -> None:
        """Change a tensor's shape; a constant becomes zeros, per-channel scales follow."""
        tensor = self.tensors[index]
        tensor.shape = np.array(shape, dtype=np.int32)
        if tensor.shapeSignature is not None:
            tensor.shapeSignature = None
        if self.is_constant(index):
            self._zero(tensor)
        quantization = tensor.quantization
        if quantization is not None and quantization.scale is not None:
            channels = shape[quantization.quantizedDimension] if shape else 1
            if len(quantization.scale) > 1:
                quantization.scale = np.resize(quantization.scale, channels)
                quantization.zeroPoint = np.resize(quantization.zeroPoint, channels)

    def add_activation(self, shape: Sequence[int], *, like: int) -> int:
        """Add a tensor with the dtype and quantization of another."""
        tensor = schema.TensorT()
        tensor.name = f"rewritten_{len(self.tensors)}".encode()
        tensor.shape = np.array(shape, dtype=np.int32)
        tensor.type = self.tensors[like].type
        tensor.buffer = 0
        tensor.quantization = self.tensors[like].quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_weights(self, shape: Sequence[int], *, like: int, channels_axis: int = 0) -> int:
        """Add zero weights with the dtype of others, quantized by output channel as they are."""
        tensor = schema.TensorT()
        tensor.name = f"rewritten_{len(self.tensors)}".encode()
        tensor.shape = np.array(shape, dtype=np.int32)
        tensor.type = self.tensors[like].type
        old = self.tensors[like].quantization
        if old is not None and old.scale is not None and len(old.scale) > 0:
            made = schema.QuantizationParametersT()
            count = shape[channels_axis] if len(old.scale) > 1 else 1
            made.scale = np.resize(old.scale, count)
            made.zeroPoint = np.zeros(count, dtype=np.int64)
            made.quantizedDimension = channels_axis
            tensor.quantization = made
        self._zero(tensor)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_bias(self, channels: int, *, activation: int) -> int:
        """Add a zero bias for an op whose input is `activation`."""
        tensor = schema.TensorT()
        tensor.name = f"rewritten_{len(self.tensors)}".encode()
        tensor.shape = np.array([channels], dtype=np.int32)
        tensor.type = _TYPES[_BIAS.get(self.dtype(activation), "float32")]
        self._zero(tensor)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_integers(self, values: Sequence[int]) -> int:
        """Add a constant int32 vector, such as a size."""
        tensor = schema.TensorT()
        tensor.name = f"rewritten_{len(self.tensors)}".encode()
        tensor.shape = np.array([len(values)], dtype=np.int32)
        tensor.type = _TYPES["int32"]
        self._store(tensor, np.array(values, dtype=np.int32).tobytes())
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_reordered(self, index: int, order: Sequence[int]) -> int:
        """Add a constant like another, with its parts along the first axis in another order."""
        old = self.tensors[index]
        tensor = copy.copy(old)
        data = np.asarray(self._model.buffers[old.buffer].data, np.uint8)
        self._store(tensor, data.reshape(len(order), -1)[list(order)].tobytes())
        mapping = old.quantization
        if mapping is not None and mapping.scale is not None and len(mapping.scale) > 1:
            tensor.quantization = copy.copy(mapping)
            tensor.quantization.scale = np.asarray(mapping.scale)[list(order)]
            tensor.quantization.zeroPoint = np.asarray(mapping.zeroPoint)[list(order)]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_floats(self, values: Any) -> int:
        """Add a constant float32 tensor."""
        array = np.asarray(values, np.float32)
        tensor = schema.TensorT()
        tensor.name = f"rewritten_{len(self.tensors)}".encode()
        tensor.shape = np.array(array.shape, dtype=np.int32)
        tensor.type = _TYPES["float32"]
        self._store(tensor, array.tobytes())
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def replace_output(self, old: int, new: int) -> None:
        """Let the model give another tensor in the place of one that it gives."""
        outputs = np.asarray(self._graph.outputs)
        self._graph.outputs = np.where(outputs == old, new, outputs)
        for signature in self._model.signatureDefs or ():
            for named in signature.outputs or ():
                named.tensorIndex = new if named.tensorIndex == old else named.tensorIndex

    def set_integers(self, index: int, values: Sequence[int]) -> None:
        """Change the values of a constant int32 tensor."""
        tensor = self.tensors[index]
        self._store(tensor, np.array(values, dtype=np.int32).tobytes())

    def op(
        self,
        name: str,
        version: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        kind: str,
        options: Mapping[str, Any],
    ) -> Any:
        """Make an op; put it into `ops` where it belongs.

        Args:
            name: TFLite builtin name.
            version: Of the op.
            inputs: Tensors it reads.
            outputs: Tensors it writes.
            kind: Name of its options table, such as `Conv2DOptions`, or '' for none.
            options: Fields of the table in camel case.
        """
        made = schema.OperatorT()
        made.opcodeIndex = self.code(name, version)
        made.inputs = np.array(inputs, dtype=np.int32)
        made.outputs = np.array(outputs, dtype=np.int32)
        if kind:
            table = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                setattr(table, key, value)
            made.builtinOptions = table
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        return made

    def code(self, name: str, version: int) -> int:
        """Return the number of an op's code, added where it is not there."""
        builtin = _BUILTINS[name]
        for index, code in enumerate(self._model.operatorCodes):
            known = max(code.builtinCode, code.deprecatedBuiltinCode)
            if known == builtin and code.version == version:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode = builtin
        code.deprecatedBuiltinCode = min(builtin, 127)
        code.version = version
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def cap_versions(self, limits: Mapping[str, int], default: int) -> None:
        """Lower the versions of all ops to at most a limit."""
        names = {value: name for name, value in _BUILTINS.items()}
        for code in self._model.operatorCodes:
            name = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "")
            code.version = min(code.version, limits.get(name, default))

    def _zero(self, tensor: Any) -> None:
        count = int(np.prod(tensor.shape)) if tensor.shape is not None else 1
        self._store(tensor, bytes(count * _BYTES[_NAMES[tensor.type]]))

    def _store(self, tensor: Any, data: bytes) -> None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, dtype=np.uint8)
        self._model.buffers.append(buffer)
        tensor.buffer = len(self._model.buffers) - 1
