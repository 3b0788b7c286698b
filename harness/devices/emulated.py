"""Answer for a phone that is not here, with the strongest software of its own that is.

Each fact says what it rests on: the vendor's compiler or simulator, the phone's kernels on
another CPU, published op rules, or a fitted estimate.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from harness import cache, graph, resizing
from harness.estimate import estimate
from harness.evidence import Evidence, Provenance, now_utc, sha256_of
from harness.graph import Graph
from harness.images import Output, Pixels, Size
from harness.latency import Estimate
from harness.placement import Placement
from harness.profiles import Profile, Target
from harness.stacks import nnapi, xnnpack
from harness.subjects import Precision, Variant

_X86_FP16 = "x86 emulates fp16 with fp32 accumulation: about 10 dB closer to fp32 than a phone"


@dataclass(frozen=True, kw_only=True)
class _Numerics:
    """Name what stands in for the phone's arithmetic, and run it."""

    name: str
    evidence: Evidence
    note: str
    versions: dict[str, str]
    run: Callable[[bytes, Graph, Pixels], Pixels]


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
        """Run a variant on one frame with the strongest numerics available here."""
        model, parsed = self._sized(variant, Size.of(frame))
        numerics = self._numerics(variant)
        key = cache.key_of(
            numerics.name, numerics.versions, sha256_of(model), sha256_of(frame.tobytes()),
            str(self._target),
        )  # fmt: skip
        pixels = cache.remember("outputs", key, lambda: numerics.run(model, parsed, frame))
        return Output(
            pixels=pixels,
            provenance=Provenance(
                evidence=numerics.evidence,
                device=f"{self.fingerprint} by {numerics.name}",
                variant_sha256=sha256_of(model),
                runtime=numerics.versions,
                time_utc=now_utc(),
                note=numerics.note,
            ),
        )

    def time(self, variant: Variant, size: Size) -> Estimate:
        """Estimate the latency of one inference; no host time is ever reported as a phone's."""
        _, parsed = self._sized(variant, size)
        return estimate(parsed, self.place(variant, size), self._target)

    def place(self, variant: Variant, size: Size) -> Placement:
        """Say which op runs where, by the strongest software available here."""
        model, parsed = self._sized(variant, size)
        if self.delegate == "cpu":
            return xnnpack.place(model, parsed)
        return nnapi.place(model, parsed, self._target)

    def close(self) -> None:
        """Stop the worker processes."""
        xnnpack.worker().close()

    def _numerics(self, variant: Variant) -> _Numerics:
        fp16 = variant.precision is Precision.FP16
        return _Numerics(
            name="XNNPACK in fp16" if fp16 else "XNNPACK",
            evidence=Evidence.HOST,
            note=_X86_FP16 if fp16 else "",
            versions=xnnpack.versions(),
            run=functools.partial(xnnpack.run, fp16=fp16),
        )

    @functools.lru_cache(maxsize=8)  # noqa: B019 - one device lives as long as the run
    def _sized(self, variant: Variant, size: Size) -> tuple[bytes, Graph]:
        data = variant.read()
        model = resizing.resize(data, width_px=size.width_px, height_px=size.height_px)
        return model, graph.parse(model, name=str(variant.path))
