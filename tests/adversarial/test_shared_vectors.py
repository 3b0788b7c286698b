"""Small files whose tables share vectors: what they describe is counted before it is read."""

import sys
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from harness import child, flatbuffer, graph
from harness.errors import ModelError
from tests.models import ModelBuilder

pytestmark = pytest.mark.slow

_MANY = 4_900


class _File:
    """A flatbuffer written by hand: a table may be named as often as one likes."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)

    def offsets(self, start: Callable[..., int], offsets: list[int]) -> int:
        start(self.builder, len(offsets))
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def integers(self, values: list[int]) -> int:
        return int(self.builder.CreateNumpyVector(np.array(values, np.int32)))

    def tensor(self, *, shape: int, name: int = 0, quantization: int = 0, buffer: int = 0) -> int:
        schema.TensorStart(self.builder)
        schema.TensorAddShape(self.builder, shape)
        schema.TensorAddBuffer(self.builder, buffer)
        if name:
            schema.TensorAddName(self.builder, name)
        if quantization:
            schema.TensorAddQuantization(self.builder, quantization)
        return int(schema.TensorEnd(self.builder))

    def op(self, inputs: int, outputs: int, options: int = 0) -> int:
        schema.OperatorStart(self.builder)
        schema.OperatorAddInputs(self.builder, inputs)
        schema.OperatorAddOutputs(self.builder, outputs)
        if options:
            schema.OperatorAddBuiltinOptionsType(self.builder, schema.BuiltinOptions.ReshapeOptions)
            schema.OperatorAddBuiltinOptions(self.builder, options)
        return int(schema.OperatorEnd(self.builder))

    def finish(
        self, tensors: list[int], ops: list[int], *, data: bytes = b"", custom: str = ""
    ) -> bytes:
        builder = self.builder
        operators = self.offsets(schema.SubGraphStartOperatorsVector, ops)
        whole = self.offsets(schema.SubGraphStartTensorsVector, tensors)
        first, last = self.integers([0]), self.integers([1])
        schema.SubGraphStart(builder)
        schema.SubGraphAddTensors(builder, whole)
        schema.SubGraphAddOperators(builder, operators)
        schema.SubGraphAddInputs(builder, first)
        schema.SubGraphAddOutputs(builder, last)
        subgraph = self.offsets(schema.ModelStartSubgraphsVector, [schema.SubGraphEnd(builder)])
        named = builder.CreateString(custom) if custom else 0
        schema.OperatorCodeStart(builder)
        number = schema.BuiltinOperator.CUSTOM if custom else schema.BuiltinOperator.RELU
        schema.OperatorCodeAddDeprecatedBuiltinCode(builder, number)
        schema.OperatorCodeAddBuiltinCode(builder, number)
        if custom:
            schema.OperatorCodeAddCustomCode(builder, named)
        code = self.offsets(schema.ModelStartOperatorCodesVector, [schema.OperatorCodeEnd(builder)])
        stored = builder.CreateByteVector(data)
        schema.BufferStart(builder)
        empty = schema.BufferEnd(builder)
        schema.BufferStart(builder)
        schema.BufferAddData(builder, stored)
        held = schema.BufferEnd(builder)
        buffers = self.offsets(schema.ModelStartBuffersVector, [empty, held])
        schema.ModelStart(builder)
        schema.ModelAddVersion(builder, 3)
        schema.ModelAddOperatorCodes(builder, code)
        schema.ModelAddSubgraphs(builder, subgraph)
        schema.ModelAddBuffers(builder, buffers)
        builder.Finish(schema.ModelEnd(builder), b"TFL3")
        return bytes(builder.Output())


def _shared_scales() -> bytes:
    file = _File()
    scales = file.builder.CreateNumpyVector(np.ones(20_000, np.float32))
    schema.QuantizationParametersStart(file.builder)
    schema.QuantizationParametersAddScale(file.builder, scales)
    quantization = schema.QuantizationParametersEnd(file.builder)
    tensor = file.tensor(shape=file.integers([1, 8]), quantization=quantization)
    op = file.op(file.integers([0]), file.integers([1]))
    return file.finish([tensor] * _MANY, [op])


def _shared_shape() -> bytes:
    file = _File()
    tensor = file.tensor(shape=file.integers([1] * 30_000))
    return file.finish([tensor] * _MANY, [file.op(file.integers([0]), file.integers([1]))])


def _shared_name() -> bytes:
    file = _File()
    name = file.builder.CreateString("n" * 100_000)
    tensor = file.tensor(shape=file.integers([1, 8]), name=name)
    return file.finish([tensor] * _MANY, [file.op(file.integers([0]), file.integers([1]))])


def _shared_op_inputs() -> bytes:
    file = _File()
    tensor = file.tensor(shape=file.integers([1, 8]))
    op = file.op(file.integers([0] * 30_000), file.integers([1]))
    return file.finish([tensor] * 2, [op] * _MANY)


def _shared_option() -> bytes:
    file = _File()
    shape = file.integers([1] * 30_000)
    schema.ReshapeOptionsStart(file.builder)
    schema.ReshapeOptionsAddNewShape(file.builder, shape)
    options = schema.ReshapeOptionsEnd(file.builder)
    tensor = file.tensor(shape=file.integers([1, 8]))
    op = file.op(file.integers([0]), file.integers([1]), options)
    return file.finish([tensor] * 2, [op] * _MANY)


def _shared_data() -> bytes:
    """4 MB that every tensor holds: 5.9 GB as copies."""
    file = _File()
    tensor = file.tensor(shape=file.integers([1, 8]))
    weights = file.tensor(shape=file.integers([1024, 1024]), buffer=1)
    op = file.op(file.integers([0]), file.integers([1]))
    return file.finish([tensor] * 2 + [weights] * 1400, [op], data=bytes(4 * 2**20))


def _long_custom_name() -> bytes:
    file = _File()
    tensor = file.tensor(shape=file.integers([1, 8]))
    op = file.op(file.integers([0]), file.integers([1]))
    return file.finish([tensor] * 2, [op] * _MANY, custom="c" * 300_000)


_ATTACKS = {
    "scales": _shared_scales, "shape": _shared_shape, "name": _shared_name,
    "op inputs": _shared_op_inputs, "option": _shared_option, "data": _shared_data,
    "custom name": _long_custom_name,
}  # fmt: skip


def _inspect(model: bytes, folder: Path) -> child.Done:
    """Run `harness inspect` within the memory that reading a model may take."""
    path = folder / "attack.tflite"
    path.write_bytes(model)
    return child.run(
        [sys.executable, "-m", "harness", "inspect", path],
        stage="inspect", timeout_s=60, memory_mib=1024, env={"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("name", _ATTACKS)
def test_a_file_that_describes_far_more_than_it_holds_is_refused(name: str, tmp_path: Path) -> None:
    done = _inspect(_ATTACKS[name](), tmp_path)

    assert done.exit_code == 2
    assert "attack.tflite: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rewriter_opens_such_a_file_no_more_than_the_reader() -> None:
    with pytest.raises(ModelError, match="share or overlap"):
        flatbuffer.unpack(_shared_scales())


def test_more_tables_than_any_network_has_are_refused() -> None:
    file = _File()
    tensor = file.tensor(shape=file.integers([1, 8]))
    op = file.op(file.integers([0]), file.integers([1]))

    with pytest.raises(ModelError, match="more than 40000 tables"):
        graph.parse(file.finish([tensor] * 70_000, [op]))


def test_peak_memory_of_a_net_that_keeps_everything_alive_takes_linear_time(tmp_path: Path) -> None:
    """360 KB: the parent once added up every living tensor after every op."""
    model = ModelBuilder()
    image = model.activation((1, 4, 4, 1))
    outputs = [model.same("RELU", image) for _ in range(4_000)]
    joined = model.activation((1, 4, 4, len(outputs)))
    model.op("CONCATENATION", outputs, [joined], axis=3)

    data = model.build([image], [joined])

    assert _inspect(data, tmp_path).exit_code == 0
    assert graph.parse(data).peak_activation_bytes == 64 * (2 * len(outputs))


def test_constants_are_views_of_the_file() -> None:
    model = ModelBuilder()
    image = model.activation((1, 4, 4, 3))
    data = model.build([image], [model.conv(image, 3)])

    weights = graph.parse(data).tensors[1].constant

    assert isinstance(weights, memoryview)
    assert weights.obj is data
