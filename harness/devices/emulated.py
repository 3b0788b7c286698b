"""Answer for a phone that is not here, with the strongest software of its own that is.

Each fact says what it rests on: the vendor's compiler or simulator, the phone's kernels on
another CPU, published op rules, or a fitted estimate.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Self

from harness import cache, memory, text
from harness.devices import numerics
from harness.errors import StackMissing
from harness.estimate.model import estimate
from harness.evidence import Evidence, Provenance, now_utc
from harness.images import Output, Pixels
from harness.inputs import Inputs
from harness.latency import Estimate, EstimatePair, Instructions
from harness.memory import Memory
from harness.model import Model
from harness.placement import UNKNOWN, NodePlacement, Placement
from harness.profiles import Profile, Target
from harness.stacks import arm64, gpu_rules, mldrift, nnapi, qnn, xnnpack

_ATTACH = "attach the phone, with LiteRT 2's tools and the NPU's libraries"
_STACKS = (
    (("ai-edge-litert-arm64", "qemu", "emulated cpu"), arm64.missing, arm64.versions),
    (("vulkan-driver",), mldrift.missing, mldrift.versions),
    (("onnxruntime", "onnxruntime-qnn"), qnn.missing, qnn.versions),
)
"""The stacks that may be absent, with the names of what they have beside LiteRT."""


def versions() -> dict[str, str]:
    """Return the versions of the software that answers here, as facts name it; '' where it lacks.

    The profile is not among them: a request states it.
    """
    found = {
        **xnnpack.versions(),
        "nnapi rules": nnapi.SOURCE,
        "gpu rules": gpu_rules.SOURCE,
    }
    for names, missing, versions_of in _STACKS:
        found |= dict.fromkeys(names, "") if missing() is not None else versions_of()
    return found


class Emulated:
    """The software of one phone through one delegate, on this host; implements Device."""

    def __init__(self, target: Target, *, threads: int = 0) -> None:
        """Stand in for a phone that a profile describes.

        Args:
            target: The phone and the delegate.
            threads: Of this host's CPU kernels, or 0 for one a core.
        """
        self._target = target
        self._threads = threads

    @property
    def target(self) -> Target:
        """Return the phone and the delegate."""
        return self._target

    @property
    def profile(self) -> Profile:
        """Return the phone on paper."""
        return self._target.profile

    @property
    def delegate(self) -> str:
        """Return the delegate."""
        return self._target.delegate

    @property
    def fingerprint(self) -> str:
        """Return what stands in for the phone."""
        return f"{self._target} emulated"

    def __repr__(self) -> str:
        """Return the target."""
        return text.repr_of(self, str(self.target))

    @property
    def stands_in(self) -> bool:
        """Return True: this host answers."""
        return True

    def run(self, model: Model, given: Inputs | Pixels) -> Output:
        """Run a model on real values with the strongest arithmetic available here."""
        inputs = Inputs.of(given)
        chosen = numerics.choose(self._target, model.graph, threads=self._threads)
        key = cache.key_of(
            numerics.__name__,
            chosen.name,
            chosen.versions,
            model.sha256,
            inputs.sha256,
            self._target,
        )
        values = cache.remember(
            "outputs",
            key,
            lambda: chosen.run(model, inputs.of_graph(model.graph)),
            kind=cache.ARRAYS,
        )
        return Output(
            values=dict(zip(model.graph.output_names, values, strict=True)),
            provenance=self._provenance(
                model, chosen.evidence, by=chosen.name, runtime=chosen.versions, note=chosen.note
            ),
        )

    def time(self, model: Model, *, limits_ms: Sequence[float] = ()) -> Estimate:
        """Estimate the latency of one inference; no host time is ever reported as a phone's."""
        del limits_ms  # an estimate costs the same whatever it is judged by
        if (missing := self._missing_npu()) is not None:
            raise StackMissing(missing)
        return estimate(model, self.place(model), self._target)

    def compare(self, model: Model, before: Model) -> EstimatePair:
        """Estimate a model and an earlier one."""
        now = self.time(model)
        return EstimatePair(before=self.time(before), now=now, provenance=now.provenance)

    @functools.lru_cache(maxsize=256)  # noqa: B019 - one device lives as long as the run
    def place(self, model: Model) -> Placement:
        """Say which op runs where, by the strongest software available here."""
        if self._target.stack == "cpu":
            return xnnpack.place(model)
        if self._target.stack == "nnapi":
            return self._by_rules(nnapi.place, model)
        if self._target.stack == "gpu":
            if mldrift.missing() is None:
                return mldrift.place(model, self._target)
            return self._by_rules(gpu_rules.place, model)
        if (missing := self._missing_npu()) is not None:
            return _unknown(model, self.fingerprint, missing)
        return qnn.place(model, self._target)

    def _by_rules(self, place: Callable[[Model, Target], Placement], model: Model) -> Placement:
        """Return what rules say of a model; they need not read its graph a second time."""
        key = cache.key_of(place.__module__, model.sha256, self._target)
        found = cache.remember("placement", key, lambda: place(model, self._target), kind=Placement)
        made = replace(found.provenance, file_sha256=model.file_sha256, time_utc=now_utc())
        return replace(found, provenance=made)

    def memory(self, model: Model) -> Memory:
        """Say what the graph needs, and on an NPU what spills from on-chip memory."""
        known = memory.of_graph(
            model.graph, self._provenance(model, Evidence.RULES, by="tensors of the graph")
        )
        if self._target.stack != "qnn" or qnn.missing() is not None:
            return known
        if self.place(model).cpu_ops == len(model.graph.ops):
            return known
        traffic = qnn.traffic(model, self._target)
        return replace(
            known,
            spill_mib=traffic.spill_mib,
            context_mib=traffic.context_mib,
            provenance=self._provenance(
                model, Evidence.VENDOR, by="Qualcomm's compiler", runtime=qnn.versions()
            ),
        )

    def count(self, model: Model) -> Instructions | None:
        """Count the instructions of one inference on the phone's emulated CPU.

        Only for the CPU delegate, where the QEMU stack is installed and the model is small.
        """
        if self._target.stack != "cpu" or not numerics.can_count(model.graph, self._target):
            return None
        return Instructions(
            count=arm64.instructions(model, self._target),
            provenance=self._provenance(
                model, Evidence.HOST, by="Arm kernels under QEMU", runtime=arm64.versions()
            ),
        )

    def __enter__(self) -> Self:
        """Return the device, to be closed at the end of a `with`."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Release nothing: worker processes are shared by all devices and end with this one."""

    def _missing_npu(self) -> str | None:
        """Return what an NPU's answers lack here, or None; None too for what is no NPU."""
        if self._target.stack in ("cpu", "nnapi", "gpu"):
            return None
        if self._target.stack == "npu":
            return f"no software of this chip's NPU ({self.profile.soc}) runs on a host; {_ATTACH}"
        return qnn.missing()

    def _provenance(
        self,
        model: Model,
        evidence: Evidence,
        *,
        by: str,
        runtime: Mapping[str, str] = MappingProxyType({}),
        note: str = "",
    ) -> Provenance:
        return Provenance(
            evidence=evidence,
            device=f"{self.fingerprint} by {by}",
            variant_sha256=model.sha256,
            file_sha256=model.file_sha256,
            runtime=runtime,
            time_utc=now_utc(),
            note=note,
        )


def _unknown(model: Model, fingerprint: str, why: str) -> Placement:
    """Return a placement that proves nothing, so that its gate rules INCONCLUSIVE."""
    return Placement(
        nodes=tuple(
            NodePlacement(index=op.index, op=op.name, unit=UNKNOWN, reason=why)
            for op in model.graph.ops
        ),
        partitions=0,
        provenance=Provenance(
            evidence=Evidence.RULES,
            device=fingerprint,
            variant_sha256=model.sha256,
            file_sha256=model.file_sha256,
            time_utc=now_utc(),
            note=why,
        ),
    )
