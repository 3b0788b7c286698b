"""The facts of one run: each is taken once."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.profiles import Target
from harness.requests import Answer, Fact, Request


class Lab(Protocol):
    """What answers requests, wherever the devices are."""

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield a fact for each request, in any order."""

    def fingerprint(self, target: Target) -> str:
        """Return what identifies the device that answers for a target, and its software."""

    def close(self) -> list[str]:
        """Release every device, and return what went wrong with any of them."""


class Facts:
    """The facts of one run, asked of a lab when they are first wanted."""

    def __init__(self, lab: Lab) -> None:
        """Start without any fact."""
        self._lab = lab
        self._known: dict[str, Fact] = {}

    def take(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Ask for what is not known yet, and yield each fact as it comes.

        Of several requests for one fact the one with a limit is asked, which measures longer.
        """
        wanted: dict[str, Request] = {}
        for request in requests:
            before = wanted.get(request.key)
            if request.key not in self._known and (before is None or before.limit_ms is None):
                wanted[request.key] = request
        for fact in self._lab.answer(list(wanted.values())):
            self._known[fact.request.key] = fact
            yield fact

    def fingerprint(self, target: Target) -> str:
        """Return what identifies the device that answers for a target, and its software."""
        return self._lab.fingerprint(target)

    def known(self) -> tuple[Fact, ...]:
        """Return the facts taken so far, in the order they came."""
        return tuple(self._known.values())

    def ask(self, request: Request) -> Answer | None:
        """Return the answer to one request.

        Raises:
            HarnessError: what kept the lab from answering; each who asks is told.
        """
        if request.key not in self._known:
            for _ in self.take([request]):
                pass
        return self._known[request.key].value()
