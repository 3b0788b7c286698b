"""The device of a case as a test sees it."""

from harness.images import Output, Pixels, Size
from harness.inputs import Inputs
from harness.lab.facts import Facts
from harness.latency import Estimate, EstimatePair, Instructions, Latency, Pairs
from harness.memory import Memory
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Profile, Target
from harness.requests import Answer, Request, Verb
from harness.subjects import Variant


class DeviceUnderTest:
    """One phone through one delegate, each of whose facts is taken once in a run.

    Every verb may raise DeviceError (the device, driver or stack failed), ModelError (the
    variant cannot be read, resized or run), MeasurementError (measured, but void) or
    BlessedDataError (the file is not the blessed one).
    """

    def __init__(self, target: Target, facts: Facts, *, subject: str = "") -> None:
        """Answer for a target from the facts of a run.

        Args:
            target: Phone and delegate.
            facts: Those of the run.
            subject: Name of the subject that is tested, for the records.
        """
        self._target = target
        self._facts = facts
        self._subject = subject

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
        """Return what identifies the device and its software."""
        return self._facts.fingerprint(self._target)

    def run(self, model: Variant | Model, frame: Pixels) -> Output:
        """Run a model on one frame, float32 [1, H, W, 3] in [0, 1], resized to fit it."""
        return self.feed(model, Inputs.of(frame), Size.of(frame))

    def feed(self, model: Variant | Model, inputs: Inputs, size: Size) -> Output:
        """Run a model on the real values of all its inputs, resized to a resolution."""
        answer = self._ask(Verb.RUN, model, size, inputs=inputs)
        assert isinstance(answer, Output)
        return answer

    def time(
        self, model: Variant | Model, size: Size, *, limit_ms: float | None = None
    ) -> Latency | Estimate:
        """Measure or estimate the latency of one inference at a resolution.

        With `limit_ms` a phone repeats its runs until the limit is decided, or enough is spent.
        """
        limits_ms = () if limit_ms is None else (limit_ms,)
        answer = self._ask(Verb.TIME, model, size, limits_ms=limits_ms)
        assert isinstance(answer, Latency | Estimate)
        return answer

    def compare(
        self, model: Variant | Model, before: Variant | Model, size: Size
    ) -> Pairs | EstimatePair:
        """Measure a model and an earlier one in A B B A order, or estimate both."""
        earlier = before.model() if isinstance(before, Variant) else before
        answer = self._ask(Verb.COMPARE, model, size, before=earlier)
        assert isinstance(answer, Pairs | EstimatePair)
        return answer

    def place(self, model: Variant | Model, size: Size) -> Placement:
        """Say which op runs where at a resolution."""
        answer = self._ask(Verb.PLACE, model, size)
        assert isinstance(answer, Placement)
        return answer

    def memory(self, model: Variant | Model, size: Size) -> Memory:
        """Say what memory an inference needs at a resolution."""
        answer = self._ask(Verb.MEMORY, model, size)
        assert isinstance(answer, Memory)
        return answer

    def count(self, model: Variant | Model, size: Size) -> Instructions | None:
        """Count the instructions of one inference, or return None where that cannot be done."""
        answer = self._ask(Verb.COUNT, model, size)
        assert isinstance(answer, Instructions | None)
        return answer

    def _ask(
        self,
        verb: Verb,
        model: Variant | Model,
        size: Size,
        *,
        inputs: Inputs | None = None,
        before: Model | None = None,
        limits_ms: tuple[float, ...] = (),
    ) -> Answer | None:
        file = model.model() if isinstance(model, Variant) else model
        return self._facts.ask(
            Request(
                target=self._target,
                verb=verb,
                model=file,
                size=size,
                inputs=inputs,
                before=before,
                limits_ms=limits_ms,
                subject=self._subject,
                variant=model.name if isinstance(model, Variant) else "",
            )
        )
