"""Tests of webhooks, against a server on this host that fails at first."""

import email.utils
import json
import time

import pytest

from harness.errors import ConfigError
from harness.nightly import webhook
from harness.nightly.sending import Undelivered
from harness.nightly.summary import Summary
from tests.servers import Answer, free_address, web_server

EVIL = "<script>[a](b)*c*<!channel>"


def summary(**rest) -> Summary:
    return Summary(outcome="FAIL", sentence=f"net.{EVIL} is slow", host="lab1", **rest)


def post(address: str, *, within_s: float = 20.0, key: bytes = b"") -> Undelivered | None:
    return webhook.post(address, b'{"a": 1}', key=key, within_s=within_s, pause_s=0.01)


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(status=500),
        Answer(status=503),
        Answer(status=429),
        Answer(status=408),
        Answer(cut=True),
    ],
    ids=["500", "503", "429", "408", "cut"],
)
def test_a_server_that_fails_at_first_gets_it_in_the_end(trouble: Answer) -> None:
    with web_server(trouble, trouble, Answer(status=204)) as server:
        assert post(server.address) is None

        assert [one.body for one in server.requests] == [b'{"a": 1}'] * 3


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
def test_a_refusal_for_good_is_not_tried_again(status: int) -> None:
    with web_server(Answer(status=status, headers={"Location": "/x"})) as server:
        refusal = post(server.address)

        assert refusal is not None
        assert str(status) in refusal.why
        assert "SECRET" not in refusal.why
        assert len(server.requests) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(form: str) -> None:
    asked = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
    arrived: list[float] = []
    with web_server(Answer(status=429, headers={"Retry-After": asked}), Answer()) as server:
        began = time.monotonic()
        assert post(server.address) is None
        arrived.append(time.monotonic() - began)

    assert arrived[0] >= 0.9  # a lower bound: a slow machine cannot break it


def test_a_retry_after_beyond_the_bound_is_not_waited_for() -> None:
    with web_server(Answer(status=429, headers={"Retry-After": "86400"})) as server:
        refusal = post(server.address)

        assert refusal is not None
        assert "attempt 1 was the last" in refusal.why
        assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["refused", "hangs", "500"])
def test_attempts_end_with_the_bound(kind: str) -> None:
    with web_server(Answer(hang_s=20) if kind == "hangs" else Answer(status=500)) as server:
        address = free_address() if kind == "refused" else server.address
        refusal = post(address, within_s=0.6)

    assert refusal is not None
    assert "was the last in 0.6 s" in refusal.why


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The vector of the reference libraries' own tests."""
    key = webhook.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    headers = webhook.signed(
        b'{"test": 2432232314}',
        key,
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_attempt_is_signed_and_all_have_one_id() -> None:
    with web_server(Answer(status=500), Answer()) as server:
        assert post(server.address, key=b"k") is None
        first, second = (one.headers for one in server.requests)

    assert first["webhook-id"] == second["webhook-id"]
    for one in (first, second):
        known = webhook.signed(
            b'{"a": 1}', b"k", id=one["webhook-id"], timestamp=int(one["webhook-timestamp"])
        )
        assert one["webhook-signature"] == known["webhook-signature"]


def test_without_a_key_nothing_is_signed() -> None:
    with web_server(Answer()) as server:
        post(server.address)

    assert "webhook-signature" not in server.requests[0].headers


def test_a_key_that_is_no_base64_after_its_prefix_is_refused() -> None:
    with pytest.raises(ConfigError, match="no base64"):
        webhook.key_of("whsec_!!!")


def test_slack_gets_plain_text_in_which_nothing_is_a_mention() -> None:
    data = json.loads(webhook.body_of(summary(failures=("x" * 400,) * 20), "slack"))

    assert "<" not in data["text"]
    assert {block["text"]["type"] for block in data["blocks"]} == {"plain_text"}
    assert len(data["blocks"][0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3000 for block in data["blocks"])
    assert "more lines" in data["blocks"][1]["text"]["text"]


def test_teams_gets_an_adaptive_card_in_which_names_are_no_markup() -> None:
    body = webhook.body_of(summary(failures=("é" * 400,) * 20, news=("n" * 400,) * 20), "teams")

    (attachment,) = json.loads(body)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert "\\<script\\>\\[a\\](b)\\*c\\*" in attachment["content"]["body"][0]["text"]
    assert len(body) < 28_000


def test_a_program_gets_every_field() -> None:
    data = json.loads(webhook.body_of(summary(left_out=("a phone",)), "json"))["summary"]

    assert data["outcome"] == "FAIL"
    assert data["left_out"] == ["a phone"]
    assert data["schema"] == 1
