"""The facts of one run: each is taken once."""

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from harness.images import Output
from harness.lab.lab import Lab
from harness.profiles import Target
from harness.requests import Answer, Fact, Request

_OUTPUTS_MAX = 64
"""Images that are kept in memory; an emulated one that went is read from the cache again."""


class Facts:
    """The facts of one run, asked of a lab when they are first wanted."""

    def __init__(self, lab: Lab, tell: Callable[[Fact], Fact] = lambda fact: fact) -> None:
        """Start without any fact.

        Args:
            lab: What answers.
            tell: Is told of each fact as it comes, and returns it as it is to be kept.
        """
        self._lab = lab
        self._tell = tell
        self._expected: set[str] = set()
        self._coming: Generator[Fact] = self.take(())
        self._known: dict[str, Fact] = {}
        self._outputs: OrderedDict[str, Fact] = OrderedDict()

    def take(self, requests: Sequence[Request]) -> Generator[Fact]:
        """Ask for what is not known yet, and yield each fact as it comes.

        Several requests for one fact are one, with the limits of all of them: a photograph of each
        size has its own for the tile that they share.
        """
        wanted: dict[str, Request] = {}
        for request in requests:
            if request.key in self:
                continue
            known = wanted.setdefault(request.key, request)
            limits_ms = tuple(sorted({*known.limits_ms, *request.limits_ms}))
            if limits_ms != known.limits_ms:
                wanted[request.key] = replace(known, limits_ms=limits_ms)
        for fact in self._lab.answer(list(wanted.values())):
            kept = self._tell(_named(fact, self._lab.name))
            self.keep(kept)
            yield kept

    def expect(self, requests: Sequence[Request]) -> None:
        """Have facts taken while those that came are judged; nothing is asked before one is wanted.

        Who wants one that is still to come waits for it, and takes in what comes before it.
        """
        self._expected = {request.key for request in requests if request.key not in self}
        self._coming = self.take(requests)

    def wait_for(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield what comes of the expected facts, until those of some requests are here.

        Nothing is asked that was not expected.
        """
        missing = self._expected.intersection(request.key for request in requests)
        while missing and (fact := next(self._coming, None)) is not None:
            missing.discard(fact.request.key)
            self._expected.discard(fact.request.key)
            yield fact

    def close(self) -> None:
        """Ask for nothing more of what is expected."""
        self._expected.clear()
        self._coming.close()

    def keep(self, fact: Fact) -> None:
        """Take in a fact that is known already, such as one of a run that goes on."""
        if isinstance(fact.answer, Output):
            for values in fact.answer.values.values():
                values.flags.writeable = False  # all who ask share them
        if isinstance(fact.answer, Output) and fact.answer.provenance.evidence.repeats:
            self._outputs[fact.request.key] = fact
            while len(self._outputs) > _OUTPUTS_MAX:
                self._outputs.popitem(last=False)
        else:
            self._known[fact.request.key] = fact

    def __contains__(self, key: object) -> bool:
        """Return whether the fact of a request's key is known."""
        return key in self._known or key in self._outputs

    def known(self) -> tuple[Fact, ...]:
        """Return the facts taken so far, but for images that can be had again."""
        return tuple(self._known.values())

    def fingerprint(self, target: Target) -> str:
        """Return what identifies the device that answers for a target, and its software."""
        return self._lab.fingerprint(target)

    def ask(self, request: Request) -> Answer | None:
        """Return the answer to one request.

        Raises:
            HarnessError: what kept the lab from answering; each who asks is told.
        """
        deque(self.wait_for([request]), maxlen=0)
        known = self._known.get(request.key) or self._outputs.get(request.key)
        if known is not None:
            return known.value()
        (fact,) = self.take([request])
        return fact.value()


def _named(fact: Fact, lab: str) -> Fact:
    """Return a fact with the lab that gave it in its provenance."""
    if fact.answer is None or not lab:
        return fact
    made = replace(fact.answer.provenance, lab=lab)
    return replace(fact, answer=replace(fact.answer, provenance=made))
