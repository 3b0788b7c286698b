"""Tests of signed runs: whatever is changed after the signature is found and named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cryptography", reason="the extra 'sign' is not installed")

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from harness import evidence, results, subjects
from harness.errors import ConfigError, HarnessError
from harness.evidence import Evidence
from harness.fact_lines import Taken
from harness.results import End, Planned, Unruled
from harness.signing import checking, envelope, statement
from harness.signing.checking import Checked
from harness.verdict import FALLBACK, LATENCY, Outcome
from tests import tiny
from tests.unit.report import pages

pytestmark = pytest.mark.sign

PEM = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A signed run of two verdicts and a phone's image, and what signed it."""

    run: Path
    golden: Path
    key: Ed25519PrivateKey

    def check(self, **rest) -> Checked:
        return checking.check(self.run, golden_dir=self.golden, **rest)

    def edit(self, change: Callable[[list[bytes]], list[bytes]]) -> None:
        self.run.write_bytes(b"".join(change(statement.raw_lines(self.run))))


def write_run(root: Path, golden: Path, *, ended: bool = True) -> results.Writer:
    subject = subjects.load(golden / tiny.NAME)
    rulings = [
        pages.record(FALLBACK, Outcome.PASS, evidence=Evidence.RULES),
        pages.record(LATENCY, Outcome.FAIL, evidence=Evidence.PHONE),
    ]
    writer = results.Writer(root, command=["pytest", "--device=pixel4"])
    writer.run = replace(writer.run, git_commit="0123456789ab")
    writer.write(Planned(tests=(*(ruling.test for ruling in rulings), "test_quiet")))
    output = {"provenance": {}, "outputs": ["output"]}
    writer.write(
        Taken(
            device="pixel4", delegate="nnapi", subject=tiny.NAME, variant="fp32", request="k" * 64,
            verb="run", file_sha256=subject.variants[0].sha256, kind="Output", answer=output,
        )
    )  # fmt: skip
    images = root / ".results" / "images"
    images.mkdir()
    np.save(images / f"{'k' * 64}.0.npy", np.zeros(4))
    for ruling in rulings:
        writer.write(ruling)
    writer.write(Unruled(test="test_quiet"))
    if ended:
        writer.write(End(time_utc=evidence.now_utc(), exit_code=1))
    return writer


@pytest.fixture
def signed(tmp_path: Path, golden_dir: Path) -> Signed:
    writer = write_run(tmp_path, golden_dir)
    key = Ed25519PrivateKey.generate()
    assert writer.path is not None
    statement.sign(
        writer.path, key, written=writer.line_sha256, judged=subjects.load_all(golden_dir)
    )
    return Signed(run=writer.path, golden=golden_dir, key=key)


def test_a_run_that_nobody_touched_is_as_it_was_signed(signed: Signed) -> None:
    checked = signed.check(key=signed.key.public_key(), commit="0123456789abcdef")

    assert checked.troubles == ()
    assert checked.signer == envelope.fingerprint(signed.key.public_key())
    assert len(checked.statement.images) == 1
    assert f"{tiny.NAME}/fp32.tflite" in checked.statement.files


def test_an_edited_verdict_is_found_with_its_line(signed: Signed) -> None:
    signed.edit(lambda lines: [line.replace(b'"FAIL"', b'"PASS"') for line in lines])

    (trouble,) = signed.check().troubles

    assert trouble.startswith("line 5 was changed: verdict unet int8_ptq pixel4 nnapi")


def test_one_flipped_bit_of_any_line_is_found(signed: Signed) -> None:
    before = signed.run.read_bytes()
    for at in range(0, len(before), 97):
        signed.run.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
        assert signed.check().troubles, at


def test_a_removed_line_is_found(signed: Signed) -> None:
    signed.edit(lambda lines: lines[:3] + lines[4:])

    assert signed.check().troubles == ("line 4 of 7 is missing",)


def test_a_run_that_was_cut_short_is_found(signed: Signed) -> None:
    signed.edit(lambda lines: lines[:4])

    assert signed.check().troubles == ("lines 5 to 7 are missing: the file was cut short",)


def test_a_run_that_lost_its_last_byte_is_found(signed: Signed) -> None:
    signed.edit(lambda lines: [*lines[:-1], lines[-1][:-1]])

    assert signed.check().troubles[0].startswith("line 7 was changed: end")


def test_lines_in_another_order_are_found(signed: Signed) -> None:
    signed.edit(lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]])

    (trouble,) = signed.check().troubles

    assert trouble in ("line 4 was moved to line 5", "line 5 was moved to line 4")


def test_an_added_line_is_found(signed: Signed) -> None:
    signed.edit(lambda lines: [*lines[:4], lines[3], *lines[4:]])

    assert any("was added: verdict" in one for one in signed.check().troubles)


def test_an_edited_limit_is_found_with_what_it_was(signed: Signed) -> None:
    tiny.edit(signed.golden / tiny.NAME / "subject.toml", "\npsnr_db = 97.0", "\npsnr_db = 30.0")

    (trouble,) = signed.check().troubles

    assert trouble.endswith("was changed: psnr_db = 97.0 -> psnr_db = 30.0")
    assert trouble.startswith(f"{tiny.NAME}/subject.toml:")


@pytest.mark.parametrize("name", ["fp32.tflite", "int8_ptq.tflite", "baselines.json"])
def test_an_edited_model_or_baseline_is_found(signed: Signed, name: str) -> None:
    path = signed.golden / tiny.NAME / name
    path.write_bytes(path.read_bytes() + b"\x00")

    assert signed.check().troubles == (f"{tiny.NAME}/{name}: was changed",)


def test_a_file_that_is_gone_is_found(signed: Signed) -> None:
    (signed.golden / tiny.NAME / "fp32.tflite").unlink()

    assert signed.check().troubles == (f"{tiny.NAME}/fp32.tflite: is missing",)


def test_an_edited_image_is_found(signed: Signed) -> None:
    (image,) = (signed.run.parent / "images").iterdir()
    np.save(image, np.ones(4))

    assert signed.check().troubles == (f"image {image.name}: was changed",)


def test_another_key_than_the_given_one_is_found(signed: Signed) -> None:
    stranger = Ed25519PrivateKey.generate().public_key()

    (trouble,) = signed.check(key=stranger).troubles

    assert trouble.startswith("the signature was not made with the given key")


def test_a_statement_that_was_edited_with_the_run_is_found(signed: Signed) -> None:
    signed.edit(lambda lines: lines[:3] + lines[4:])
    path = statement.signature_path(signed.run)
    kept = envelope.read(path)
    said = json.loads(envelope.payload_of(kept, where="it"))
    said["lines"] = [evidence.sha256_of(line) for line in statement.raw_lines(signed.run)]
    said["chain"] = statement.chain(said["lines"])
    forged = envelope.sign(json.dumps(said).encode(), Ed25519PrivateKey.generate())
    data = {
        "payloadType": forged.payloadType,
        "payload": forged.payload,
        "signatures": [{"keyid": kept.signatures[0].keyid, "sig": kept.signatures[0].sig}],
    }
    path.write_text(json.dumps(data))

    assert "its content was changed" in signed.check().troubles[0]


@pytest.mark.parametrize("demanded", ["fedcba987654", "0123", "0123456789ac"])
def test_a_run_about_another_commit_is_found(signed: Signed, demanded: str) -> None:
    (trouble,) = signed.check(commit=demanded).troubles

    assert trouble.startswith("it judged commit 0123456789ab")


def test_a_run_without_an_end_is_not_signed(tmp_path: Path, golden_dir: Path) -> None:
    writer = write_run(tmp_path, golden_dir, ended=False)
    assert writer.path is not None

    with pytest.raises(HarnessError, match="only a whole run is signed"):
        statement.sign(
            writer.path,
            Ed25519PrivateKey.generate(),
            written=writer.line_sha256,
            judged=subjects.load_all(golden_dir),
        )


@pytest.mark.parametrize("what", ["model", "limit", "run"])
def test_what_changed_while_the_run_was_under_way_is_not_signed(
    tmp_path: Path, golden_dir: Path, what: str
) -> None:
    judged = subjects.load_all(golden_dir)
    writer = write_run(tmp_path, golden_dir)
    assert writer.path is not None
    if what == "model":
        with (golden_dir / tiny.NAME / "fp32.tflite").open("ab") as file:
            file.write(b"\x00")
    elif what == "limit":
        tiny.edit(golden_dir / tiny.NAME / "subject.toml", "psnr_db = 97.0", "psnr_db = 30.0")
    else:
        writer.path.write_bytes(writer.path.read_bytes().replace(b'"FAIL"', b'"PASS"'))

    with pytest.raises(HarnessError):
        statement.sign(
            writer.path, Ed25519PrivateKey.generate(), written=writer.line_sha256, judged=judged
        )
    assert not statement.signature_path(writer.path).exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"payloadType": "x"}'])
def test_a_signature_that_is_none_is_one_line(signed: Signed, content: str) -> None:
    statement.signature_path(signed.run).write_text(content)

    with pytest.raises(ConfigError):
        signed.check()


def test_the_command_says_what_by_whom_and_ends_with_its_codes(
    signed: Signed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = tmp_path / "key.pub"
    pem = signed.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(pem)
    arguments = ("verify", signed.run, "--key", public, "--golden-dir", signed.golden)

    assert tiny.command(*arguments) == 0
    said = capsys.readouterr().out
    assert "(the given key)" in said
    assert "judged unet.int8_ptq on pixel4:nnapi: 1 RULES, 1 PHONE" in said
    assert "ruled FAIL: " in said

    shutil.rmtree(signed.golden / tiny.NAME)
    assert tiny.command(*arguments) == 1
    assert "NOT AS SIGNED: unet/subject.toml: is missing" in capsys.readouterr().out
    assert tiny.command(*arguments, "--record-only") == 0
    statement.signature_path(signed.run).unlink()
    assert tiny.command(*arguments) == 2


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(*PEM))
    path.chmod(0o644)

    with pytest.raises(ConfigError, match="chmod 600"):
        envelope.private_key(path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(*PEM))
    with pytest.raises(ConfigError, match="no Ed25519 key"):
        envelope.private_key(path)
    path.write_bytes(b"no key")
    with pytest.raises(ConfigError, match="no private key"):
        envelope.private_key(path)
    with pytest.raises(ConfigError, match="no public key"):
        envelope.public_key(path)


def test_a_pair_of_keys_is_made_once_and_signs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = tmp_path / "lab.key", tmp_path / "lab.pub"

    assert tiny.command("keys", private) == 0

    assert private.stat().st_mode & 0o777 == 0o600
    key = envelope.private_key(private)
    name = envelope.fingerprint(envelope.public_key(public))
    assert envelope.fingerprint(key.public_key()) == name
    assert name in capsys.readouterr().out
    kept = private.read_bytes(), public.read_bytes()
    assert tiny.command("keys", private) == 2
    private.unlink()
    assert tiny.command("keys", private) == 2
    assert "lab.pub: is there already" in capsys.readouterr().err
    assert (private.exists(), public.read_bytes()) == (False, kept[1])
