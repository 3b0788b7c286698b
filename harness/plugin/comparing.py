"""Compare images as they come, while phones and cores are busy with the next ones.

What a test compares later it finds worked out; what cannot be compared is said by the test.
"""

import contextlib
from collections.abc import Iterable, Sequence

from harness import fidelity
from harness.cases import FrameCase
from harness.errors import HarnessError
from harness.images import Output
from harness.judging import Goldens
from harness.requests import Fact, Request
from harness.roles import Role


class Comparisons:
    """The comparisons of a plan's images with what they should be."""

    def __init__(
        self, wanted: Iterable[tuple[FrameCase, Sequence[Request]]], goldens: Goldens
    ) -> None:
        """Take the frames of a plan.

        Args:
            wanted: Each case about a frame with what it asks for.
            goldens: Those of the run.
        """
        self._goldens = goldens
        self._cases = {
            request.key: case
            for case, requests in wanted
            for request in requests
            if case.subject.tiles is None
        }

    def make(self, fact: Fact) -> None:
        """Compare the images of a fact; other facts have none."""
        case = self._cases.get(fact.request.key)
        if case is None or not isinstance(fact.answer, Output):
            return
        with contextlib.suppress(HarnessError):
            for values, expected in self._goldens.of(case).paired(fact.answer.values):
                if expected.spec.role is Role.IMAGE:
                    own = expected.output_range
                    fidelity.compare(values, expected.fp32, output_range=own)
                    if expected.target is not None:
                        fidelity.compare(values, expected.target, output_range=own)
                        fidelity.compare(expected.fp32, expected.target, output_range=own)
