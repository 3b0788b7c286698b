"""--sign: a run is signed at its end, by a key that is read before anything is measured."""

from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="the extra 'sign' is not installed")

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness import results
from harness.signing import checking

pytestmark = pytest.mark.sign

RUN = ("--device=pixel4", "--origin=emulated", "--subject=unet.fp32", "test_fallback.py")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "lab.key"
    path.touch(0o600)
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    return path


def test_a_run_is_signed_at_its_end(project: pytest.Pytester, key: Path) -> None:
    done = project.runpytest_subprocess(*RUN, f"--sign={key}")

    run = results.latest(project.path)
    done.stdout.fnmatch_lines([f"signed: {run.name}.sig"])
    assert checking.check(run, golden_dir=project.path / "golden").troubles == ()


def test_a_key_that_cannot_be_used_ends_the_run_before_it_begins(
    project: pytest.Pytester, key: Path
) -> None:
    key.chmod(0o644)

    done = project.runpytest_subprocess(*RUN, f"--sign={key}")

    done.stderr.fnmatch_lines(["*chmod 600*"])
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert results.all_runs(project.path) == []
