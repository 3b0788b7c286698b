"""Calibrate and quantize with ai-edge-quantizer inside a child process.

That quantizer tells tensors apart by name and feeds a model by its signature. Exporters give two
tensors one name and leave signatures out, so each tensor is called by its number here, a signature
is added where there is none, and both are put back in what is returned.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import qtyping, quantizer, recipe, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from numpy.typing import NDArray

from harness import flatbuffer
from harness.errors import ModelError
from harness.worker import serve

Ranges = dict[str, dict[str, NDArray[Any]]]
"""Least and largest value of each tensor, by its number."""
_SIGNATURE = b"harness_quantize"
_FAULTS = (ValueError, RuntimeError, KeyError, TypeError, IndexError, NotImplementedError)
"""What the quantizer raises on a model that it does not take."""
_EVERYWHERE = ".*"


def calibrate(model: bytes, frames: Sequence[NDArray[np.float32]]) -> Ranges:
    """Return the ranges of a float model's tensors over some frames of its size."""
    named = _named(model)
    made = quantizer.Quantizer(bytearray(flatbuffer.pack(named)), recipe.static_wi8_ai8())
    signature = named.signatureDefs[0]
    name = signature.inputs[0].name.decode()
    key = signature.signatureKey.decode()
    try:
        found = made.calibrate({key: [{name: frame} for frame in frames]}, num_threads=1)
    except _FAULTS as error:
        raise _refused(error) from None
    return {
        tensor: {name: np.asarray(value) for name, value in values.items()}
        for tensor, values in found.items()
    }


def quantize(model: bytes, precision: str, kept: Sequence[int], ranges: Ranges) -> bytes:
    """Return a float model quantized.

    Args:
        model: The float model.
        precision: int8, int8-dynamic, int16 or fp16.
        kept: Numbers of the ops to leave in float.
        ranges: What `calibrate` found; not read for int8-dynamic and fp16.
    """
    named = _named(model)
    try:
        made = quantizer.Quantizer(bytearray(flatbuffer.pack(named)), _recipe(precision))
        for outputs in _in_float(named.subgraphs[0], frozenset(kept)):
            made.update_quantization_recipe(
                f"^{''.join(f't{index};' for index in outputs)}$",
                qtyping.TFLOperationName.ALL_SUPPORTED,
                algorithm_key=AlgorithmName.NO_QUANTIZE,
            )
        found = made.quantize(ranges if made.need_calibration else None, None, False, False)
    except _FAULTS as error:
        raise _refused(error) from None
    if found.quantized_model is None:
        raise ModelError("ai-edge-quantizer quantizes nothing of this model")
    return _with_own_names(bytes(found.quantized_model), flatbuffer.unpack(model))


def _in_float(graph: Any, kept: frozenset[int]) -> Iterator[Sequence[int]]:
    """Yield what each op in float writes, and each input that only such ops read."""
    for op in sorted(kept):
        yield graph.operators[op].outputs
    for index in graph.inputs:
        if {at for at, op in enumerate(graph.operators) if index in op.inputs} <= kept:
            yield [index]


def _refused(error: BaseException) -> ModelError:
    return ModelError(f"ai-edge-quantizer does not take the model: {error}")


def _recipe(precision: str) -> Any:
    """Return the quantizer's own recipe for a precision."""
    if precision == "fp16":
        manager = recipe_manager.RecipeManager()
        manager.add_quantization_config(
            _EVERYWHERE,
            qtyping.TFLOperationName.ALL_SUPPORTED,
            qtyping.OpQuantizationConfig(
                weight_tensor_config=qtyping.TensorQuantizationConfig(
                    num_bits=16, dtype=qtyping.TensorDataType.FLOAT
                ),
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            AlgorithmName.FLOAT_CASTING,
        )
        return manager.get_quantization_recipe()
    known: Mapping[str, Any] = {
        "int8": recipe.static_wi8_ai8,
        "int8-dynamic": recipe.dynamic_wi8_afp32,
        "int16": recipe.static_wi8_ai16,
    }
    return known[precision]()


def _named(model: bytes) -> Any:
    """Return a model whose tensors are called by their numbers, with a signature."""
    tree = flatbuffer.unpack(model)
    if len(tree.subgraphs) != 1:
        raise ModelError(f"{len(tree.subgraphs)} subgraphs; only models of one are quantized here")
    graph = tree.subgraphs[0]
    for index, tensor in enumerate(graph.tensors):
        tensor.name = f"t{index}".encode()
    if not tree.signatureDefs:
        made = schema.SignatureDefT()
        made.signatureKey = _SIGNATURE
        made.subgraphIndex = 0
        made.inputs = list(_maps(graph.inputs, "input"))
        made.outputs = list(_maps(graph.outputs, "output"))
        tree.signatureDefs = [made]
    return tree


def _maps(indices: Sequence[int], word: str) -> Iterator[Any]:
    for number, index in enumerate(indices):
        made = schema.TensorMapT()
        made.name = f"{word}{number}".encode()
        made.tensorIndex = int(index)
        yield made


def _with_own_names(quantized: bytes, model: Any) -> bytes:
    """Return a quantized model whose tensors are called as those of its float model."""
    tree = flatbuffer.unpack(quantized)
    for buffer in tree.buffers:
        if buffer.offset > 1:  # the quantizer puts some weights behind the flatbuffer
            buffer.data = np.frombuffer(quantized, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    names = [tensor.name or b"" for tensor in model.subgraphs[0].tensors]
    for tensor in tree.subgraphs[0].tensors:
        numbered = re.match(rb"t(\d+)", tensor.name or b"")
        if numbered:
            tensor.name = names[int(numbered[1])] + tensor.name[numbered.end() :]
    if not model.signatureDefs:
        tree.signatureDefs = None
    return flatbuffer.pack(tree)


if __name__ == "__main__":
    serve({"calibrate": calibrate, "quantize": quantize})
