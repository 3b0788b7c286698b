"""What is asked of a device, and what answers it; both are told apart by content."""

import enum
import functools
from dataclasses import dataclass, field
from typing import Self

from harness import text
from harness.cases import Case
from harness.errors import ConfigError, HarnessError
from harness.evidence import sha256_of
from harness.images import Output, Pixels, Size
from harness.inputs import Inputs
from harness.latency import Estimate, Instructions, Latency
from harness.memory import Memory
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target

Answer = Latency | Estimate | Placement | Output | Memory | Instructions
"""What a device says; which of them, the verb decides."""


class Verb(enum.Enum):
    """What can be asked of a device."""

    RUN = "run"
    TIME = "time"
    PLACE = "place"
    MEMORY = "memory"
    COUNT = "count"


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One question to one device; two with the same key want the same fact.

    Attributes:
        target: Phone and delegate.
        verb: What is asked.
        model: The exported file.
        size: Resolution to run it at.
        inputs: What it is given; for RUN only.
        limit_ms: The budget that a phone's timing is repeated for. It decides how long is
            measured, not what is, and so is no part of the key.
        subject: Name of the subject that it is about, or ''; no part of the key either.
        variant: Name of the variant likewise.
    """

    target: Target
    verb: Verb
    model: Model
    size: Size
    inputs: Inputs | None = field(default=None, repr=False)
    limit_ms: float | None = None
    subject: str = ""
    variant: str = ""

    @classmethod
    def of(
        cls,
        case: Case,
        verb: Verb,
        size: Size,
        *,
        inputs: Inputs | Pixels | None = None,
        limit_ms: float | None = None,
    ) -> Self:
        """Return what to ask about a case.

        Args:
            case: The variant and the device.
            verb: What is asked.
            size: At which resolution.
            inputs: What the model is given, or the pixels of its only input; for RUN only.
            limit_ms: The budget that a phone's timing is repeated for.

        Raises:
            BlessedDataError: the variant's file is missing or is not the blessed one.
        """
        return cls(
            target=case.target,
            verb=verb,
            model=case.variant.model(),
            size=size,
            inputs=None if inputs is None else Inputs.of(inputs),
            limit_ms=limit_ms,
            subject=case.subject.name,
            variant=case.variant.name,
        )

    def __post_init__(self) -> None:
        """Refuse inputs that are missing, or that nothing is made of.

        Raises:
            ConfigError: RUN without inputs, or another verb with some.
        """
        if (self.verb is Verb.RUN) is not (self.inputs is not None):
            raise ConfigError(
                f"{self.verb.value} {'needs' if self.inputs is None else 'takes no'} inputs"
            )

    @functools.cached_property
    def key(self) -> str:
        """Return a hash of the profile, the delegate, the verb, the file, the size, the inputs."""
        given = self.inputs.sha256 if self.inputs is not None else ""
        parts = (self.target.sha256, self.verb.value, self.model.sha256, str(self.size), given)
        return sha256_of("\n".join(parts).encode())

    @property
    def sized(self) -> Model:
        """Return the model at the size asked for.

        Raises:
            ModelError: it cannot be resized.
        """
        return self.model.at(self.size)

    def __eq__(self, other: object) -> bool:
        """Return whether another request wants the same fact."""
        return isinstance(other, Request) and self.key == other.key

    def __hash__(self) -> int:
        """Return a hash of the key."""
        return hash(self.key)

    def __repr__(self) -> str:
        """Return the line for a person, bounded."""
        return text.repr_of(self, str(self))

    def __str__(self) -> str:
        """Return a line for a person, `time int8_ptq.tflite 1280x720 on pixel4:nnapi`."""
        return f"{self.verb.value} {self.model.name} {self.size} on {self.target}"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What came of a request: an answer, nothing where that cannot be known, or an error.

    Attributes:
        request: What was asked.
        answer: What the device said; None with an error, or where COUNT has no way to count.
        error: Why there is no answer, or None.
    """

    request: Request
    answer: Answer | None = None
    error: HarnessError | None = None

    def __repr__(self) -> str:
        """Return what was asked and what came of it."""
        came = repr(self.answer) if self.error is None else str(self.error)
        return text.repr_of(self, f"{text.brief(str(self.request))}: {came}")

    def value(self) -> Answer | None:
        """Return the answer.

        Raises:
            HarnessError: there is none, for this reason.
        """
        if self.error is not None:
            raise self.error
        return self.answer
