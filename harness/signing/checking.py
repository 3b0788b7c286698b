"""Say what of a signed run has changed since: which line, model, limit or image."""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import files, schema, text
from harness.errors import ConfigError
from harness.evidence import sha256_of
from harness.signing import envelope, statement
from harness.signing.statement import Statement
from harness.subjects import SUBJECT_FILE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check of a signed run found.

    Attributes:
        statement: What was signed.
        signer: Fingerprint of the key that signed.
        troubles: Everything that is not as it was signed, or not signed as demanded.
    """

    statement: Statement
    signer: str
    troubles: tuple[str, ...]


def check(
    run: Path, *, golden_dir: Path | None, key: "Ed25519PublicKey | None" = None, commit: str = ""
) -> Checked:
    """Hold a run against its signature.

    Args:
        run: The run's file; its signature lies beside it.
        golden_dir: Folder of subjects, or None to leave models and limits out.
        key: Who must have signed, or None for whoever the signature names.
        commit: Commit that must have been judged, or its beginning; '' for any.

    Raises:
        ConfigError: the run or its signature is missing or no signature of a run.
    """
    path = statement.signature_path(run)
    if not path.is_file():
        raise ConfigError(f"{path}: there is no signature; `pytest --sign=KEY` signs a run")
    signed = envelope.read(path)
    payload = envelope.payload_of(signed, where=str(path))
    said = _statement(payload, path)
    signer = key or envelope.public_from(said.key)
    troubles: list[str] = []
    if not envelope.is_signed_by(signed, payload, signer):
        whose = "the given key" if key else "the key that it names"
        troubles.append(f"the signature was not made with {whose}, or its content was changed")
    elif envelope.raw(signer) != said.key:
        troubles.append("the signature names another key than the one that made it")
    troubles += _lines(said, run)
    if said.chain != statement.chain(said.lines):
        troubles.append("the chain of lines does not hold together")
    if commit and not _is_commit(said.commit, commit):
        troubles.append(f"it judged commit {said.commit or 'unknown'}, not {text.brief(commit)}")
    troubles += _images(said, run)
    if golden_dir is not None:
        troubles += _files(said, golden_dir)
    return Checked(
        statement=said,
        signer=envelope.fingerprint(signer),
        troubles=tuple(map(text.line, troubles)),
    )


def _statement(payload: bytes, path: Path) -> Statement:
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: its payload is no JSON") from None
    return schema.parse(Statement, data, where=str(path))


def _is_commit(judged: str, demanded: str) -> bool:
    """Return whether two names are of one commit; one with changes of its own is no commit."""
    shorter, longer = sorted((judged, demanded), key=len)
    return "+" not in judged and len(shorter) >= 7 and longer.startswith(shorter)


def _lines(said: Statement, run: Path) -> Iterator[str]:
    """Yield each line that is missing, added, moved or another than the one that was signed."""
    raw = statement.raw_lines(run)
    now = [sha256_of(line) for line in raw]
    matcher = difflib.SequenceMatcher(None, said.lines, now, autojunk=False)
    steps = [step for step in matcher.get_opcodes() if step[0] != "equal"]
    lost = {at: said.lines[at] for _, low, high, _, _ in steps for at in range(low, high)}
    extra = {at: now[at] for _, _, _, low, high in steps for at in range(low, high)}
    where = {digest: at for at, digest in extra.items()}
    moved = {at: where[digest] for at, digest in lost.items() if digest in where}
    found = [f"line {old + 1} was moved to line {new + 1}" for old, new in moved.items()]
    for _, low, high, begin, end in steps:
        old = [at for at in range(low, high) if at not in moved]
        new = [at for at in range(begin, end) if at not in moved.values()]
        pairs = min(len(old), len(new))
        found += [f"line {at + 1} was changed: {_about(raw[at])}" for at in new[:pairs]]
        found += [f"line {at + 1} was added: {_about(raw[at])}" for at in new[pairs:]]
        found += _missing(old[pairs:], len(said.lines))
    yield from found[:_SHOWN]
    if len(found) > _SHOWN:
        yield f"and {len(found) - _SHOWN} more lines"


def _missing(places: Sequence[int], total: int) -> list[str]:
    if len(places) > 1 and places[-1] == total - 1:
        return [f"lines {places[0] + 1} to {total} are missing: the file was cut short"]
    return [f"line {at + 1} of {total} is missing" for at in places]


def _about(line: bytes) -> str:
    """Return what a line is about, as far as it can be read."""
    try:
        data = json.loads(line)
        ((name, fields),) = data.items()
        parts = [fields.get(part) for part in ("subject", "variant", "device", "delegate", "test")]
    except (ValueError, AttributeError, RecursionError):
        return "no line of a run"
    return text.brief(" ".join([str(name), *(str(part) for part in parts if part)]), text.NAME)


def _images(said: Statement, run: Path) -> Iterator[str]:
    folder = run.parent / "images"
    for name, digest in said.images.items():
        yield from _file(f"image {name}", folder / name, digest, name)


def _files(said: Statement, golden_dir: Path) -> Iterator[str]:
    for name, digest in said.files.items():
        path = golden_dir / name
        subject, _, rest = name.partition("/")
        if rest == SUBJECT_FILE and path.is_file() and statement.hash_of(path) != digest:
            yield from _limits(said.limits.get(subject, ""), path, name)
        else:
            yield from _file(name, path, digest, name)


def _file(label: str, path: Path, digest: str, name: str) -> Iterator[str]:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        yield f"{label}: leads out of the folder"
    elif not path.is_file():
        yield f"{label}: is missing"
    elif statement.hash_of(path) != digest:
        yield f"{label}: was changed"


def _limits(was: str, path: Path, name: str) -> Iterator[str]:
    """Yield each line of a subject.toml that is another than the one that was judged by."""
    now = files.read_text(path, error=ConfigError).splitlines()
    old = was.splitlines()
    found = []
    for kind, low, high, begin, end in difflib.SequenceMatcher(
        None, old, now, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            before, after = " / ".join(old[low:high]), " / ".join(now[begin:end])
            found.append(
                f"{name}:{begin + 1}: was changed: {text.brief(before, 120) or 'nothing'} -> "
                f"{text.brief(after, 120) or 'nothing'}"
            )
    yield from found[:_SHOWN] or [f"{name}: was changed"]
