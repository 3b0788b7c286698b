"""Placements and a phone with round constants, for the latency tests."""

from collections.abc import Collection

from harness import placement as placements
from harness.evidence import Evidence, Provenance
from harness.graph import Graph
from harness.placement import CPU, NodePlacement, Placement
from harness.profiles import Accelerator, CpuCluster, EstimateConstants, Profile, Target

RATES = {
    "dense_gmacs_per_s": 100.0,
    "depthwise_gmacs_per_s": 20.0,
    "vector_gops_per_s": 20.0,
    "on_chip_gb_per_s": 30.0,
    "off_chip_gb_per_s": 10.0,
    "on_chip_mib": 2.0,
    "float_bytes": 4.0,
    "channel_multiple": 8.0,
    "transpose_conv_ratio": 2.0,
    "dispatch_us": 10.0,
    "floor_ms": 0.5,
    "crossing_us": 300.0,
    "crossing_gb_per_s": 2.0,
}


def constants(delegate: str, precision: str, **changed: float) -> EstimateConstants:
    return EstimateConstants(
        delegate=delegate,
        precision=precision,
        values={**RATES, **changed},
        rows=9,
        error_share=0.1,
        interval_ratio=1.5,
        source="round numbers for tests",
    )


def phone(*entries: EstimateConstants) -> Profile:
    known = entries or tuple(
        constants(delegate, precision)
        for delegate in ("cpu", "nnapi")
        for precision in ("float", "int8")
    )
    return Profile(
        name="brick",
        title="Brick",
        match=("brick",),
        soc="none",
        cpu=(CpuCluster(cores=4, uarch="cortex-a76", source="test"),),
        android_api_level=29,
        default_delegate="nnapi",
        accelerators=(Accelerator(name="acc", delegate="nnapi", source="test"),),
        source="test",
        estimates=known,
    )


def target(delegate: str = "nnapi", *entries: EstimateConstants) -> Target:
    return Target(profile=phone(*entries), delegate=delegate)


def place(graph: Graph, *, unit: str = "acc", on_cpu: Collection[str] = ()) -> Placement:
    units = [CPU if op.name in on_cpu else unit for op in graph.ops]
    partitions = placements.partition(graph, [u != CPU for u in units])
    return Placement(
        nodes=tuple(
            NodePlacement(index=op.index, op=op.name, unit=u)
            for op, u in zip(graph.ops, units, strict=True)
        ),
        partitions=len(partitions),
        provenance=Provenance(evidence=Evidence.RULES, device="test", variant_sha256=""),
    )
