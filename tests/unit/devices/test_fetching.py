"""Fetch the benchmark tools from a server of this host, by version and hash."""

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.devices.benchmark import fetching
from harness.errors import ConfigError
from tests.servers import Answer, web_server

ELF = b"\x7fELF\x02\x01" + bytes(12) + (0xB7).to_bytes(2, "little")
BINARY = {"Content-Type": "application/octet-stream"}


def tool(text: str = "") -> Answer:
    return Answer(headers=BINARY, body=ELF + text.encode())


def test_both_tools_are_fetched_and_known_by_their_hashes(tmp_path: Path):
    with web_server(tool()) as server:
        outcomes = fetching.fetch(
            fetching.builds("2.3.0"), tmp_path, environ={fetching.MIRROR: server.address}
        )

    assert [one.problem for one in outcomes] == [""] * 5
    assert {one.known for one in outcomes} == {False}
    paths = [request.path for request in server.requests]
    assert any(path.endswith("/litert/binaries/2.3.0/android_arm64/run_model") for path in paths)
    assert paths[0].endswith("/nightly/latest/android_aarch64_benchmark_model")
    assert (tmp_path / "litert-2.3.0" / "run_model").stat().st_mode & 0o111
    assert len(json.loads((tmp_path / "tools.json").read_text())) == 5


def test_another_content_under_an_address_that_is_known_is_refused(tmp_path: Path):
    wanted = fetching.builds()[:1]
    with web_server(tool("first")) as server:
        fetching.fetch(wanted, tmp_path, environ={fetching.MIRROR: server.address})
    before = (tmp_path / wanted[0].file).read_bytes()

    with web_server(tool("second")) as server:
        (found,) = fetching.fetch(wanted, tmp_path, environ={fetching.MIRROR: server.address})
    with web_server(tool("first")) as server:
        (again,) = fetching.fetch(wanted, tmp_path, environ={fetching.MIRROR: server.address})

    assert "another build than before" in found.problem
    assert (tmp_path / wanted[0].file).read_bytes() == before
    assert again.known


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(status=404), "status 404"),
        (Answer(headers={"Content-Type": "text/html"}, body=b"<p>"), "text/html"),
        (Answer(headers=BINARY, body=b"MZ no ELF"), "no ELF"),
        (Answer(cut=True), "cannot be asked"),
    ],
)
def test_what_is_no_tool_is_not_kept(tmp_path: Path, answer: Answer, problem: str):
    wanted = fetching.builds()[1:2]
    with web_server(answer) as server:
        (found,) = fetching.fetch(wanted, tmp_path, environ={fetching.MIRROR: server.address})

    assert problem in found.problem
    assert not (tmp_path / wanted[0].file).exists()
    assert not (tmp_path / "tools.json").exists()


@pytest.mark.parametrize("version", ["", "../../etc", "2.3.0/x", "a b"])
def test_what_is_no_version_is_refused(version: str):
    with pytest.raises(ConfigError, match="write a version"):
        fetching.builds(version)


def test_doctor_prints_the_addresses_where_the_network_does_not_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    with web_server(Answer(cut=True)) as server:
        monkeypatch.setenv(fetching.MIRROR, server.address)
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--fetch-tools"])

    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    address = f"{server.address}/litert/binaries/2.3.0/android_arm64/run_model"
    assert f"{address} -> tools/litert-2.3.0/run_model" in said


def test_doctor_says_what_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    with web_server(tool()) as server:
        monkeypatch.setenv(fetching.MIRROR, server.address)
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--fetch-tools", "2.2.0"])

    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "benchmark_tool = tools/tensorflow-lite/benchmark_model" in said
    assert "litert_tools = tools/litert-2.2.0" in said
