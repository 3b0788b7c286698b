"""Say which op runs where through the NNAPI delegate, by its published rules.

The order of checks is the delegate's own: rules at the target feature level, then float16
weights, then the vendor's drivers, then errors that take the whole delegate down.

Source: LiteRT @ f674577, tflite/delegates/nnapi/nnapi_delegate.cc, `DoPrepare`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.evidence import Evidence, Provenance, now_utc
from harness.graph import Graph, Op
from harness.model import Model
from harness.placement import CPU, NodePlacement, Placement, partition
from harness.profiles import Accelerator, Profile, Target
from harness.stacks.nnapi_limits import INT16, LEVEL_7, LEVEL_8, NNAPI_1_0, NNAPI_1_2
from harness.stacks.nnapi_rules import RULES, breaks_delegate, check
from harness.stacks.rules import (
    Node,
    Objection,
    driver_refusal,
    join,
    join_float16,
    refused,
    remap_float16,
)
from harness.stacks.substitutes import probe, substitute

SOURCE = "LiteRT @ f674577, nnapi_delegate.cc"


@dataclass(frozen=True, kw_only=True)
class NnapiPhone:
    """What decides on one phone: the runtime, the drivers and their feature level.

    Attributes:
        runtime_level: Feature level of the NNAPI runtime.
        level: Feature level that nodes are judged at.
        accelerators: The drivers, the preferred one first.
    """

    runtime_level: int
    level: int
    accelerators: tuple[Accelerator, ...]

    @property
    def asks_drivers(self) -> bool:
        """Return whether the delegate can ask the drivers what they take (NNAPI 1.2)."""
        return self.runtime_level >= NNAPI_1_2

    def rule_on(self, graph: Graph, op: Op) -> Objection | None:
        """Return why the delegate refuses an op, or None."""
        return check(self._node(graph, op))

    def breaks(self, graph: Graph, op: Op) -> bool:
        """Return whether an op that the delegate takes makes it fail as a whole."""
        return self.rule_on(graph, op) is None and breaks_delegate(self._node(graph, op))

    def driver_on(self, graph: Graph, op: Op, accelerator: Accelerator) -> Objection | None:
        """Return why a driver refuses an op, or None."""
        if not self.asks_drivers:
            return None
        return driver_refusal(accelerator, op.name, data_dtype(graph, op))

    def drivers_on(self, graph: Graph, op: Op) -> Objection | None:
        """Return why every driver refuses an op, or None if one takes it."""
        found = [self.driver_on(graph, op, a) for a in self.accelerators]
        return None if None in found else join([f for f in found if f is not None])

    def accepts(self, names: Sequence[str], dtype: str) -> bool:
        """Return whether plain ops of some names and a dtype would run on an accelerator."""
        for graph in (probe(name, dtype) for name in names):
            (op,) = graph.ops
            if self.rule_on(graph, op) or self.breaks(graph, op) or self.drivers_on(graph, op):
                return False
        return True

    def _node(self, graph: Graph, op: Op) -> Node:
        return Node(graph=graph, op=op, level=self.level, accelerator_specified=self.asks_drivers)


def place(model: Model, target: Target) -> Placement:
    """Say which op of a model an NNAPI accelerator takes, and why others stay on the CPU.

    Args:
        model: At the size it is to run.
        target: The phone; its accelerators of the delegate nnapi are asked in file order.
    """
    graph = model.graph
    phone = read_phone(target.profile)
    seen, widening = remap_float16(graph)
    findings = _judge(seen, widening, phone)
    offered = [op.index not in findings and op.index not in widening for op in graph.ops]
    accelerated = join_float16(graph, offered, widening)
    units = _units(seen, [op for op in seen.ops if offered[op.index]], phone)
    return Placement(
        nodes=tuple(
            NodePlacement(index=op.index, op=op.name, unit=units.get(op.index, _first(phone)))
            if accelerated[op.index]
            else _on_cpu(op, findings.get(op.index, _WIDENING))
            for op in graph.ops
        ),
        partitions=len(partition(graph, accelerated, idle=widening)),
        provenance=Provenance(
            evidence=Evidence.RULES,
            device=f"{target.profile.name}:nnapi rules, feature level {phone.level}",
            variant_sha256=model.sha256,
            file_sha256=model.file_sha256,
            runtime={"nnapi rules": SOURCE, "profile": target.sha256[:12]},
            time_utc=now_utc(),
            note=_note(target.profile),
        ),
    )


def read_phone(profile: Profile) -> NnapiPhone:
    """Return what of a profile decides on NNAPI placement."""
    runtime = runtime_level(profile.android_api_level)
    driver = profile.driver_feature_level
    level = runtime if driver is None or runtime < NNAPI_1_2 else min(runtime, driver)
    return NnapiPhone(
        runtime_level=runtime, level=level, accelerators=profile.accelerators_of("nnapi")
    )


def runtime_level(android_api_level: int) -> int:
    """Return the NNAPI feature level of an Android release.

    Android 12L (32) counts as 12: that its runtime has feature level 6 is not verified.

    Source: LiteRT @ f674577, nnapi_delegate_kernel.h.
    """
    if android_api_level >= 34:
        return LEVEL_8
    return LEVEL_7 if android_api_level == 33 else min(android_api_level, 31)


def data_dtype(graph: Graph, op: Op) -> str:
    """Return the dtype of the input that decides on an op, '' if it has none."""
    rule = RULES.get(op.name)
    data = Node(graph=graph, op=op).input(rule.data if rule else 0)
    return data.dtype if data else ""


_WIDENING = refused("widens float16 weights of an op on the CPU")


def _judge(seen: Graph, widening: frozenset[int], phone: NnapiPhone) -> dict[int, Objection]:
    """Return why ops are on the CPU, by index, in the delegate's order of checks."""
    everything = [op.index for op in seen.ops]
    if phone.runtime_level < NNAPI_1_0:
        return dict.fromkeys(everything, refused("NNAPI begins with Android 8.1 (API level 27)"))
    if not phone.accelerators:
        return dict.fromkeys(everything, refused("the profile names no NNAPI accelerator"))
    ops = [op for op in seen.ops if op.index not in widening]
    rules = {op.index: f for op in ops if (f := phone.rule_on(seen, op)) is not None}
    offered = [op for op in ops if op.index not in rules]
    for op in offered:
        if phone.breaks(seen, op):
            return dict.fromkeys(everything, _broken(op, data_dtype(seen, op)))
    drivers = {op.index: f for op in offered if (f := phone.drivers_on(seen, op)) is not None}
    found = {
        index: _with_substitute(finding, seen, seen.ops[index], phone)
        for index, finding in (rules | drivers).items()
    }
    if widening and drivers:
        op = seen.ops[min(drivers)]
        return dict.fromkeys(everything, _not_whole(op, found[op.index]))
    return found


def _broken(op: Op, dtype: str) -> Objection:
    return refused(
        "the delegate fails and TFLite removes it from the whole graph: the NNAPI runtime "
        f"rejects {op.name} #{op.index} with {dtype} data",
        INT16 if dtype == "int16" else "",
    )


def _not_whole(op: Op, finding: Objection) -> Objection:
    instead = f"{finding.remedy}; or " if finding.remedy else ""
    return refused(
        "a model with float16 weights goes to the accelerator whole or not at all, and "
        f"{op.name} #{op.index} is not taken ({finding.reason})",
        f"{instead}ship float32 weights",
    )


def _with_substitute(finding: Objection, graph: Graph, op: Op, phone: NnapiPhone) -> Objection:
    if finding.remedy:
        return finding
    return refused(finding.reason, substitute(op.name, data_dtype(graph, op), phone.accepts))


def _on_cpu(op: Op, finding: Objection) -> NodePlacement:
    return NodePlacement(
        index=op.index, op=op.name, unit=CPU, reason=finding.reason, remedy=finding.remedy
    )


def _units(graph: Graph, ops: Sequence[Op], phone: NnapiPhone) -> dict[int, str]:
    """Name the accelerator of each op: the first that takes all, or else the first that takes it.

    The choice among several drivers is the NNAPI runtime's, by their published speed, which is
    not known here; it does not change what falls back.
    """
    takes = {
        a.name: {op.index for op in ops if phone.driver_on(graph, op, a) is None}
        for a in phone.accelerators
    }
    order = sorted(takes, key=lambda name: len(takes[name]) < len(ops))  # stable
    return {op.index: next(n for n in order if op.index in takes[n]) for op in ops}


def _first(phone: NnapiPhone) -> str:
    return phone.accelerators[0].name


def _note(profile: Profile) -> str:
    """Say what these rules do not know of the phone."""
    notes = []
    if profile.driver_feature_level is None:
        notes.append("the drivers' feature level is unknown; judged at the runtime's")
    open_ended = [a.name for a in profile.accelerators_of("nnapi") if not a.dtypes]
    if open_ended:
        notes.append(f"dtypes of {', '.join(open_ended)} unknown; taken to be all")
    notes.append("drivers may refuse more than the refusals that are published")
    return "; ".join(notes)
