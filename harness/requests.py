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
from harness.keys import Key
from harness.latency import Estimate, EstimatePair, Instructions, Latency, Pairs
from harness.memory import Memory
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target

Answer = Latency | Estimate | Pairs | EstimatePair | Placement | Output | Memory | Instructions
"""What a device says; which of them, the verb decides."""


class Verb(enum.Enum):
    """What can be asked of a device."""

    RUN = "run"
    TIME = "time"
    COMPARE = "compare"
    PLACE = "place"
    MEMORY = "memory"
    COUNT = "count"


_VERB_S = {
    Verb.TIME: 60.0,
    Verb.COMPARE: 240.0,
    Verb.RUN: 10.0,
    Verb.PLACE: 10.0,
    Verb.MEMORY: 10.0,
    Verb.COUNT: 1.0,
}
"""What a request takes on a phone beside its inferences: pushing, preparing, the tool's start."""
_INFERENCES = {
    Verb.TIME: 250,
    Verb.COMPARE: 1600,
    Verb.RUN: 2,
    Verb.PLACE: 4,
    Verb.MEMORY: 4,
    Verb.COUNT: 1,
}
_MACS_PER_S = 5e10
"""A mid-range phone, to order and to share out requests; what is reported never rests on it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One question to one device; two with the same key want the same fact.

    Attributes:
        target: Phone and delegate.
        verb: What is asked.
        model: The exported file.
        size: Resolution to run it at.
        inputs: What it is given; for RUN only.
        before: The earlier file that it is compared with; for COMPARE only.
        limits_ms: The budgets that a phone's timing is repeated for. They decide how long is
            measured, not what is, and so are no part of the key.
        subject: Name of the subject that it is about, or ''; no part of the key either.
        variant: Name of the variant likewise.
        revision: What the variant is of; '' for today's subjects.
    """

    target: Target
    verb: Verb
    model: Model
    size: Size
    inputs: Inputs | None = field(default=None, repr=False)
    before: Model | None = None
    limits_ms: tuple[float, ...] = ()
    subject: str = ""
    variant: str = ""
    revision: str = ""

    @classmethod
    def of(
        cls,
        case: Case,
        verb: Verb,
        size: Size,
        *,
        inputs: Inputs | Pixels | None = None,
        before: Model | None = None,
        limits_ms: tuple[float, ...] = (),
    ) -> Self:
        """Return what to ask about a case.

        Args:
            case: The variant and the device.
            verb: What is asked.
            size: At which resolution.
            inputs: What the model is given, or the pixels of its only input; for RUN only.
            before: The earlier file; for COMPARE only.
            limits_ms: The budgets that a phone's timing is repeated for.

        Raises:
            BlessedDataError: the variant's file is missing or is not the blessed one.
        """
        return cls(
            target=case.target,
            verb=verb,
            model=case.variant.model(),
            size=size,
            inputs=None if inputs is None else Inputs.of(inputs),
            before=before,
            limits_ms=limits_ms,
            subject=case.subject.name,
            variant=case.variant.name,
            revision=case.revision,
        )

    def __post_init__(self) -> None:
        """Refuse inputs or an earlier file that are missing, or that nothing is made of.

        Raises:
            ConfigError: RUN without inputs, COMPARE without an earlier file, or another verb with
                either.
        """
        given = {"inputs": self.inputs is not None, "earlier file": self.before is not None}
        wanted = {"inputs": self.verb is Verb.RUN, "earlier file": self.verb is Verb.COMPARE}
        for what, there in given.items():
            if there is not wanted[what]:
                raise ConfigError(f"{self.verb.value} {'takes no' if there else 'needs'} {what}")

    @functools.cached_property
    def key(self) -> str:
        """Return a hash of profile, delegate, verb, file, size, and the inputs or earlier file."""
        given = self.inputs.sha256 if self.inputs is not None else ""
        given = self.before.sha256 if self.before is not None else given
        parts = (self.target.sha256, self.verb.value, self.model.sha256, str(self.size), given)
        return sha256_of("\n".join(parts).encode())

    @property
    def about(self) -> Key:
        """Return the names of what it asks about."""
        return Key(
            device=self.target.profile.name,
            delegate=self.target.delegate,
            subject=self.subject,
            variant=self.variant,
            resolution=str(self.size),
            revision=self.revision,
        )

    @functools.cached_property
    def cost_s(self) -> float:
        """Return about how many seconds it takes; the same on every host."""
        try:
            graph, size = self.model.graph, self.model.size
            macs = sum(op.macs for op in graph.ops) * self.size.megapixels / size.megapixels
        except HarnessError:
            macs = 0.0  # it is said by who is asked
        return _VERB_S[self.verb] + _INFERENCES[self.verb] * macs / _MACS_PER_S

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
