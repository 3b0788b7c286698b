import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import fact_lines, profiles
from harness.devices import device
from harness.devices.connect import Origin
from harness.devices.emulated import Emulated
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.farm import wire
from harness.farm.contents import Contents
from harness.farm.wire import FarmReply, Message, Question
from harness.images import Output, Size
from harness.inputs import Inputs
from harness.requests import Fact, Request, Verb
from harness.roles import Channels, InputSpec
from tests import kinds, models

NONCE = "n1"
SIZE = Size(width_px=32, height_px=32)


def _request(verb: Verb = Verb.PLACE, seed: int = 0, **known: Any) -> Request:
    (target,) = profiles.select(profiles.load_all([profiles.shipped_folder()]), ["pixel4:nnapi"])
    frame = np.random.default_rng(seed).random((1, 32, 32, 3), np.float32)
    model = models.model(models.unet(size_px=32))
    return Request(
        target=target,
        verb=verb,
        model=model,
        size=SIZE,
        inputs=Inputs.of(frame) if verb is Verb.RUN else None,
        **known,
    )


def _message(request: Request, **changes: Any) -> Message:
    """Return what an honest host says, with some fields of its fact changed."""
    answer = device.ask(Emulated(request.target), request)
    fact = Fact(request=request, answer=answer)
    line = replace(fact_lines.line(fact), **changes)
    return wire.message(FarmReply(nonce=NONCE, station="host/emulated", fact=line), fact)


def _fact(said: object, request: Request, origin: Origin = Origin.EMULATED) -> Fact:
    reply, pixels = wire.read_reply(said, nonce=NONCE)
    return wire.read_fact(reply, pixels, request, origin)


def test_a_question_brings_back_the_same_request() -> None:
    request = _request(Verb.RUN, subject="unet", variant="fp32")
    question = wire.ask(request, nonce=NONCE, origin=Origin.EMULATED)

    read = wire.read_question(wire.write(question))

    assert wire.request_of(read, wire.contents(request)).key == request.key
    assert set(read.contents) == set(wire.contents(request))


@pytest.mark.parametrize("verb", [Verb.RUN, Verb.PLACE, Verb.MEMORY, Verb.TIME])
def test_an_answer_comes_back_as_it_was(verb: Verb) -> None:
    request = _request(verb)
    here = device.ask(Emulated(request.target), request)

    there = _fact(_message(request), request).answer

    if isinstance(here, Output):
        assert isinstance(there, Output)
        np.testing.assert_array_equal(there.pixels, here.pixels)
    else:
        assert there is not None
        made = replace(there.provenance, time_utc=here.provenance.time_utc)
        assert replace(there, provenance=made) == here


def test_an_error_comes_back_of_its_kind() -> None:
    request = _request()
    fact = Fact(request=request, error=DeviceError("the driver failed"))
    reply = FarmReply(nonce=NONCE, station="host/a", fact=fact_lines.line(fact), failure="phone")

    found = _fact(wire.message(reply), request)

    assert isinstance(found.error, DeviceError)
    assert str(found.error) == "the driver failed"


def _of_another_model(said: Message) -> Message:
    data = json.loads(said[0])
    data["fact"]["answer"]["provenance"]["variant_sha256"] = "0" * 64
    return json.dumps(data), said[1]


def _with(path: str, value: object) -> Callable[[Message], object]:
    def change(said: Message) -> object:
        data = json.loads(said[0])
        *parents, name = path.split(".")
        place = data
        for parent in parents:
            place = place[parent]
        place[name] = value
        return json.dumps(data), said[1]

    return change


LIES: dict[str, Callable[[Message], object]] = {
    "no pair": lambda said: said[0],
    "an object that is none of ours": lambda said: (object(), b""),
    "text for bytes": lambda said: (said[0], "pixels"),
    "not JSON": lambda said: ("{", b""),
    "a list": lambda said: ("[]", b""),
    "nested deeply": lambda said: ("[" * 100_000, b""),
    "too long": lambda said: (said[0] + " " * wire.REPLY_BYTES_MAX, b""),
    "not a number": _with("seconds", float("nan")),
    "a number of ten thousand digits": lambda said: ("1" * 10_000, b""),
    "an unknown key": _with("code", "import os"),
    "another type": _with("fence", "1"),
    "an old answer": _with("nonce", "n0"),
    "a fact of another request": _with("fact.request", "0" * 64),
    "a fact of another phone": _with("fact.device", "mate30pro"),
    "a fact of another file": _with("fact.file_sha256", "0" * 64),
    "a fact of another model": _of_another_model,
    "a measurement of no phone": _with("fact.answer.provenance.evidence", "PHONE"),
    "an answer to another verb": _with("fact.kind", "Memory"),
    "an unknown kind": _with("fact.kind", "os.system"),
    "terminal commands in a name": _with("fact.answer.provenance.device", "\x1b]0;owned\x07"),
    "an error that is none": _with("fact.error", "x"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_with_one_line(lie: str) -> None:
    request = _request()

    with pytest.raises(ConfigError) as caught:
        _fact(LIES[lie](_message(request)), request)

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("claim", [b"", b"\0" * 5, b"\0" * (4 * 32 * 32 * 3 + 4)])
def test_an_image_of_another_size_is_refused(claim: bytes) -> None:
    request = _request(Verb.RUN)

    with pytest.raises(ConfigError, match="bytes"):
        _fact((_message(request)[0], claim), request)


def test_a_phone_that_was_asked_for_may_not_be_stood_in_for() -> None:
    request = _request()

    with pytest.raises(ConfigError, match="evidence"):
        _fact(_message(request), request, Origin.PHONE)


@pytest.mark.parametrize("field", ["key", "inputs", "size"])
def test_a_host_does_not_answer_what_it_was_not_asked(field: str) -> None:
    request = _request(Verb.RUN)
    question: Question = wire.ask(request, nonce=NONCE, origin=Origin.EMULATED)
    other = _request(Verb.RUN, seed=1)
    changed = wire.ask(other, nonce=NONCE, origin=Origin.EMULATED)
    wrong: Any = {"key": changed.key, "inputs": changed.inputs, "size": "64x64"}[field]

    with pytest.raises(HarnessError):
        wire.request_of(
            replace(question, **{field: wrong}), wire.contents(request) | wire.contents(other)
        )


def test_a_file_is_kept_by_its_content_once_it_is_whole(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "store")
    (sha256, data), *_ = wire.contents(_request()).items()

    assert contents.lacking([sha256]) == (sha256,)
    assert not contents.take(sha256, "0" * 16, 0, data[:100], size_bytes=len(data))
    assert contents.lacking([sha256]) == (sha256,)
    assert contents.take(sha256, "0" * 16, 100, data[100:], size_bytes=len(data))
    assert contents.read(sha256) == data


def test_a_file_with_other_bytes_than_its_name_says_is_not_kept(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "store")

    with pytest.raises(ConfigError, match="damaged"):
        contents.take("0" * 64, "0" * 16, 0, b"x", size_bytes=1)

    assert list((tmp_path / "store").iterdir()) == []


def test_a_file_that_was_damaged_on_disk_is_not_used(tmp_path: Path) -> None:
    contents = Contents(tmp_path / "store")
    (sha256, data), *_ = wire.contents(_request()).items()
    contents.take(sha256, "0" * 16, 0, data, size_bytes=len(data))
    (tmp_path / "store" / sha256).write_bytes(b"x")

    with pytest.raises(HarnessError, match="damaged"):
        contents.read(sha256)

    assert contents.lacking([sha256]) == (sha256,)


@pytest.mark.parametrize("name", ["../../etc/passwd", "x" * 64, ""])
def test_a_name_that_is_no_hash_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        Contents(tmp_path).take(name, "0" * 16, 0, b"", size_bytes=0)


def test_the_longest_unused_make_room(tmp_path: Path) -> None:
    from harness.evidence import sha256_of

    contents = Contents(tmp_path / "store", most_bytes=250)
    hashes = []
    for number in range(4):
        data = bytes([number]) * 100
        hashes.append(sha256_of(data))
        contents.take(hashes[-1], "0" * 16, 0, data, size_bytes=100)

    assert contents.lacking(hashes) == tuple(hashes[:2])


def test_what_a_person_said_of_inputs_travels_with_the_model() -> None:
    said = (InputSpec(name="y", channels=Channels.LUMA, range=(-1.0, 1.0)),)
    model = replace(models.model(kinds.luma(size_px=16)), inputs=said)
    asked = replace(_request(), model=model, size=model.size)

    read = wire.read_question(wire.write(wire.ask(asked, nonce="n", origin=Origin.EMULATED)))

    assert wire.request_of(read, wire.contents(asked)).model == model
