"""Tests of runs that a server hands out."""

import json
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'history' is not installed")

from harness import schema
from harness.errors import ConfigError, NetworkError
from harness.history import addresses
from tests import tiny
from tests.servers import Answer, web_server
from tests.unit.history.runs import run

pytestmark = pytest.mark.history

LINES = "".join(json.dumps(schema.dump(run(night))) + "\n" for night in range(2)).encode()


def test_runs_of_a_server_are_taken_in_without_a_word_of_its_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Answer(headers={"Content-Type": "application/x-ndjson"}, body=LINES)
    with web_server(answer) as server:
        address = f"{server.address}?token=TOKEN"
        for _ in range(2):
            assert tiny.command("history", "add", address, "--history", tmp_path / "h.db") == 0

    said = capsys.readouterr().out
    assert "2 of 2 runs are new" in said
    assert "0 of 2 runs are new" in said
    assert "TOKEN" not in said


def test_a_file_address_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my runs.jsonl"
    path.write_bytes(LINES)

    assert len(addresses.read(path.as_uri())) == 2
    assert addresses.read(str(path)) == addresses.read(path.as_uri())


@pytest.mark.parametrize("address", ["ftp://h/x", "file://elsewhere/x", "https://", "data://x"])
def test_another_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        addresses.read(address)


def test_a_login_page_is_no_history() -> None:
    answer = Answer(headers={"Content-Type": "text/html"}, body=b"<p>log in")
    with web_server(answer) as server, pytest.raises(NetworkError, match="text/html"):
        addresses.read(server.address)
