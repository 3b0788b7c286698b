"""Read the outputs that the benchmark tool writes."""

import itertools
from collections.abc import Mapping

import numpy as np

from harness.errors import DeviceError
from harness.graph import Graph
from harness.inputs import Values
from harness.stacks import feeding


def read(graph: Graph, data: bytes, *, where: str) -> Mapping[str, Values]:
    """Return the real values of each output by name, from all outputs one behind the other.

    Args:
        graph: The model's.
        data: The file that `--output_filepath` names.
        where: What the file is of, for messages.

    Raises:
        DeviceError: the file has a wrong size.
    """
    made = [graph.tensors[i] for i in graph.outputs]
    ends = list(itertools.accumulate(tensor.size_bytes for tensor in made))
    if len(data) != ends[-1]:
        shown = " and ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in made)
        raise DeviceError(
            f"{where}: the output has {len(data)} bytes, {ends[-1]} are expected for {shown:.200}"
        )
    parts = [
        np.frombuffer(data[end - tensor.size_bytes : end], tensor.dtype).reshape(tensor.shape)
        for tensor, end in zip(made, ends, strict=True)
    ]
    return dict(zip(graph.output_names, feeding.read(graph, parts), strict=True))
