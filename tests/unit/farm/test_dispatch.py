from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness import fact_lines, profiles
from harness.devices.connect import Origin
from harness.devices.device import ask
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, DeviceError, HarnessError, MeasurementError, ModelError
from harness.evidence import Evidence
from harness.farm import wire
from harness.farm.dispatch import NIGHTLY, PULL_REQUEST, Dispatcher, Policy, Sending
from harness.farm.fleet import Fleet, QuarantinedPhone, StationState
from harness.farm.wire import FarmReply, Message
from harness.images import Size
from harness.placement import Placement
from harness.requests import Fact, Request, Verb
from tests import models

MODEL = models.model(models.unet(size_px=32))
OTHER = models.model(models.unet(size_px=32, dtype="int8"), "other")


def _request(width_px: int = 32, model: object = MODEL) -> Request:
    (target,) = profiles.select(profiles.load_all([profiles.shipped_folder()]), ["pixel4:nnapi"])
    return Request(
        target=target,
        verb=Verb.PLACE,
        model=model,  # type: ignore[arg-type]
        size=Size(width_px=width_px, height_px=32),
    )


def _fleet(*serials: str, kind: str = "pixel4", version: str = wire.VERSION) -> Fleet:
    stations = [StationState(name=f"h/{one}", kind=kind, version=version) for one in serials]
    return Fleet(stations={one.name: one for one in stations}, hosts={"h": "tcp://h"})


def _dispatcher(
    requests: Sequence[Request], fleet: Fleet, origin: Origin = Origin.AUTO, **policy: object
) -> Dispatcher:
    return Dispatcher(
        requests,
        fleet,
        origin=origin,
        policy=Policy(**policy),  # type: ignore[arg-type]
        now_s=0.0,
    )


def _answer(sending: Sending, station: str = "h/a", fence: int = 1) -> Message:
    answer = ask(Emulated(sending.request.target), sending.request)
    assert isinstance(answer, Placement)
    made = replace(answer.provenance, evidence=Evidence.FAKE)
    fact = Fact(request=sending.request, answer=replace(answer, provenance=made))
    line = fact_lines.line(fact)
    return wire.message(FarmReply(nonce=sending.nonce, station=station, fence=fence, fact=line))


def _failure(
    sending: Sending, error: HarnessError, station: str = "h/a", failure: str = "phone"
) -> Message:
    line = fact_lines.line(Fact(request=sending.request, error=error))
    reply = FarmReply(nonce=sending.nonce, station=station, fact=line, failure=failure)
    return wire.message(reply)


def _only(dispatcher: Dispatcher) -> Fact:
    (fact,) = dispatcher.facts()
    return fact


def test_the_longest_goes_first_and_no_station_is_given_more_than_two() -> None:
    asked = [_request(width) for width in (32, 128, 64, 256, 96)]
    dispatcher = _dispatcher(asked, _fleet("a", "b"))

    out = dispatcher.sends(_fleet("a", "b"), now_s=0.0)

    assert [sending.request.size.width_px for sending in out] == [256, 128, 96, 64]
    assert dispatcher.sends(_fleet("a", "b"), now_s=1.0) == []


def test_an_answer_counts_once() -> None:
    fleet = _fleet("a")
    dispatcher = _dispatcher([_request()], fleet)
    (sending,) = dispatcher.sends(fleet, now_s=0.0)

    dispatcher.take(sending.nonce, _answer(sending))

    assert _only(dispatcher).error is None
    assert dispatcher.left == 0
    with pytest.raises(KeyError):
        dispatcher.take(sending.nonce, _answer(sending))


def test_what_one_phone_fails_goes_to_another_and_the_phone_is_the_finding() -> None:
    fleet = _fleet("a", "b")
    dispatcher = _dispatcher([_request()], fleet)
    (first,) = dispatcher.sends(fleet, now_s=0.0)
    dispatcher.take(first.nonce, _failure(first, DeviceError("the cable")))

    (second,) = dispatcher.sends(fleet, now_s=1.0)
    dispatcher.take(second.nonce, _answer(second, "h/b"))

    assert second.only == ("h/b",)
    assert _only(dispatcher).error is None
    (finding,) = dispatcher.findings()
    assert finding.startswith("h/a: failed 1 request")
    assert "1 of 2 stations" in finding


def test_what_every_phone_fails_is_said_of_the_model_with_all_their_names() -> None:
    fleet = _fleet("a", "b")
    dispatcher = _dispatcher([_request()], fleet)
    for station in ("h/a", "h/b"):
        (sending,) = dispatcher.sends(fleet, now_s=0.0)
        dispatcher.take(sending.nonce, _failure(sending, MeasurementError("hot"), station))

    assert dispatcher.sends(fleet, now_s=2.0) == []
    fact = _only(dispatcher)
    assert isinstance(fact.error, MeasurementError)
    assert "h/a, h/b" in str(fact.error)
    assert dispatcher.findings() == []


def test_what_a_phone_fails_waits_for_another_that_is_only_away() -> None:
    both, one = _fleet("a", "b"), _fleet("a")
    dispatcher = _dispatcher([_request()], both, patience_s=300.0)
    (first,) = dispatcher.sends(both, now_s=0.0)
    dispatcher.take(first.nonce, _failure(first, DeviceError("the cable")))

    while_away = dispatcher.sends(one, now_s=200.0)
    (second,) = dispatcher.sends(both, now_s=250.0)

    assert while_away == []
    assert second.only == ("h/b",)
    assert dispatcher.left == 1


def test_what_a_phone_fails_waits_for_no_other_for_longer_than_patience() -> None:
    both, one = _fleet("a", "b"), _fleet("a")
    alone = QuarantinedPhone(host="h", serial="b", kind="pixel4", why="hot")
    dispatcher = _dispatcher([_request()], both, patience_s=300.0)
    (first,) = dispatcher.sends(both, now_s=0.0)
    dispatcher.take(first.nonce, _failure(first, DeviceError("the cable")))

    assert dispatcher.sends(replace(one, quarantined=(alone,)), now_s=299.0) == []
    assert dispatcher.left == 1
    assert dispatcher.sends(replace(one, quarantined=(alone,)), now_s=301.0) == []
    assert "the cable" in str(_only(dispatcher).error)


def test_phones_that_are_found_unfit_before_a_run_do_not_count_against_a_request() -> None:
    fleet = _fleet("a", "b", "c", "d")
    dispatcher = _dispatcher([_request()], fleet)
    for turn, serial in enumerate("abc"):
        (sending,) = dispatcher.sends(fleet, now_s=10.0 * turn)
        hot = _failure(sending, DeviceError("hot"), f"h/{serial}", failure="unfit")
        dispatcher.take(sending.nonce, hot)

    (sending,) = dispatcher.sends(fleet, now_s=30.0)

    dispatcher.take(sending.nonce, _answer(sending, station="h/d"))
    assert _only(dispatcher).error is None


def test_a_question_that_nobody_takes_is_not_sent_out_without_end() -> None:
    fleet = _fleet("a")
    dispatcher = _dispatcher([_request()], fleet, returns=3)

    for now_s in (0.0, 10.0, 20.0):
        (sending,) = dispatcher.sends(fleet, now_s=now_s)
        dispatcher.again(sending.nonce, "its host takes no files")

    assert "3 times" in str(_only(dispatcher).error)
    assert dispatcher.left == 0


def test_no_more_phones_are_asked_than_was_agreed() -> None:
    names = ("a", "b", "c", "d", "e")
    fleet = _fleet(*names)
    dispatcher = _dispatcher([_request()], fleet, stations=3)

    for name in names[:3]:
        (sending,) = dispatcher.sends(fleet, now_s=0.0)
        dispatcher.take(sending.nonce, _failure(sending, DeviceError("x"), f"h/{name}"))

    assert isinstance(_only(dispatcher).error, DeviceError)
    assert dispatcher.left == 0


def test_an_error_that_any_phone_would_give_is_not_asked_for_twice() -> None:
    fleet = _fleet("a", "b")
    dispatcher = _dispatcher([_request()], fleet)
    (sending,) = dispatcher.sends(fleet, now_s=0.0)

    dispatcher.take(sending.nonce, _failure(sending, ModelError("no input"), failure=""))

    assert isinstance(_only(dispatcher).error, ModelError)


def test_a_model_that_ends_its_process_on_two_stations_is_asked_no_more() -> None:
    fleet = _fleet("a", "b", "c")
    requests = [_request(width) for width in (32, 64, 96, 128, 160, 192, 224, 256)]
    other = _request(32, OTHER)
    dispatcher = _dispatcher([*requests, other], fleet)
    out = dispatcher.sends(fleet, now_s=0.0)
    for station, sending in zip(("h/a", "h/b"), out[:2], strict=True):
        crash = DeviceError("crashed (SIGSEGV)")
        dispatcher.take(sending.nonce, _failure(sending, crash, station, "crash"))
    for sending in out[2:]:
        dispatcher.again(sending.nonce)

    out = dispatcher.sends(fleet, now_s=1.0)

    assert [sending.request.model.name for sending in out] == ["other"]
    facts = list(dispatcher.facts())
    assert len(facts) == len(requests)
    assert all("h/a, h/b (crashed (SIGSEGV))" in str(fact.error) for fact in facts)


def test_what_a_lost_worker_had_goes_out_again_until_it_is_too_often() -> None:
    fleet = _fleet("a")
    dispatcher = _dispatcher([_request()], fleet, losses=3)

    for turn in range(3):
        if turn:
            assert dispatcher.sends(fleet, now_s=10.0 * turn - 9.9) == []
        (sending,) = dispatcher.sends(fleet, now_s=10.0 * turn)
        dispatcher.lost(sending.nonce, "it ended")

    assert "lost 3 workers" in str(_only(dispatcher).error)


def test_who_has_lost_the_phone_in_between_cannot_answer() -> None:
    fleet = _fleet("a")
    dispatcher = _dispatcher([_request(32), _request(64)], fleet)
    late, new = dispatcher.sends(fleet, now_s=0.0)
    dispatcher.take(new.nonce, _answer(new, fence=8))

    dispatcher.take(late.nonce, _answer(late, fence=7))

    assert len(list(dispatcher.facts())) == 1
    (again,) = dispatcher.sends(fleet, now_s=9.0)
    assert again.request.key == late.request.key


def test_a_phone_that_has_answered_before_can_fail_and_another_is_asked() -> None:
    fleet = _fleet("a", "b")
    dispatcher = _dispatcher([_request(32), _request(64)], fleet)
    first, second = dispatcher.sends(fleet, now_s=0.0)
    dispatcher.take(first.nonce, _answer(first, fence=8))

    dispatcher.take(second.nonce, _failure(second, DeviceError("hot")))

    (again,) = dispatcher.sends(fleet, now_s=0.0)
    assert again.only == ("h/b",)
    dispatcher.take(again.nonce, _answer(again, station="h/b"))
    assert "h/a: failed 1 request" in dispatcher.findings()[0]


def test_an_answer_that_is_none_is_sent_for_again() -> None:
    fleet = _fleet("a")
    dispatcher = _dispatcher([_request()], fleet)
    (sending,) = dispatcher.sends(fleet, now_s=0.0)

    dispatcher.take(sending.nonce, ("{}", b""))

    assert list(dispatcher.facts()) == []
    assert len(dispatcher.sends(fleet, now_s=9.0)) == 1


def test_a_host_cannot_ask_for_what_it_was_not_asked_about() -> None:
    fleet = _fleet("a")
    dispatcher = _dispatcher([_request()], fleet, losses=1)
    (sending,) = dispatcher.sends(fleet, now_s=0.0)
    reply = FarmReply(nonce=sending.nonce, station="h/a", lacks=("0" * 64,))

    assert dispatcher.take(sending.nonce, wire.message(reply)) is None

    assert "lacks what was not asked" in str(_only(dispatcher).error)


@pytest.mark.parametrize(
    ("fleet", "kind", "said"),
    [
        (_fleet("a", kind="mate30pro"), DeviceError, "the farm has 1 mate30pro"),
        (_fleet(), DeviceError, "the farm has nothing"),
        (_fleet("a", version="harness 9 wire 9"), ConfigError, "one version on both sides"),
    ],
)
def test_a_profile_that_nobody_can_answer_for_is_an_error_at_once(
    fleet: Fleet, kind: type[HarnessError], said: str
) -> None:
    dispatcher = _dispatcher([_request()], fleet, Origin.PHONE)

    error = _only(dispatcher).error

    assert isinstance(error, kind)
    assert said in str(error)


def test_a_phone_in_quarantine_is_waited_for_and_named_when_patience_ends() -> None:
    ill = QuarantinedPhone(host="h", serial="a", kind="pixel4", why="battery 3 %")
    fleet = Fleet(quarantined=(ill,), hosts={"h": "tcp://h"})
    dispatcher = _dispatcher([_request()], fleet, patience_s=60.0)

    assert dispatcher.sends(fleet, now_s=59.0) == []
    assert list(dispatcher.facts()) == []
    dispatcher.sends(fleet, now_s=61.0)

    assert "h/a: battery 3 %" in str(_only(dispatcher).error)


def test_without_a_phone_of_the_profile_its_software_answers() -> None:
    fleet = _fleet("emulated-0", kind="emulated")
    dispatcher = _dispatcher([_request()], fleet)

    (sending,) = dispatcher.sends(fleet, now_s=0.0)

    assert sending.kind == "emulated"
    assert dispatcher.origin_of(sending.nonce) is Origin.EMULATED


def test_a_nightly_run_gives_way_and_keeps_a_share_of_the_front_places() -> None:
    names = [str(number) for number in range(10)]
    requests = [_request(32 * number) for number in range(1, 21)]
    nightly = _dispatcher(requests, _fleet(*names), nightly=True)
    daily = _dispatcher(requests, _fleet(*names))

    by_night = [sending.priority for sending in nightly.sends(_fleet(*names), now_s=0.0)]
    by_day = {sending.priority for sending in daily.sends(_fleet(*names), now_s=0.0)}

    assert by_night.count(PULL_REQUEST) == 4
    assert by_night.count(NIGHTLY) == 16
    assert by_day == {PULL_REQUEST}


def test_when_the_time_is_spent_the_rest_is_left_out_and_inconclusive() -> None:
    fleet = _fleet("a")
    dispatcher = _dispatcher([_request(32 * n) for n in range(1, 6)], fleet, budget_s=3600.0)
    out = dispatcher.sends(fleet, now_s=0.0)

    assert dispatcher.sends(fleet, now_s=3601.0) == []

    left_out = list(dispatcher.facts())
    assert len(left_out) == 3
    assert all(isinstance(fact.error, MeasurementError) for fact in left_out)
    dispatcher.take(out[0].nonce, _answer(out[0]))
    assert _only(dispatcher).error is None
    assert dispatcher.left == 1
