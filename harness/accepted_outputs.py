"""Outputs other than FP32's that a person lets a device or driver make, for a time.

`references/accepted.json` lists them; the images lie in `references/accepted/`, in 16 bits like
the goldens.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import blessed_outputs, files, schema
from harness.baselines import check_day
from harness.errors import BlessedDataError, ConfigError
from harness.evidence import Evidence, Provenance, sha256_of
from harness.inputs import Values
from harness.subjects import Subject


@dataclass(frozen=True, kw_only=True)
class AcceptedOutput:
    """What a person lets a variant make of one frame on one device.

    Attributes:
        frame: Name of the frame.
        variant: Name of the variant.
        file_sha256: Content hash of the exported file that made it.
        device: Profile name.
        delegate: Delegate.
        evidence: How it was made; only an output of equal evidence is held to it.
        image_sha256: Hash of its file in `references/accepted/`.
        because: Why it may stay.
        until: Last day on which it may, ISO 8601.
        fingerprint: Of the phone without its build number; None for what no phone made.
        run: Id of the run that it is from.
    """

    frame: str
    variant: str
    file_sha256: str
    device: str
    delegate: str
    evidence: Evidence
    image_sha256: str
    because: str
    until: str
    fingerprint: str | None = None
    run: str = ""

    def __post_init__(self) -> None:
        """Refuse one without reason or last day.

        Raises:
            ValueError: it has none.
        """
        if not self.until or not self.because.strip():
            raise ValueError("an accepted output has a reason, and a last day (until)")
        check_day(self.until)

    @property
    def key(self) -> tuple[str, ...]:
        """Return what tells it from the others of its subject."""
        about = (self.frame, self.variant, self.device, self.delegate, self.evidence.value)
        return (*about, self.fingerprint or "", self.image_sha256)

    def fits(self, made: Provenance) -> bool:
        """Return whether an output may be held to it: of the same kind and the same phone."""
        same = made.evidence.repeats or made.device == self.fingerprint
        return made.evidence is self.evidence and same


@dataclass(frozen=True, kw_only=True)
class _File:
    outputs: tuple[AcceptedOutput, ...] = ()


def path_of(subject: Subject) -> Path:
    """Return where a subject's accepted outputs are listed."""
    return subject.references / "accepted.json"


def load(subject: Subject) -> tuple[AcceptedOutput, ...]:
    """Return a subject's accepted outputs, expired ones included; none where nothing is listed.

    Raises:
        ConfigError: the list is wrong.
    """
    path = path_of(subject)
    return schema.load_json(_File, path).outputs if path.exists() else ()


def outputs_of(subject: Subject, one: AcceptedOutput) -> tuple[Values, ...]:
    """Return the outputs of an accepted one, as `goldens.judged` gives them.

    Raises:
        BlessedDataError: the image is missing or is not the one that was accepted.
    """
    path = _image(subject, one.image_sha256)
    data = files.read(path, at_most_bytes=files.IMAGE_BYTES_MAX, error=BlessedDataError)
    if sha256_of(data) != one.image_sha256:
        raise BlessedDataError(f"{path}: is not the image that was accepted; put it back")
    return blessed_outputs.unpack(subject, data, path)


def store(subject: Subject, entries: Sequence[tuple[AcceptedOutput, Sequence[Values]]]) -> Path:
    """Add accepted outputs with their images; only `harness bless --triage` calls this.

    Raises:
        BlessedDataError: an output can be no reference: it is not finite, or out of range.
        ConfigError: the list is wrong.
    """
    added = []
    for one, made in entries:
        blessed_outputs.refuse_unusable(subject, one.frame, made)
        data = blessed_outputs.pack(subject, made)
        path = _image(subject, sha256_of(data))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        added.append(replace(one, image_sha256=sha256_of(data)))
    new = {one.key for one in added}
    kept = [one for one in load(subject) if one.key not in new]
    return _write(subject, [*kept, *added])


def drop_expired(subject: Subject, *, today: str) -> None:
    """Take outputs off whose last day is over, and images that no output is left of.

    Raises:
        ConfigError: the list is wrong.
    """
    before = load(subject)
    kept = [one for one in before if one.until >= today]
    if len(kept) < len(before):
        _write(subject, kept)
        for gone in {one.image_sha256 for one in before} - {one.image_sha256 for one in kept}:
            _image(subject, gone).unlink(missing_ok=True)


def _write(subject: Subject, outputs: Sequence[AcceptedOutput]) -> Path:
    listed = tuple(sorted(outputs, key=lambda one: one.key))
    path = path_of(subject)
    path.write_text(
        json.dumps(schema.dump(_File(outputs=listed)), indent=1) + "\n", encoding="utf-8"
    )
    return path


def _image(subject: Subject, sha256: str) -> Path:
    if not sha256.isalnum():
        raise ConfigError(f"{path_of(subject)}: {sha256!r:.80} is no hash of an image")
    return subject.references / "accepted" / f"{sha256}.npz"
