"""Quantize a float model by a recipe, calibrated on frames, and say how far it then is from it."""

import functools
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import cache, extras, fidelity
from harness.errors import ModelError, StackMissing
from harness.fidelity import Fidelity
from harness.images import UNIT_RANGE, Pixels, Size
from harness.model import Model
from harness.stacks import xnnpack
from harness.subjects import Precision, precision_of
from harness.worker import Worker

PRECISIONS: Mapping[str, Precision] = {
    "int8": Precision.INT8_PTQ,
    "int8-dynamic": Precision.INT8_DYNAMIC,
    "int16": Precision.INT16_PTQ,
    "fp16": Precision.FP16,
}
"""What the file of each recipe is."""
_CALIBRATED = ("int8", "int16")
_LIMIT_S = 1800.0
_MEMORY_MIB = 16384


def missing() -> str | None:
    """Return the command that installs the quantizer, or None if it is here."""
    if importlib.util.find_spec("ai_edge_quantizer") is not None:
        return None
    return f"ai-edge-quantizer is not installed; {extras.install_command('quantize')}"


@dataclass(frozen=True, kw_only=True)
class Quantizing:
    """A float model with the frames that it is calibrated and checked on.

    Attributes:
        model: The float model, at its own size.
        frames: Of one size, which the model takes; float32 [1, H, W, C] in [0, 1].
        output_range: The model's values for black and white.
    """

    model: Model
    frames: Sequence[Pixels]
    output_range: tuple[float, float] = UNIT_RANGE

    def __post_init__(self) -> None:
        """Refuse what cannot be quantized.

        Raises:
            StackMissing: the quantizer is not installed.
            ModelError: the model is not float, or there are no frames of one size.
        """
        if (lack := missing()) is not None:
            raise StackMissing(lack)
        found = precision_of(self.model.graph)
        if found is not Precision.FP32:
            raise ModelError(f"{self.model.name}: is {found.value}; quantize its FP32 export")
        if len({frame.shape for frame in self.frames}) != 1:
            raise ModelError(f"{self.model.name}: needs frames of one size to be calibrated on")
        graph, sized = self.model.graph, self.sized.graph
        names = [tensor.name for tensor in graph.tensors]
        if names != [tensor.name for tensor in sized.tensors][: len(names)]:
            raise ModelError(
                f"{self.model.name}: has other tensors at {self.sized.size}; give frames of its "
                f"own size, {self.model.size}"
            )

    @property
    def sized(self) -> Model:
        """Return the float model at the frames' size."""
        return self.model.at(Size.of(self.frames[0]))

    @functools.cached_property
    def outputs(self) -> tuple[Pixels, ...]:
        """Return what the float model makes of the frames."""
        return tuple(xnnpack.run(self.sized, frame) for frame in self.frames)

    @functools.cached_property
    def _ranges(self) -> dict[str, object]:
        found: dict[str, object] = _worker().call(
            "calibrate", self.sized.data, list(self.frames), timeout_s=_LIMIT_S
        )
        return found

    def quantized(self, recipe: str, *, kept: Sequence[int] = ()) -> Model:
        """Return the model quantized, at its own size.

        Args:
            recipe: One of `PRECISIONS`.
            kept: Ops to leave in float, by their index in the float model.

        Raises:
            ModelError: the quantizer does not take the model, or what it wrote is something else.
            DeviceError: it crashed, or ran past its limit.
        """
        ranges = self._ranges if recipe in _CALIBRATED else {}
        data = _worker().call(
            "quantize", self.model.data, recipe, list(kept), ranges, timeout_s=_LIMIT_S
        )
        made = Model(name=f"{self.model.name} as {recipe}", data=data)
        ops = [op for op in made.graph.ops if op.name not in ("DEQUANTIZE", "QUANTIZE")]
        dtypes = {made.graph.runtime_dtype(op) for op in ops}
        found = precision_of(made.graph)
        nothing = recipe in _CALIBRATED and dtypes <= {"float32", None}
        if not kept and (nothing or found is not PRECISIONS[recipe]):
            raise ModelError(
                f"{self.model.name}: the quantizer has no rule by {recipe} for any of its ops: "
                f"{', '.join(sorted({op.name for op in ops}))}"
            )
        return made

    def distances(self, made: Model) -> tuple[Fidelity, ...]:
        """Return how far a quantized model is from the float one, frame by frame.

        Raises:
            ModelError: it cannot be resized to the frames' size, or LiteRT refuses it.
            DeviceError: LiteRT crashed or hung.
        """
        sized = made.at(self.sized.size)
        return tuple(
            fidelity.compare(xnnpack.run(sized, frame), output, output_range=self.output_range)
            for frame, output in zip(self.frames, self.outputs, strict=True)
        )


@functools.cache
def _worker() -> Worker:
    """Return this process's quantizer, which starts with its first call."""
    return Worker(
        "harness.quantizing.worker",
        stage="ai-edge-quantizer",
        log=cache.root() / "logs" / "quantizer.log",
        memory_mib=_MEMORY_MIB,
    )
