"""Tests of the door to HTTP, against a server on this host."""

import pytest

from harness import web
from harness.errors import ConfigError, NetworkError
from tests.servers import Answer, free_address, web_server

JSON = {"Content-Type": "application/json"}
TYPES = ("application/json", "text/plain")


def get(address: str, *, at_most_bytes: int = 1000, timeout_s: float = 10.0) -> bytes:
    return web.get(address, types=TYPES, at_most_bytes=at_most_bytes, timeout_s=timeout_s)


def test_a_body_of_an_expected_type_is_returned() -> None:
    with web_server(Answer(headers=JSON, body=b"{}")) as server:
        assert get(server.address) == b"{}"


def test_a_redirect_to_the_same_scheme_is_followed() -> None:
    moved = Answer(status=302, headers={"Location": "/elsewhere"})
    with web_server(moved, Answer(headers=JSON, body=b"[]")) as server:
        assert get(server.address) == b"[]"
        assert [one.path for one in server.requests] == ["/hook/SECRET", "/elsewhere"]


@pytest.mark.parametrize("further", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_to_another_scheme_is_refused(further: str) -> None:
    with (
        web_server(Answer(status=302, headers={"Location": further})) as server,
        pytest.raises(NetworkError, match="leads on from http"),
    ):
        get(server.address)


def test_a_circle_of_redirects_ends() -> None:
    with web_server(Answer(status=301, headers={"Location": "/round"})) as server:
        with pytest.raises(NetworkError, match="more than 5 times"):
            get(server.address)
        assert len(server.requests) == 6


@pytest.mark.parametrize(
    "answer",
    [
        Answer(headers=JSON, body=b"x" * 1001),
        Answer(headers={"Content-Type": "text/html"}, body=b"<p>log in</p>"),
        Answer(body=b"{}"),
        Answer(status=404, headers=JSON, body=b"{}"),
        Answer(headers={**JSON, "Content-Encoding": "gzip"}, body=b"{}"),
        Answer(headers={**JSON, "Content-Length": "50"}, body=b"{}"),
        Answer(cut=True),
    ],
    ids=["too large", "html", "no type", "404", "packed", "cut short", "no answer"],
)
def test_what_is_not_a_whole_body_of_an_expected_type_is_refused(answer: Answer) -> None:
    with web_server(answer) as server, pytest.raises(NetworkError) as error:
        get(server.address)
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    "answer",
    [Answer(hang_s=20), Answer(headers=JSON, body=b"x" * 400, drip_s=0.05)],
    ids=["hangs", "drips"],
)
def test_a_server_that_takes_its_time_is_left(answer: Answer) -> None:
    with web_server(answer) as server, pytest.raises(NetworkError, match=r"within 0\.5 s"):
        get(server.address, timeout_s=0.5)


def test_a_port_that_nobody_listens_on_is_one_line_without_the_path() -> None:
    with pytest.raises(NetworkError, match="Connection refused") as error:
        get(free_address())
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    ["", "SECRET", "ftp://h/SECRET", "https:///SECRET", "https://a:SECRET@h/", "http://[SECRET/"],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(ConfigError) as error:
        web.check(address)
    assert "SECRET" not in str(error.value)


def test_a_secret_goes_over_tls_or_to_this_host() -> None:
    web.check("http://127.0.0.1/SECRET", secure=True)
    with pytest.raises(ConfigError, match="https"):
        web.check("http://chat.example/SECRET", secure=True)
