"""Tests of where secrets come from, and of the lock that lets one night go at a time."""

import os
import signal
import sys
from pathlib import Path

import pytest

from harness import child
from harness.errors import ConfigError
from harness.nightly import credentials, lock
from tests.servers import wait_until


def test_a_secret_of_the_environment_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "SECRET\n")

    assert credentials.read("env:HOOK", purpose="--webhook") == "SECRET"
    assert "HOOK" not in os.environ


def test_a_secret_is_read_from_a_file_of_one_user(tmp_path: Path) -> None:
    path = tmp_path / "hook"
    path.write_text("SECRET\n")
    path.chmod(0o600)

    assert credentials.read(f"file:{path}", purpose="--webhook") == "SECRET"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "hook"
    path.write_text("SECRET")
    path.chmod(mode)

    with pytest.raises(ConfigError, match="chmod 600"):
        credentials.read(f"file:{path}", purpose="--webhook")


def test_what_systemd_hands_over_is_taken_whatever_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hook"
    path.write_text("SECRET")
    path.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert credentials.read(f"file:{path}", purpose="--webhook") == "SECRET"


@pytest.mark.parametrize("source", ["https://h/SECRET", "env:MISSING", "file:/nonexistent", ""])
def test_a_source_that_is_none_is_refused_without_repeating_a_secret(source: str) -> None:
    with pytest.raises(ConfigError) as error:
        credentials.read(source, purpose="--webhook")
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"\xff\xfe"])
def test_a_file_without_one_line_of_ascii_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hook"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(ConfigError):
        credentials.read(f"file:{path}", purpose="--webhook")


def test_a_second_night_is_told_who_holds_the_lock_since_when(tmp_path: Path) -> None:
    with (
        lock.held(tmp_path),
        pytest.raises(ConfigError, match=f"process {os.getpid()} on .* since"),
        lock.held(tmp_path),
    ):
        raise AssertionError("two nights at once")

    with lock.held(tmp_path):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from harness.nightly import lock
with lock.held(Path(sys.argv[1])):
    Path(sys.argv[1], "held").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_of_the_holder_ends_the_lock(tmp_path: Path, how: signal.Signals) -> None:
    holder = os.posix_spawn(
        sys.executable, [sys.executable, "-c", HOLDER, str(tmp_path)], dict(os.environ)
    )
    wait_until((tmp_path / "held").exists)
    with pytest.raises(ConfigError, match=f"process {holder} "), lock.held(tmp_path):
        raise AssertionError("two nights at once")

    os.kill(holder, how)
    os.waitpid(holder, 0)

    with lock.held(tmp_path):
        pass


def test_a_lock_that_holds_nonsense_is_still_a_lock(tmp_path: Path) -> None:
    with lock.held(tmp_path):
        (tmp_path / ".results" / "nightly.lock").write_bytes(b"\x00[]")
        with pytest.raises(ConfigError, match="has not written its name"), lock.held(tmp_path):
            raise AssertionError("two nights at once")


def test_a_program_that_the_holder_starts_does_not_hold_on(tmp_path: Path) -> None:
    with lock.held(tmp_path):
        done = child.run(
            [sys.executable, "-c", "import os; print(os.listdir('/proc/self/fd'))"],
            stage="list",
            timeout_s=20,
        )
        assert done.stdout.count("'") == 2 * 4, done.stdout  # 0, 1, 2 and the folder itself
