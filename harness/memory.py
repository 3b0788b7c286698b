"""What an inference needs of memory, from a graph, a compiler or a phone."""

from dataclasses import dataclass

from harness.evidence import Provenance
from harness.graph import Graph

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The memory of one inference, in MiB.

    Attributes:
        peak_activation_mib: Most activations alive at one time, in the order of the graph.
        weights_mib: All constants.
        provenance: How it is known.
        reported_peak_mib: What the tool on a phone reports as its peak, or None.
        spill_mib: What the vendor's compiler moves out of on-chip memory, or None.
        context_mib: Size of the vendor's compiled context, or None.
    """

    peak_activation_mib: float
    weights_mib: float
    provenance: Provenance
    reported_peak_mib: float | None = None
    spill_mib: float | None = None
    context_mib: float | None = None

    @property
    def peak_mib(self) -> float:
        """Return the peak: what a phone's tool reports, else activations and weights."""
        if self.reported_peak_mib is not None:
            return self.reported_peak_mib
        return self.peak_activation_mib + self.weights_mib


def of_graph(graph: Graph, provenance: Provenance) -> Memory:
    """Return what a graph alone says of memory."""
    return Memory(
        peak_activation_mib=graph.peak_activation_bytes / _MIB,
        weights_mib=graph.weight_bytes / _MIB,
        provenance=provenance,
    )
