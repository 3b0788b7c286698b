"""What a signature over a run speaks for: its lines, and the models, limits and images of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import evidence, fact_files, files, results, schema, subjects
from harness.errors import BlessedDataError, ConfigError, HarnessError
from harness.evidence import sha256_of
from harness.results import Results
from harness.signing import envelope
from harness.subjects import SUBJECT_FILE, Subject

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_START = sha256_of(b"device harness: chain of a run")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is signed.

    Attributes:
        schema: Number of this format.
        run: Id of the run.
        commit: Commit that it judged, with `+dirty` where the work tree had changes; or ''.
        time_utc: When it was signed, by the clock of the signer.
        key: The signer's public key, 32 bytes in base64.
        lines: SHA-256 of each line of the run's file, with its line feed.
        chain: Last link of the chain over the lines.
        limits: Text of each judged subject.toml: limits, budgets and hashes of models.
        files: SHA-256 of each file of the judged subjects, by its place in the golden folder.
        images: SHA-256 of each image that a fact left beside the run.
    """

    schema: int = 1
    run: str
    commit: str
    time_utc: str
    key: str
    lines: tuple[str, ...]
    chain: str
    limits: Mapping[str, str]
    files: Mapping[str, str]
    images: Mapping[str, str]


def signature_path(run: Path) -> Path:
    """Return where the signature of a run's file lies."""
    return run.with_name(f"{run.name}.sig")


def chain(lines: Sequence[str]) -> str:
    """Return the last link over the hashes of lines; each link holds the one before it."""
    link = _START
    for line in lines:
        link = sha256_of(f"{link}{line}".encode())
    return link


def raw_lines(path: Path) -> list[bytes]:
    """Return the lines of a file, each with its line feed, if it has one.

    Raises:
        ConfigError: it cannot be read.
    """
    data = files.read(path, at_most_bytes=files.RUN_BYTES_MAX, error=ConfigError)
    parts = data.split(b"\n")
    last = [parts[-1]] if parts[-1] else []
    return [part + b"\n" for part in parts[:-1]] + last


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file of a subject's folder with its place in the golden folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder.parent).as_posix(), path


def images_of(found: Results) -> dict[str, str]:
    """Return the SHA-256 of each image that lies beside a run for one of its facts, by name."""
    root = found.path.parent.parent
    return {
        path.name: hash_of(path) for fact in found.facts for path in fact_files.images(fact, root)
    }


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        ConfigError: it cannot be read.
    """
    return sha256_of(files.read(path, at_most_bytes=files.MODEL_BYTES_MAX, error=ConfigError))


def sign(
    path: Path, key: "Ed25519PrivateKey", *, written: Sequence[str], judged: Sequence[Subject]
) -> Path:
    """Sign a run that is over, and return the file of the signature.

    Args:
        path: The run's file.
        key: Who signs.
        written: SHA-256 of each line as the run wrote it.
        judged: The subjects as the run read them.

    Raises:
        HarnessError: the run has no end, or what it judged or wrote is not what lies there now.
    """
    found = results.load(path)
    if found.end is None or found.unrecorded:
        raise HarnessError(f"{path}: was cut short, and only a whole run is signed")
    lines = tuple(map(sha256_of, raw_lines(path)))
    if lines != tuple(written):
        raise HarnessError(f"{path}: is not what this run wrote into it")
    names = {record.subject for record in found.records} | {f.subject for f in found.facts}
    ruled = [subject for subject in judged if subject.name in names]
    for subject in ruled:
        _check_unchanged(subject)
    statement = Statement(
        run=found.run.id,
        commit=found.run.git_commit,
        time_utc=evidence.now_utc(),
        key=envelope.raw(key.public_key()),
        lines=lines,
        chain=chain(lines),
        limits={
            subject.name: files.read_text(subject.folder / SUBJECT_FILE, error=ConfigError)
            for subject in ruled
        },
        files={name: hash_of(file) for subject in ruled for name, file in files_of(subject.folder)},
        images=images_of(found),
    )
    if lost := {fact.file_sha256 for fact in found.facts} - set(statement.files.values()):
        raise BlessedDataError(
            f"{path}: facts are about a file that is in no judged subject (sha256 "
            f"{min(lost)[:12]}); it changed while the run was under way"
        )
    signed = envelope.sign(json.dumps(schema.dump(statement), sort_keys=True).encode(), key)
    target = signature_path(path)
    try:
        target.write_text(json.dumps(schema.dump(signed)) + "\n", encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{target}: cannot be written ({error.strerror})") from None
    return target


def _check_unchanged(subject: Subject) -> None:
    """Refuse a subject whose limits or budgets are no longer what the run read."""
    now = subjects.load(subject.folder)
    variants = {variant.name: variant for variant in now.variants}
    same = all(variants.get(variant.name) == variant for variant in subject.variants)
    if not same or now.budgets != subject.budgets or now.scaling != subject.scaling:
        raise BlessedDataError(
            f"{subject.folder / SUBJECT_FILE}: changed while the run was under way"
        )
