"""Read a .tflite as data: ops, versions, options, tensors, quantization, MACs, bytes.

No model is executed here and no native code runs: a truncated or hostile file ends in a
ModelError.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness import files, flatbuffer, shapes, text
from harness.errors import ModelError
from harness.flatbuffer import DAMAGE
from harness.nodes import ACTIVATIONS, PADDINGS, Graph, Op, Quantization, Tensor, names_of

__all__ = [
    "ACTIVATIONS", "DAMAGE", "PADDINGS", "Graph", "Op", "Quantization", "Tensor", "count_macs",
    "load", "parse", "read",
]  # fmt: skip

_ELEMENTS_MAX = 2**40
_RANK_MAX = 8
"""Source: TFLite's kernels take at most 5 to 8 dimensions; XNNPACK_MAX_TENSOR_DIMS is 6."""
_OPS_MAX = 5_000
_SHARING_MAX = 64
"""How many tensors may share the data of one buffer, if it is all that the file holds."""
_CUSTOM_NAME_MAX = 256
_UNSIZED = frozenset({"string", "resource", "variant"})
"""Types whose elements have no fixed number of bytes."""


def load(path: Path) -> Graph:
    """Read a .tflite file.

    Raises:
        ModelError: the file is missing or cannot be read as a model.
    """
    return parse(read(path), name=str(path))


def read(path: Path) -> bytes:
    """Return the bytes of a .tflite file, not looked at yet.

    Raises:
        ModelError: the file is missing, no regular file or larger than a .tflite can be.
    """
    return files.read_model(path, error=ModelError)


def parse(data: bytes, *, name: str = "model", packed_here: bool = False) -> Graph:
    """Read the bytes of a .tflite file.

    Args:
        data: The bytes.
        name: Stands before what is said of it.
        packed_here: Whether this package wrote them from a model that it had checked.

    Raises:
        ModelError: truncated, damaged, not a TFLite file, or of a kind the harness does not read.
    """
    try:
        if not packed_here:
            flatbuffer.check(data)
        graph = _read_model(data)
        return replace(graph, believed=shapes.check(graph))
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None
    except DAMAGE as error:
        raise ModelError(f"{name}: {flatbuffer.damaged(error)}") from None


def _read_model(data: bytes) -> Graph:
    model = schema.Model.GetRootAs(data, 0)
    _refuse_several_models(model)
    subgraph = model.Subgraphs(0)
    if subgraph.OperatorsLength() > _OPS_MAX:
        raise ModelError(f"has {subgraph.OperatorsLength()} ops; the harness reads {_OPS_MAX}")
    file = memoryview(data)
    codes = [_read_code(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    tensors = tuple(
        _read_tensor(model, subgraph.Tensors(i), i, file) for i in range(subgraph.TensorsLength())
    )
    ops = tuple(
        _read_op(codes, subgraph.Operators(i), i, tensors)
        for i in range(subgraph.OperatorsLength())
    )
    graph = Graph(
        tensors=tensors,
        ops=ops,
        inputs=_integers(subgraph.InputsAsNumpy()),
        outputs=_integers(subgraph.OutputsAsNumpy()),
        size_bytes=len(data),
        signature=_read_signature(model),
        name=text.line((subgraph.Name() or b"").decode("utf-8", errors="replace"), text.NAME),
    )
    _check_wiring(graph)
    if graph.weight_bytes > _SHARING_MAX * len(data):
        raise ModelError(
            f"has constants of {graph.weight_bytes} bytes in a file of {len(data)}: its tensors "
            "share their data; the harness does not read it, export the model again"
        )
    return graph


def _refuse_several_models(model: Any) -> None:
    """Refuse a file whose signatures start in several subgraphs: those are several models.

    Subgraphs that ops of the first one call, as control flow and composites do, are let be.
    """
    subgraphs, signatures = model.SubgraphsLength(), model.SignatureDefsLength()
    if subgraphs < 1:
        raise ModelError("has no subgraphs; export the model again")
    starts = {model.SignatureDefs(i).SubgraphIndex() for i in range(signatures)}
    if starts - {0}:
        keys = (model.SignatureDefs(i).SignatureKey() or b"" for i in range(min(signatures, 4)))
        shown = ", ".join(repr(text.brief(key.decode(errors="replace"))) for key in keys)
        raise ModelError(
            f"has {signatures} signatures in {subgraphs} subgraphs ({shown}), which are several "
            "models in one file; export each signature as a file of its own"
        )


def _read_signature(model: Any) -> dict[int, str]:
    """Return the names that the file's signature gives to tensors; none where it has several."""
    if model.SignatureDefsLength() != 1:
        return {}
    signature = model.SignatureDefs(0)
    maps = [signature.Inputs(i) for i in range(signature.InputsLength())]
    maps += [signature.Outputs(i) for i in range(signature.OutputsLength())]
    return {
        int(one.TensorIndex()): text.line((one.Name() or b"").decode(errors="replace"), text.NAME)
        for one in maps
    }


def _integers(vector: Any) -> tuple[int, ...]:
    """Return a vector as the generated reader gives it: an array, or 0 where it is left out."""
    return tuple(np.atleast_1d(vector).tolist()) if isinstance(vector, np.ndarray) else ()


def _read_tensor(model: Any, tensor: Any, index: int, file: memoryview) -> Tensor:
    name = text.line((tensor.Name() or b"").decode("utf-8", errors="replace"), text.NAME)
    if tensor.ShapeLength() > _RANK_MAX:
        raise ModelError(
            f"tensor {name!r:.80} has {tensor.ShapeLength()} dimensions; "
            f"the harness reads {_RANK_MAX}"
        )
    shape = _integers(tensor.ShapeAsNumpy())
    if any(size < 0 for size in shape) or prod(shape) > _ELEMENTS_MAX:
        raise ModelError(f"tensor {name!r:.80} has the impossible shape {shape}")
    dtype = _TENSOR_TYPES.get(tensor.Type())
    if dtype is None:
        raise ModelError(f"tensor {name!r:.80} has unknown type {tensor.Type()}")
    if not 0 <= tensor.Buffer() < model.BuffersLength():
        raise ModelError(
            f"tensor {name!r:.80} names buffer {tensor.Buffer()}, which does not exist"
        )
    if tensor.ExternalBuffer():
        raise ModelError(
            f"tensor {name!r:.80} has its data in another file{_external_file(model, tensor)}, "
            "which the harness does not read; export the model with its weights inside"
        )
    buffer = model.Buffers(tensor.Buffer())
    constant = flatbuffer.data_of(buffer, file) if tensor.Buffer() > 0 else None
    if buffer.Offset() > 1:
        if buffer.Offset() + buffer.Size() > len(file):
            raise ModelError(
                f"tensor {name!r:.80} lies behind the end of the file, at byte {buffer.Offset()}; "
                "fetch the whole file, or export the model with its weights inside"
            )
        constant = file[buffer.Offset() : buffer.Offset() + buffer.Size()]
    read = Tensor(
        index=index,
        name=name,
        shape=shape,
        dtype=dtype,
        quantization=_read_quantization(tensor.Quantization()),
        constant=constant,
    )
    is_dense = tensor.Sparsity() is None and dtype not in _UNSIZED
    if read.constant is not None and is_dense and len(read.constant) != read.size_bytes:
        raise ModelError(
            f"tensor {name!r:.80} of shape {list(shape)} takes {read.size_bytes} bytes, "
            f"and its constant data are {len(read.constant)}; export the model again"
        )
    return read


def _external_file(model: Any, tensor: Any) -> str:
    """Return the name of the file that a tensor's data lie in, or '' where none is said."""
    for k in range(model.ExternalBuffersLength()):
        buffer = model.ExternalBuffers(k)
        if buffer.Id() == tensor.ExternalBuffer() and (
            buffer.Group() < model.ExternalBufferGroupsLength()
        ):
            name = model.ExternalBufferGroups(buffer.Group()).Name() or b""
            return f", {text.brief(name.decode(errors='replace'))!r}"
    return ""


def _read_quantization(quantization: Any) -> Quantization | None:
    if quantization is None or quantization.ScaleLength() == 0:
        return None
    return Quantization(
        scales=tuple(quantization.ScaleAsNumpy().tolist()),
        zero_points=_integers(quantization.ZeroPointAsNumpy()),
        axis=int(quantization.QuantizedDimension()),
    )


def _read_code(code: Any) -> tuple[str, int]:
    """Return the name and version of an op code; '' for a builtin that is not known."""
    name = _BUILTIN_OPS.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
    if name == "CUSTOM":
        name = (code.CustomCode() or b"CUSTOM").decode("utf-8", errors="replace")
        if len(name) > _CUSTOM_NAME_MAX:
            raise ModelError(f"names a custom op {name!r:.80}... of {len(name)} letters")
        name = text.line(name)
        if code.CustomCode() and name in _BUILTIN_OPS.values():
            name = f"custom {name}"  # no kernel, rule or cost of the builtin is its own
    return name, int(code.Version())


def _read_op(
    codes: Sequence[tuple[str, int]], operator: Any, index: int, tensors: Sequence[Tensor]
) -> Op:
    code = operator.OpcodeIndex()
    if code >= len(codes):
        raise ModelError(f"op #{index} names op code {code}, which does not exist")
    name, version = codes[code]
    if not name:
        raise ModelError(f"op #{index} has an unknown builtin code")
    inputs = _integers(operator.InputsAsNumpy())
    outputs = _integers(operator.OutputsAsNumpy())
    if any(not -1 <= i < len(tensors) for i in inputs) or any(
        not 0 <= i < len(tensors) for i in outputs
    ):
        raise ModelError(f"op #{index} {name} names tensors that do not exist")
    if not outputs:
        raise ModelError(f"op #{index} {name} has no output; the harness reads ops that have one")
    return Op(
        index=index,
        name=name,
        version=version,
        inputs=inputs,
        outputs=outputs,
        options=_read_options(operator),
        macs=count_macs(name, inputs, outputs, tensors),
    )


def _read_options(operator: Any) -> Mapping[str, Any]:
    table = operator.BuiltinOptions()
    if table is None:
        return {}
    options = schema.BuiltinOptionsCreator(operator.BuiltinOptionsType(), table)
    if options is None:
        return {}
    return {_snake(key): value for key, value in vars(options).items()}


@functools.cache
def _snake(camel: str) -> str:
    """Return an option's name as the schema spells it, such as `dilation_h_factor`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", camel).lower()


def count_macs(
    name: str, inputs: Sequence[int], outputs: Sequence[int], tensors: Sequence[Tensor]
) -> int:
    """Return the multiply-accumulates of one op; one per weight and output position.

    TRANSPOSE_CONV counts one per weight and *input* position, as the kernel does.
    """
    shapes = [tensors[i].shape if i >= 0 else () for i in inputs]
    try:
        if name == "CONV_2D":  # filter [out_c, k_h, k_w, in_c / groups]
            return prod(tensors[outputs[0]].shape) * prod(shapes[1][1:])
        if name == "DEPTHWISE_CONV_2D":  # filter [1, k_h, k_w, out_c]
            return prod(tensors[outputs[0]].shape) * prod(shapes[1][1:3])
        if name == "TRANSPOSE_CONV":  # inputs: output_shape, filter [out_c, k_h, k_w, in_c], data
            return prod(shapes[2]) * prod(shapes[1][:3])
        if name == "FULLY_CONNECTED":  # filter [out, in]
            return prod(tensors[outputs[0]].shape) * shapes[1][-1]
        if name == "BATCH_MATMUL":
            inner = shapes[0][-1]
            return prod(tensors[outputs[0]].shape) * inner
    except IndexError:
        raise ModelError(f"op {name} has too few inputs or dimensions") from None
    return 0


def _check_wiring(graph: Graph) -> None:
    if not graph.ops:
        raise ModelError("has no ops")
    for i in (*graph.inputs, *graph.outputs):
        if not 0 <= i < len(graph.tensors):
            raise ModelError(f"names tensor {i} as input or output, which does not exist")
    given = {*graph.inputs, *(t.index for t in graph.tensors if t.constant is not None)}
    producer: dict[int, int] = {}
    for op in graph.ops:
        for i in op.outputs:
            if i in given or i in producer:
                raise ModelError(
                    f"op #{op.index} {op.name} computes a tensor that has a value already"
                )
            producer[i] = op.index
    for op in graph.ops:
        # A tensor with no data that nobody produces is legal when it is empty or a variable.
        if any(producer.get(i, -1) >= op.index for i in op.inputs):
            raise ModelError(f"op #{op.index} {op.name} reads a tensor before it is computed")


_BUILTIN_OPS = dict(names_of(schema.BuiltinOperator))
_TENSOR_TYPES = {value: name.lower() for value, name in names_of(schema.TensorType)}
