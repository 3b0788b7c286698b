"""Tests of mail, against a mail server on this host that fails at first."""

import contextlib
from collections.abc import Iterator

import pytest
from aiosmtpd.controller import Controller

from harness.errors import ConfigError
from harness.nightly import mail
from harness.nightly.summary import Summary
from tests.servers import free_port


class Mailbox:
    """What a server took, after as many refusals as it was told to make."""

    def __init__(self, *refusals: str) -> None:
        self.taken: list[bytes] = []
        self.attempts = 0
        self._refusals = list(refusals)

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802
        self.attempts += 1
        if self._refusals:
            return self._refusals.pop(0)
        self.taken.append(envelope.content)
        return "250 taken"


@contextlib.contextmanager
def mail_server(box: Mailbox) -> Iterator[mail.MailServer]:
    controller = Controller(box, hostname="127.0.0.1", port=free_port(), ready_timeout=20)
    controller.start()
    try:
        yield mail.server(f"smtp://127.0.0.1:{controller.port}")
    finally:
        controller.stop()


def letter(sentence: str = "nothing broke"):
    told = Summary(outcome="PASS", sentence=sentence, host="lab1")
    return mail.message(told, sender="lab@example.org", to=("team@example.org", "b@example.org"))


def test_a_mail_arrives_with_the_ruling_as_its_subject() -> None:
    box = Mailbox()
    with mail_server(box) as server:
        assert mail.send(letter("büro"), server) is None

    (content,) = box.taken
    assert b"Subject: [device harness] PASS:" in content
    assert b"Auto-Submitted: auto-generated" in content


def test_a_server_that_is_busy_at_first_gets_it_in_the_end() -> None:
    box = Mailbox("451 later", "421 later")
    with mail_server(box) as server:
        assert mail.send(letter(), server, pause_s=0.01) is None

    assert len(box.taken) == 1


def test_a_refusal_for_good_is_not_tried_again() -> None:
    box = Mailbox(*["554 never"] * 5)
    with mail_server(box) as server:
        refusal = mail.send(letter(), server, pause_s=0.01)

    assert refusal is not None
    assert "554" in refusal.why
    assert box.attempts == 1


def test_a_server_that_is_not_there_is_left_within_the_bound() -> None:
    nobody = mail.server(f"smtp://127.0.0.1:{free_port()}")

    refusal = mail.send(letter(), nobody, within_s=0.3, pause_s=0.01)

    assert refusal is not None
    assert "cannot be asked" in refusal.why


def test_a_server_without_tls_gets_nothing_that_leaves_this_host() -> None:
    box = Mailbox()
    with mail_server(box) as near:
        far = mail.MailServer(
            host="127.0.0.001",  # this host, by a name that is not known as such
            port=near.port,
            implicit_tls=False,
        )
        refusal = mail.send(letter(), far, within_s=0.3, pause_s=0.01)

    assert refusal is not None
    assert box.attempts == 0


def test_line_ends_in_what_is_said_make_no_header() -> None:
    mailed = letter("a\r\nBcc: all@example.org")

    assert mailed["Bcc"] is None


@pytest.mark.parametrize("address", ["a@example.org\nBcc: b@example.org", "\x00"])
def test_an_address_that_cannot_be_one_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        mail.message(Summary(outcome="PASS", sentence="", host="h"), sender=address, to=("a@b.c",))


@pytest.mark.parametrize(
    "address", ["host", "http://h", "smtp://", "smtp://u:SECRET@h", "smtp://u@h", "smtp://h:x"]
)
def test_a_server_address_that_is_wrong_is_refused(address: str) -> None:
    with pytest.raises(ConfigError) as error:
        mail.server(address)
    assert "SECRET" not in str(error.value)


def test_a_server_is_shown_without_its_password() -> None:
    assert "SECRET" not in repr(mail.server("smtps://u@h", password="SECRET"))
