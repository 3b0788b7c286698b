"""Declare the benchmark tool's protobuf messages in a pool of their own.

LiteRT and TensorFlow each ship these messages under the same names and refuse to be loaded
into one process together; a team's tests may well import TensorFlow. Only fields that the
harness reads or writes are declared; the others are kept as unknown fields.

Source: LiteRT @ f674577, tflite/profiling/proto/model_runtime_info.proto and
tflite/tools/benchmark/proto/benchmark_result.proto.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

_KINDS = descriptor_pb2.FieldDescriptorProto

# Message -> field -> (number, type), as `classes` takes them.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "BenchmarkResult": {
        "name": (1, "string"),
        "latency_metrics": (2, "LatencyMetrics"),
        "misc_metrics": (4, "MiscMetrics"),
    },
    "LatencyMetrics": {
        "avg_ms": (1, "float"),
        "min_ms": (2, "float"),
        "max_ms": (3, "float"),
        "stddev_ms": (4, "float"),
        "median_ms": (5, "float"),
        "p5_ms": (6, "float"),
        "p95_ms": (7, "float"),
        "init_ms": (8, "float"),
        "first_inference_ms": (9, "float"),
        "average_warm_up_ms": (10, "float"),
    },
    "MiscMetrics": {
        "model_size_mb": (1, "float"),
        "num_runs": (2, "int32"),
        "num_warmup_runs": (3, "int32"),
    },
    "ModelRuntimeDetails": {
        "model_name": (1, "string"),
        "subgraphs": (2, "RuntimeSubgraph*"),
    },
    "RuntimeSubgraph": {
        "subgraph_id": (1, "int32"),
        "edges": (2, "Edge*"),
        "nodes": (3, "Node*"),
        "execution_plan": (4, "int32*"),
        "name": (6, "string"),
    },
    "Edge": {
        "id": (1, "int32"),
        "name": (2, "string"),
    },
    "Node": {
        "id": (1, "int32"),
        "name": (2, "string"),
        "type": (3, "string"),
        "outputs": (5, "int32*"),
        "delegate_node_details": (8, "DelegateNodeDetails"),
        "delegated_to_node_id": (9, "int32"),
    },
    "DelegateNodeDetails": {
        "delegate_name": (1, "string"),
        "tflite_node_ids_replaced": (2, "int32*"),
    },
}


def classes(package: str, messages: Mapping[str, Mapping[str, tuple[int, str]]]) -> dict[str, Any]:
    """Return a class for each message of a package, in a pool of their own.

    Args:
        package: Such as `harness.benchmark_tool`.
        messages: Message -> field -> (number, type); a trailing * means repeated, a name of
            `messages` another message.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package.replace('.', '/')}.proto", package=package, syntax="proto2"
    )
    for message, fields in messages.items():
        added = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            repeated = kind.endswith("*")
            base = kind.removesuffix("*")
            field = added.field.add(
                name=name,
                number=number,
                label=_KINDS.LABEL_REPEATED if repeated else _KINDS.LABEL_OPTIONAL,
            )
            if base in messages:
                field.type, field.type_name = _KINDS.TYPE_MESSAGE, f".{package}.{base}"
            else:
                field.type = _KINDS.Type.Value(f"TYPE_{base.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{package}.{name}") for name in messages}
    return {name: message_factory.GetMessageClass(one) for name, one in found.items()}


_CLASSES = classes("harness.benchmark_tool", _MESSAGES)
BenchmarkResult = _CLASSES["BenchmarkResult"]
ModelRuntimeDetails = _CLASSES["ModelRuntimeDetails"]
