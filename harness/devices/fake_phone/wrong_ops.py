"""Compute wrongly what is planted: an accelerator's output where its graph holds such an op."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.devices.fake_phone.folder import Switches
from harness.graph import Graph


def made(
    switches: Switches, graph: Graph, values: NDArray[Any], *, accelerated: bool, fp16: bool
) -> NDArray[Any]:
    """Return what the phone makes of the right values.

    Args:
        switches: Those of the phone.
        graph: What ran.
        values: One output.
        accelerated: Whether an accelerator ran it.
        fp16: Whether in fp16.
    """
    there = {op.name for op in graph.ops}
    planted = {
        name.removesuffix(":fp16") for name in switches.wrong_ops if fp16 or ":fp16" not in name
    }
    if accelerated and there & planted:
        return np.zeros_like(values)
    return values
