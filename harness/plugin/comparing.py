"""Compare images as they come, while phones and cores are busy with the next ones.

What a test compares later it finds worked out; what cannot be compared is said by the test.
"""

import contextlib
from collections.abc import Iterable

from harness import fidelity
from harness.cases import FrameCase
from harness.errors import HarnessError
from harness.images import Output
from harness.judging import Goldens
from harness.requests import Fact, Request
from harness.roles import Role


class Comparisons:
    """The comparisons of a plan's images with what they should be."""

    def __init__(self, wanted: Iterable[tuple[FrameCase, Request]], goldens: Goldens) -> None:
        """Take the frames of a plan.

        Args:
            wanted: Each case about a frame with a request that it asks.
            goldens: Those of the run.
        """
        self._goldens = goldens
        self._cases = {request.key: case for case, request in wanted if case.subject.tiles is None}

    def make(self, fact: Fact) -> None:
        """Compare the images of a fact; other facts have none."""
        case = self._cases.get(fact.request.key)
        if case is None or not isinstance(fact.answer, Output):
            return
        with contextlib.suppress(HarnessError):
            for values, expected in self._goldens.of(case).paired(fact.answer.values):
                if expected.spec.role is Role.IMAGE:
                    for reference in (expected.fp32, expected.target):
                        if reference is not None:
                            own = expected.output_range
                            fidelity.compare(values, reference, output_range=own)
