"""A child process that answers emulated requests."""

import functools
import json

from harness import schema
from harness.devices.device import ask
from harness.devices.emulated import Emulated
from harness.images import Size
from harness.inputs import Inputs
from harness.model import Model
from harness.profiles import Target
from harness.requests import Answer, Request, Verb
from harness.worker import serve


@functools.lru_cache(maxsize=64)
def _device(target: str, threads: int) -> Emulated:
    """Return the stand-in for a target, given as JSON; it remembers what it placed."""
    return Emulated(schema.parse(Target, json.loads(target), where="target"), threads=threads)


@functools.lru_cache(maxsize=32)
def _known(model: Model) -> Model:
    """Return the first model with the same bytes, with what was derived from it."""
    return model


def answer(
    target: str,
    threads: int,
    verb: Verb,
    model: Model,
    size: Size,
    inputs: Inputs | None,
    before: Model | None,
) -> Answer | None:
    """Answer one request on this host; the target comes as JSON."""
    device = _device(target, threads)
    request = Request(
        target=device.target,
        verb=verb,
        model=_known(model),
        size=size,
        inputs=inputs,
        before=_known(before) if before is not None else None,
    )
    return ask(device, request)


if __name__ == "__main__":
    serve({"answer": answer})
