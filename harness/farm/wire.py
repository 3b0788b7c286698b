"""What travels between who judges and the hosts of a farm: plain JSON, checked on arrival.

A Question names a model and a frame by hash; a host that lacks one says so and is sent it. A
FarmReply holds one line of a run, as `fact_lines` writes it, and an image's pixels beside it. Both
sides take what arrives for data that anybody may have written: sizes are bounded before anything is
parsed, types and names are checked, and a fact must be of the very model that was asked about.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from harness import __version__, fact_lines, schema
from harness.devices.connect import Origin
from harness.errors import (
    BlessedDataError,
    ConfigError,
    DeviceError,
    HarnessError,
    MeasurementError,
    ModelError,
    StackMissing,
    TimeLimitError,
)
from harness.evidence import Evidence, sha256_of
from harness.fact_lines import Taken
from harness.images import Output, Size
from harness.inputs import Inputs, Values
from harness.latency import Estimate, EstimatePair, Instructions, Latency, Pairs
from harness.memory import Memory
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Target
from harness.requests import Answer, Fact, Request, Verb
from harness.roles import InputSpec

WIRE = 2
"""Number of this format."""
VERSION = f"harness {__version__} wire {WIRE}"
"""What both sides must have in common; workers offer it as a resource, so none other is asked."""
QUESTION_BYTES_MAX = 2**20
REPLY_BYTES_MAX = 2**24
"""A placement of 10,000 ops has about 2 MiB."""
_STRING_MAX = 4000
_ERRORS: Mapping[str, type[HarnessError]] = {
    kind.__name__: kind
    for kind in (
        BlessedDataError, ConfigError, DeviceError, HarnessError, MeasurementError, ModelError,
        StackMissing, TimeLimitError,
    )
}  # fmt: skip
_ANSWERS: Mapping[Verb, tuple[type[Answer] | type[None], ...]] = {
    Verb.RUN: (Output,),
    Verb.TIME: (Latency, Estimate),
    Verb.COMPARE: (Pairs, EstimatePair),
    Verb.PLACE: (Placement,),
    Verb.MEMORY: (Memory,),
    Verb.COUNT: (Instructions, type(None)),
}
_MEASURED = (Evidence.PHONE, Evidence.FAKE)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Given:
    """One input of a model.

    Attributes:
        name: Its name, '' for a model's only input.
        shape: Of its values.
        sha256: Content hash of them as little-endian float32.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request as it is sent.

    Attributes:
        nonce: Unique to this sending; the reply repeats it.
        key: The request's key, worked out again by the host from what it has.
        origin: `phone` or `emulated`: who is to answer.
        target: Phone and delegate.
        verb: What is asked.
        model: Content hash of the bytes to start from.
        model_name: What a person calls it.
        source_sha256: Content hash of the file that those were resized from, or ''.
        size: Resolution, such as `1280x720`.
        inputs: What it is given, in order; none but for RUN.
        described: What a person said of the model's inputs; none where nobody did.
        before: Content hash of an earlier file's bytes, or ''; for COMPARE only.
        before_source_sha256: Content hash of the file that those were resized from, or ''.
        limits_ms: The budgets that a timing is repeated for.
        subject: Name of the subject that it is about, or ''.
        variant: Name of the variant likewise.
        revision: What the variant is of; '' for today's subjects.
    """

    nonce: str
    key: str
    origin: str
    target: Target
    verb: Verb
    model: str
    model_name: str
    size: str
    source_sha256: str = ""
    inputs: tuple[Given, ...] = ()
    described: tuple[InputSpec, ...] = ()
    before: str = ""
    before_source_sha256: str = ""
    limits_ms: tuple[float, ...] = ()
    subject: str = ""
    variant: str = ""
    revision: str = ""

    @property
    def contents(self) -> tuple[str, ...]:
        """Return the hashes of what it refers to."""
        earlier = (self.before,) if self.before else ()
        return (self.model, *earlier, *(given.sha256 for given in self.inputs))


@dataclass(frozen=True, kw_only=True)
class FarmReply:
    """What a host says to a question.

    Attributes:
        nonce: That of the question.
        station: Name of the worker, `HOST/SERIAL` or `HOST/emulated`.
        fence: How often the phone had been taken by anyone when it answered; a lower number than
            one already seen is an answer of who has lost the phone.
        seconds: How long it took.
        lacks: Hashes of what must be sent first; then there is no fact.
        fact: The fact as a line of a run, or None.
        failure: '' for an answer or an error that any phone would give, `phone` where another
            one may answer, `crash` or `hang` of the process that answers.
    """

    nonce: str
    station: str
    fence: int = 0
    seconds: float = 0.0
    lacks: tuple[str, ...] = ()
    fact: Taken | None = None
    failure: str = ""


Message = tuple[str, bytes]
"""A reply as JSON, and the values of all outputs as float32 in order, or nothing."""


def ask(request: Request, *, nonce: str, origin: Origin) -> Question:
    """Return a request as a question."""
    return Question(
        nonce=nonce,
        key=request.key,
        origin=origin.value,
        target=request.target,
        verb=request.verb,
        model=request.model.sha256,
        model_name=request.model.name,
        source_sha256=request.model.source_sha256,
        size=str(request.size),
        inputs=tuple(
            Given(name=name, shape=values.shape, sha256=sha256_of(_bytes(values)))
            for name, values in (request.inputs or {}).items()
        ),
        described=request.model.inputs,
        before=request.before.sha256 if request.before is not None else "",
        before_source_sha256=request.before.source_sha256 if request.before is not None else "",
        limits_ms=request.limits_ms,
        subject=request.subject,
        variant=request.variant,
        revision=request.revision,
    )


def contents(request: Request) -> dict[str, bytes]:
    """Return what a question refers to, by hash."""
    models = (request.model, *([request.before] if request.before is not None else []))
    found = {model.sha256: model.data for model in models}
    for values in (request.inputs or {}).values():
        data = _bytes(values)
        found[sha256_of(data)] = data
    return found


def _bytes(values: Values) -> bytes:
    """Return values as little-endian float32."""
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def write(thing: Question | FarmReply) -> str:
    """Return JSON of one line."""
    return json.dumps(schema.dump(thing))


def read_question(text: object) -> Question:
    """Read what a host was asked.

    Raises:
        ConfigError: it is no question, or too long.
    """
    return _read(Question, text, QUESTION_BYTES_MAX, "question")


def request_of(question: Question, known: Mapping[str, bytes]) -> Request:
    """Return the request of a question, from contents that were checked by hash.

    Raises:
        ConfigError: they are not what the judge means by its key.
        ModelError: the model cannot be read or resized.
    """
    values = {one.name: _values(known[one.sha256], one.shape) for one in question.inputs}
    before = None
    if question.before:
        before = Model(
            name=f"{question.model_name} before",
            data=known[question.before],
            source_sha256=question.before_source_sha256,
            inputs=question.described,
        )
    request = Request(
        target=question.target,
        verb=question.verb,
        model=Model(
            name=question.model_name,
            data=known[question.model],
            source_sha256=question.source_sha256,
            inputs=question.described,
        ),
        size=Size.parse(question.size),
        inputs=Inputs(values) if values else None,
        before=before,
        limits_ms=question.limits_ms,
        subject=question.subject,
        variant=question.variant,
        revision=question.revision,
    )
    if request.key != question.key:
        raise ConfigError(
            "question: its key is not that of what it asks; both sides need one version of the "
            "harness"
        )
    return request


def message(reply: FarmReply, fact: Fact | None = None) -> Message:
    """Return a reply as it is sent."""
    beside = b""
    if fact is not None and isinstance(fact.answer, Output):
        beside = b"".join(_bytes(values) for values in fact.answer.values.values())
    return write(reply), beside


def read_reply(said: object, *, nonce: str) -> tuple[FarmReply, bytes]:
    """Read what a host said, as far as that needs no request.

    Raises:
        ConfigError: it is no reply to this question.
    """
    if not isinstance(said, (tuple, list)) or len(said) != 2 or not isinstance(said[1], bytes):
        raise ConfigError(f"reply: expected text and bytes, found {type(said).__name__}")
    reply = _read(FarmReply, said[0], REPLY_BYTES_MAX, "reply")
    if reply.nonce != nonce:
        raise ConfigError("reply: it answers another question; an old answer was sent again")
    return reply, said[1]


def read_fact(reply: FarmReply, beside: bytes, request: Request, origin: Origin) -> Fact:
    """Return the fact that a reply holds, if it is one that the request can have.

    Raises:
        ConfigError: it is not, and why.
    """
    taken = reply.fact
    if taken is None:
        raise ConfigError("reply: holds no fact")
    expected = fact_lines.line(Fact(request=request))
    for name in ("request", "device", "delegate", "resolution", "verb", "file_sha256"):
        if getattr(taken, name) != getattr(expected, name):
            raise ConfigError(
                f"reply: its {name} is {getattr(taken, name)!r:.80}, and "
                f"{getattr(expected, name)!r:.80} was asked"
            )
    if taken.error:
        kind = _ERRORS.get(taken.error_kind)
        if kind is None or taken.kind:
            raise ConfigError(f"reply: {taken.error_kind!r:.80} is no error of the harness")
        return Fact(request=request, error=kind(taken.error))
    values = _outputs(taken, beside, request) if request.verb is Verb.RUN else None
    answer = fact_lines.answer_of(taken, where="reply", values=values)
    if type(answer) not in _ANSWERS[request.verb]:
        raise ConfigError(f"reply: {taken.kind!r:.80} is no answer to {request.verb.value}")
    if answer is not None:
        _check_provenance(answer, request, origin)
    return Fact(request=request, answer=answer)


def _outputs(taken: Taken, data: bytes, request: Request) -> dict[str, Values]:
    """Cut what came beside a line into the outputs that the model has.

    Raises:
        ConfigError: names or sizes are others.
    """
    graph = request.sized.graph
    names = fact_lines.output_names(taken, where="reply")
    if names != graph.output_names:
        raise ConfigError(f"reply: its outputs are {names!r:.80}, not those of the model")
    shapes = [graph.tensors[i].shape for i in graph.outputs]
    sizes = [4 * math.prod(shape) for shape in shapes]
    if len(data) != sum(sizes):
        raise ConfigError(f"reply: its outputs have {len(data)} bytes, and {sum(sizes)} are asked")
    found, start = {}, 0
    for name, shape, size_bytes in zip(names, shapes, sizes, strict=True):
        found[name] = _values(data[start : start + size_bytes], shape)
        start += size_bytes
    return found


def _values(data: bytes, shape: tuple[int, ...]) -> Values:
    if min(shape, default=1) < 0 or len(data) != 4 * math.prod(shape):
        raise ConfigError(f"{len(data)} bytes are no float32 of the shape {list(shape)!r:.80}")
    return np.frombuffer(data, "<f4").reshape(shape).astype(np.float32)


def _check_provenance(answer: Answer, request: Request, origin: Origin) -> None:
    """Refuse a fact of another model, and a measurement where none was asked, or the reverse.

    Raises:
        ConfigError: it is one.
    """
    made = answer.provenance
    if made.variant_sha256 != request.sized.sha256:
        raise ConfigError("reply: the fact is of another model than the one asked about")
    if isinstance(answer, Pairs):
        before = request.before.at(request.size) if request.before is not None else None
        if before is None or answer.before_sha256 != before.sha256:
            raise ConfigError("reply: it compares with another model than was asked")
    measured, wanted = made.evidence in _MEASURED, origin is Origin.PHONE
    of_graph = request.verb is Verb.MEMORY and made.evidence is Evidence.RULES
    if measured is not wanted and not (wanted and of_graph):
        raise ConfigError(f"reply: {made.evidence.value} is no evidence of {origin.value} facts")


def _read(kind: type[T], text: object, most_bytes: int, where: str) -> T:
    if not isinstance(text, str):
        raise ConfigError(f"{where}: expected text, found {type(text).__name__}")
    if len(text) > most_bytes:
        raise ConfigError(f"{where}: has {len(text)} characters, at most {most_bytes} are read")
    try:
        data = json.loads(text)
        _check(data, where)
    except RecursionError:
        raise ConfigError(f"{where}: it is nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{where}: not JSON: {error}") from None
    return schema.parse(kind, data, where=where)


def _check(data: Any, where: str) -> None:
    """Refuse numbers that are none, and text that is no line for a person.

    Raises:
        ConfigError: there is such a value.
    """
    if isinstance(data, float) and not math.isfinite(data):
        raise ConfigError(f"{where}: holds {data}, which is no number")
    if isinstance(data, str) and not (data.isprintable() and len(data) <= _STRING_MAX):
        raise ConfigError(f"{where}: holds {data!r:.80}, which is too long or not printable")
    if isinstance(data, dict):
        for key, value in data.items():
            _check(key, where)
            _check(value, where)
    elif isinstance(data, list):
        for value in data:
            _check(value, where)
