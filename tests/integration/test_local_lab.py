"""The lab of this host: emulated requests on several cores, and those that the cache answers."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness.devices import numerics
from harness.devices.connect import Origin
from harness.devices.device import Device, ask
from harness.devices.numerics import Numerics
from harness.errors import ModelError
from harness.graph import Graph
from harness.images import Output, Size
from harness.inputs import Inputs
from harness.lab import local
from harness.lab.local import LocalLab
from harness.profiles import Target, load_all, select, shipped_folder
from harness.requests import Answer, Fact, Request, Verb
from harness.stacks import xnnpack
from tests import models, phones

SIZES = (Size(width_px=32, height_px=32), Size(width_px=48, height_px=32))


def _target() -> Target:
    (target,) = select(load_all([shipped_folder()]), ["pixel4"])
    return target


def _requests() -> list[Request]:
    model = models.model(models.unet(size_px=32))
    frames = [phones.frame(size) for size in SIZES]
    runs = [
        Request(target=_target(), verb=Verb.RUN, model=model, size=size, inputs=Inputs.of(frame))
        for size, frame in zip(SIZES, frames, strict=True)
    ]
    others = [
        Request(target=_target(), verb=verb, model=model, size=size)
        for verb in (Verb.PLACE, Verb.TIME, Verb.MEMORY)
        for size in SIZES
    ]
    return [*runs, *others]


def _answers(jobs: int) -> dict[str, object]:
    lab = LocalLab(origin=Origin.EMULATED, jobs=jobs)
    try:
        return {fact.request.key: _comparable(fact) for fact in lab.answer(_requests())}
    finally:
        lab.close()


def _comparable(fact: Fact) -> object:
    """Return what a fact says, without the time at which it was taken."""
    answer = fact.value()
    if isinstance(answer, Output):
        return {name: values.tobytes() for name, values in answer.values.items()}
    assert answer is not None
    return replace(answer, provenance=replace(answer.provenance, time_utc=""))


def test_requests_on_several_cores_are_answered_as_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    for jobs in (1, 2, 3):
        monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / str(jobs)))
        answers.append(_answers(jobs))

    assert len(answers[0]) == len(_requests())
    assert answers[0] == answers[1] == answers[2]


def test_two_requests_are_under_way_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    both = threading.Barrier(2, timeout=60.0)

    def asked(device: Device, request: Request) -> Answer | None:
        if request.verb is Verb.RUN:
            both.wait()
        return ask(device, request)

    monkeypatch.setattr(local, "ask", asked)
    lab = LocalLab(origin=Origin.EMULATED, jobs=2)

    facts = list(lab.answer([_requests()[2], *_requests()[:2]]))  # the first starts the others

    assert [fact.error for fact in facts] == [None] * 3


def test_an_error_of_our_own_in_a_thread_is_raised_and_nobody_waits_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))

    def asked(device: Device, request: Request) -> Answer | None:
        if threading.current_thread() is threading.main_thread():
            return ask(device, request)
        raise KeyError("ours")

    monkeypatch.setattr(local, "ask", asked)
    lab = LocalLab(origin=Origin.EMULATED, jobs=2)

    with pytest.raises(KeyError, match="ours"):
        list(lab.answer(_requests()))


def test_as_long_as_the_cache_answers_no_process_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    first = _answers(1)
    xnnpack.worker().close()

    again = _answers(2)

    assert again == first
    assert not xnnpack.worker().pids


def _slow(monkeypatch: pytest.MonkeyPatch, slowest: Request) -> None:
    """Let what stands in for the phone take long, and longest for one request."""
    whole, longest = numerics.choose, slowest.sized.graph

    def choose(target: Target, graph: Graph, **how: int) -> Numerics:
        return replace(whole(target, graph, **how), seconds=9.0 if graph == longest else 1.0)

    monkeypatch.setattr(numerics, "choose", choose)


def test_the_longest_inferences_are_begun_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is begun last would keep one core busy while the others have nothing to do."""
    requests = _requests()
    slow = requests[1]
    _slow(monkeypatch, slow)

    chunks = local._chunks(requests)

    runs = [chunk for chunk in chunks if chunk[0].verb is Verb.RUN]
    assert runs == [[slow], [requests[0]]] == chunks[:2]
    assert len(chunks) > 2


def test_a_model_that_cannot_be_resized_waits_until_it_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(model: object, size: object) -> None:
        raise ModelError("a test refuses it")

    _slow(monkeypatch, _requests()[1])
    monkeypatch.setattr(type(_requests()[0].model), "at", refuse)

    assert len(local._chunks(_requests())) == 2 * len(SIZES)  # the run of each, and the rest
