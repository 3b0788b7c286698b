"""A fact as one line of plain data, as runs keep it and farms send it; pixels are not in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import schema
from harness.errors import ConfigError
from harness.evidence import Provenance
from harness.images import Output, sha256_of_pixels
from harness.inputs import Values
from harness.keys import Key
from harness.latency import Estimate, EstimatePair, Instructions, Latency, Pairs
from harness.memory import Memory
from harness.placement import Placement
from harness.requests import Answer, Fact


@dataclass(frozen=True, kw_only=True)
class Taken(Key):
    """A fact as it is kept.

    Attributes:
        request: Key of the request that it answers.
        verb: What was asked.
        file_sha256: Content hash of the exported file.
        file_bytes: Its size; 0 in runs of versions that did not write it.
        macs: Of a placement, multiply-accumulates of one inference at the resolution; else None.
        kind: Name of the answer's type, such as `Latency`; '' where there is none.
        answer: Its fields; of an image all but the pixels.
        error: Why there is no answer, or ''.
        error_kind: Name of the error's type, or ''.
    """

    request: str
    verb: str
    file_sha256: str
    file_bytes: int = 0
    macs: int | None = None
    kind: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    error_kind: str = ""


_SHA256 = re.compile(r"[0-9a-f]{64}")
_KINDS: Mapping[str, type[Answer]] = {
    kind.__name__: kind
    for kind in (Latency, Estimate, Pairs, EstimatePair, Placement, Memory, Instructions)
}


def answer_of(
    taken: Taken, *, where: str, values: Mapping[str, Values] | None = None
) -> Answer | None:
    """Return the answer that a line holds, or None where it holds none.

    Args:
        taken: The line.
        where: Names the place in error messages.
        values: Those of an output by name, which no line holds; without them it has no answer.

    Raises:
        ConfigError: its fields are not those of its kind.
    """
    if taken.kind in _KINDS:
        return schema.parse(_KINDS[taken.kind], taken.answer, where=where)
    if taken.kind == Output.__name__ and values is not None:
        made = schema.parse(Provenance, taken.answer.get("provenance"), where=where)
        repeat = taken.answer.get("repeat_relative_l2")
        if repeat is not None:
            repeat = schema.parse(float, repeat, where=where)
        return Output(values=values, provenance=made, repeat_relative_l2=repeat)
    return None


def output_names(taken: Taken, *, where: str) -> tuple[str, ...]:
    """Return the names of the outputs whose values lie beside a line.

    Raises:
        ConfigError: it names none.
    """
    return schema.parse(tuple[str, ...], taken.answer.get("outputs"), where=where)


def output_hashes(taken: Taken, *, where: str) -> tuple[str, ...]:
    """Return the content hash of each output of a line, or () where it states none.

    Raises:
        ConfigError: there is not one SHA-256 an output.
    """
    hashes = schema.parse(tuple[str, ...], taken.answer.get("outputs_sha256", []), where=where)
    named = output_names(taken, where=where)
    if hashes and (len(hashes) != len(named) or not all(map(_SHA256.fullmatch, hashes))):
        raise ConfigError(f"{where}: outputs_sha256 is not one SHA-256 for each of the outputs")
    return hashes


def line(fact: Fact) -> Taken:
    """Return a fact as a line of a run; an image's pixels are not in it."""
    request, answer, error = fact.request, fact.answer, fact.error
    if isinstance(answer, Output):
        fields = {
            "provenance": schema.dump(answer.provenance),
            "outputs": list(answer.values),
            "repeat_relative_l2": answer.repeat_relative_l2,
            "outputs_sha256": [sha256_of_pixels(values) for values in answer.values.values()],
        }
        if request.inputs is not None:
            fields["inputs_sha256"] = request.inputs.sha256
    else:
        fields = schema.dump(answer) if answer is not None else {}
    return Taken(
        device=request.target.profile.name,
        delegate=request.target.delegate,
        subject=request.subject,
        variant=request.variant,
        revision=request.revision,
        resolution=str(request.size),
        request=request.key,
        verb=request.verb.value,
        file_sha256=request.model.sha256,
        file_bytes=len(request.model.data),
        macs=request.sized.graph.macs if isinstance(answer, Placement) else None,
        kind=type(answer).__name__ if answer is not None else "",
        answer=fields,
        error=str(error) if error is not None else "",
        error_kind=type(error).__name__ if error is not None else "",
    )
