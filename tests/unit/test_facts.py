"""Facts that are expected are asked one after the other, each once, whoever wants it first."""

from collections import deque
from collections.abc import Iterator, Sequence

import pytest

from harness.errors import DeviceError
from harness.images import Size
from harness.lab import Facts
from harness.model import Model
from harness.profiles import load_all, select, shipped_folder
from harness.requests import Fact, Request, Verb
from tests.models import conv_net


class Unreachable:
    """A lab whose phones are gone; it notes what it was asked, and whether it was stopped."""

    name = ""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stopped = False

    def open(self) -> None: ...

    def fingerprint(self, target: object) -> str:
        return str(target)

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        try:
            for request in requests:
                self.asked.append(request.key)
                yield Fact(request=request, error=DeviceError("gone"))
        finally:
            self.stopped = True

    def findings(self) -> list[str]:
        return []

    def close(self) -> list[str]:
        return []


@pytest.fixture
def requests() -> list[Request]:
    """Return three requests about one model."""
    (target,) = select(load_all([shipped_folder()]), ["pixel4:cpu"])
    model = Model(data=conv_net(), name="net")
    sizes = (Size.parse(text) for text in ("32x32", "64x64", "96x96"))
    return [Request(target=target, verb=Verb.PLACE, model=model, size=size) for size in sizes]


def test_nothing_is_asked_before_a_fact_is_wanted(requests: list[Request]) -> None:
    lab = Unreachable()

    Facts(lab).expect(requests)

    assert lab.asked == []


def test_who_waits_takes_in_what_comes_before_and_nothing_behind(requests: list[Request]) -> None:
    lab = Unreachable()
    facts = Facts(lab)
    facts.expect(requests)

    came = [fact.request for fact in facts.wait_for([requests[1]])]

    assert came == requests[:2]
    assert list(facts.wait_for([requests[0]])) == []
    assert [fact.request for fact in facts.wait_for(requests)] == requests[2:]


def test_an_expected_fact_that_a_test_asks_for_is_asked_once(requests: list[Request]) -> None:
    lab = Unreachable()
    facts = Facts(lab)
    facts.expect(requests)

    with pytest.raises(DeviceError, match="gone"):
        facts.ask(requests[2])

    assert lab.asked == [request.key for request in requests]
    assert list(facts.wait_for(requests)) == []


def test_what_was_not_expected_does_not_wait_for_what_is(requests: list[Request]) -> None:
    lab = Unreachable()
    facts = Facts(lab)
    facts.expect(requests[:2])

    with pytest.raises(DeviceError, match="gone"):
        facts.ask(requests[2])

    assert lab.asked == [requests[2].key]


def test_what_came_and_is_kept_no_more_does_not_wait_for_the_rest(
    requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Unreachable()
    facts = Facts(lab)
    facts.expect(requests)
    deque(facts.wait_for(requests[:1]), maxlen=0)
    monkeypatch.setattr(facts, "_known", {})  # as an image goes that many others came after

    with pytest.raises(DeviceError, match="gone"):
        facts.ask(requests[0])

    assert lab.asked == [requests[0].key] * 2


def test_a_run_that_ends_early_stops_the_lab(requests: list[Request]) -> None:
    lab = Unreachable()
    facts = Facts(lab)
    facts.expect(requests)
    next(facts.wait_for(requests))

    facts.close()

    assert lab.stopped
    assert list(facts.wait_for(requests)) == []
