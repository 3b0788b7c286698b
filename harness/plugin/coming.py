"""Take in the facts of a plan as they come, while tests whose facts are here are run."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from harness.cases import FrameCase
from harness.plugin import comparing, progress
from harness.plugin.collection import Session, case_of, requests
from harness.requests import Fact, Request


class ComingFacts:
    """The facts that the tests of a plan ask for."""

    def __init__(
        self, session: Session, items: Sequence[pytest.Item], written: Callable[[], None]
    ) -> None:
        """Ask each test what it will ask for; nothing is asked of a device yet.

        Args:
            session: Of the run.
            items: The planned tests.
            written: Writes down what was taken.
        """
        self._facts = session.facts
        self._written = written
        self._asks = {item.nodeid: requests(item) for item in items}
        cases = [(case_of(item), self._asks[item.nodeid]) for item in items]
        frames = [(case, asks) for case, asks in cases if isinstance(case, FrameCase)]
        self._comparisons = comparing.Comparisons(frames, session.goldens)

    @property
    def requests(self) -> list[Request]:
        """Return all that the tests ask for, in their order; what several ask for stands twice."""
        return [request for asks in self._asks.values() for request in asks]

    def expect(self, config: pytest.Config) -> None:
        """Begin; on a terminal wait for all of them, behind a bar.

        Elsewhere each test waits for its own: a bar would stand in the line of the tests' letters.
        """
        wanted = self.requests
        count = len({request.key for request in wanted if request.key not in self._facts})
        self._facts.expect(wanted)
        if progress.is_drawn(config, count):
            self._take_in(progress.shown(config, self._facts.wait_for(wanted), count))

    def wait_for(self, item: pytest.Item) -> None:
        """Wait for what a test asks for; what no plan knows of is asked by the test itself."""
        self._take_in(self._facts.wait_for(self._asks.get(item.nodeid, ())))

    def _take_in(self, facts: Iterator[Fact]) -> None:
        for fact in facts:
            self._written()
            self._comparisons.make(fact)
