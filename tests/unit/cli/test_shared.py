"""Check how Keras is started: without its native notes, unless it fails."""

import importlib.util
import os
import subprocess
import sys

import pytest

from harness.cli import shared
from tests import needs


@pytest.mark.train
def test_the_start_up_notes_of_tensorflow_do_not_reach_the_terminal():
    needs.installed(None if importlib.util.find_spec("keras") else "needs the extra train")
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    code = (
        "import logging; from harness.cli import shared; shared.start_keras(threads=1); "
        "logging.getLogger('absl').warning('deprecated'); print('started')"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )

    assert (done.stdout, done.stderr) == ("started\n", "")


def test_the_notes_of_a_start_that_fails_are_shown(monkeypatch, capfd):
    def fail(threads: int | None) -> None:
        os.write(2, b"E0000 no such instruction\n")
        raise ModuleNotFoundError("No module named 'keras'", name="keras")

    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setattr(shared, "_import_keras", fail)

    with pytest.raises(ModuleNotFoundError):
        shared.start_keras()

    assert capfd.readouterr().err == "E0000 no such instruction\n"
