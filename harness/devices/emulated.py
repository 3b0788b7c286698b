"""Answer for a phone that is not here, with the strongest software of its own that is.

Each fact says what it rests on: the vendor's compiler or simulator, the phone's kernels on
another CPU, published op rules, or a fitted estimate.
"""

import functools
from dataclasses import replace

import numpy as np

from harness import cache, graph, resizing
from harness.devices import numerics
from harness.errors import StackMissing
from harness.estimate import estimate
from harness.evidence import Evidence, Provenance, now_utc, sha256_of
from harness.graph import Graph
from harness.images import Output, Pixels, Size
from harness.latency import Estimate, Instructions
from harness.placement import UNKNOWN, NodePlacement, Placement
from harness.profiles import Profile, Target
from harness.stacks import arm64, gpu_rules, mldrift, nnapi, qnn, xnnpack
from harness.subjects import Variant


class Emulated:
    """Stand in for one phone through one delegate; implements Device."""

    def __init__(self, target: Target) -> None:
        """Stand in for a phone that a profile describes."""
        self._target = target

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

    def run(self, variant: Variant, frame: Pixels) -> Output:
        """Run a variant on one frame with the strongest arithmetic available here."""
        model, parsed = self._sized(variant, Size.of(frame))
        chosen = numerics.choose(self._target, variant.precision, parsed)
        key = cache.key_of(
            numerics.__name__, chosen.name, chosen.versions, sha256_of(model), frame.shape,
            sha256_of(frame.tobytes()), self._target, variant.precision,
        )  # fmt: skip
        pixels = cache.remember(
            "outputs", key, lambda: chosen.run(model, parsed, frame), kind=np.ndarray
        )
        return Output(
            pixels=pixels,
            provenance=Provenance(
                evidence=chosen.evidence,
                device=f"{self.fingerprint} by {chosen.name}",
                variant_sha256=sha256_of(model),
                runtime=chosen.versions,
                time_utc=now_utc(),
                note=chosen.note,
            ),
        )

    def time(self, variant: Variant, size: Size, *, limit_ms: float | None = None) -> Estimate:
        """Estimate the latency of one inference; no host time is ever reported as a phone's."""
        del limit_ms  # an estimate costs the same whatever it is judged by
        if self.delegate == "qnn" and (missing := qnn.missing()) is not None:
            raise StackMissing(missing)
        model, parsed = self._sized(variant, size)
        found = estimate(parsed, self.place(variant, size), self._target)
        made = replace(found.provenance, variant_sha256=sha256_of(model))
        return replace(found, provenance=made)

    def place(self, variant: Variant, size: Size, *, with_memory: bool = False) -> Placement:
        """Say which op runs where, by the strongest software available here."""
        return self._place(variant, size, with_memory and self.delegate == "qnn")

    def count(self, variant: Variant, size: Size) -> Instructions | None:
        """Count the instructions of one inference on the phone's emulated CPU.

        Only for the CPU delegate, where the QEMU stack is installed and the model is small.
        """
        model, parsed = self._sized(variant, size)
        if self.delegate != "cpu" or not numerics.can_count(parsed, self._target):
            return None
        return Instructions(
            count=arm64.instructions(model, self._target),
            provenance=Provenance(
                evidence=Evidence.HOST,
                device=f"{self.fingerprint} by Arm kernels under QEMU",
                variant_sha256=sha256_of(model),
                runtime=arm64.versions(),
                time_utc=now_utc(),
            ),
        )

    def close(self) -> None:
        """Release nothing: worker processes are shared by all devices and end with this one."""

    @functools.lru_cache(maxsize=256)  # noqa: B019 - one device lives as long as the run
    def _place(self, variant: Variant, size: Size, with_memory: bool) -> Placement:
        model, parsed = self._sized(variant, size)
        if self.delegate == "cpu":
            return xnnpack.place(model, parsed)
        if self.delegate == "nnapi":
            return nnapi.place(model, parsed, self._target)
        if self.delegate == "gpu":
            if mldrift.missing() is None:
                return mldrift.place(model, parsed, self._target)
            return gpu_rules.place(model, parsed, self._target)
        if (missing := qnn.missing()) is not None:
            return _unknown(model, parsed, self.fingerprint, missing)
        return qnn.place(model, parsed, self._target, with_memory=with_memory)

    @functools.lru_cache(maxsize=16)  # noqa: B019 - one device lives as long as the run
    def _sized(self, variant: Variant, size: Size) -> tuple[bytes, Graph]:
        data = variant.read()
        model = cache.remember(
            "resized",
            cache.key_of(resizing.__name__, sha256_of(data), size),
            lambda: resizing.resize(data, width_px=size.width_px, height_px=size.height_px),
            kind=bytes,
        )
        return model, graph.parse(model, name=str(variant.path))


def _unknown(model: bytes, parsed: Graph, fingerprint: str, why: str) -> Placement:
    """Return a placement that proves nothing, so that its gate rules INCONCLUSIVE."""
    return Placement(
        nodes=tuple(
            NodePlacement(index=op.index, op=op.name, unit=UNKNOWN, reason=why) for op in parsed.ops
        ),
        partitions=0,
        provenance=Provenance(
            evidence=Evidence.RULES,
            device=fingerprint,
            variant_sha256=sha256_of(model),
            time_utc=now_utc(),
            note=why,
        ),
    )
