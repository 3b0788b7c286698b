"""A child process that answers emulated requests."""

import functools

from harness import child
from harness.devices.emulated import Emulated
from harness.images import Pixels, Size
from harness.lab import local
from harness.model import Model
from harness.profiles import Target
from harness.requests import Answer, Request, Verb


@functools.lru_cache(maxsize=32)
def _device(target: Target) -> Emulated:
    return Emulated(target)


@functools.lru_cache(maxsize=32)
def _known(model: Model) -> Model:
    """Return the first model with the same bytes, with what was derived from it."""
    return model


def answer(
    target: Target, verb: Verb, model: Model, size: Size, frame: Pixels | None
) -> Answer | None:
    """Answer one request on this host."""
    request = Request(target=target, verb=verb, model=_known(model), size=size, frame=frame)
    return local.answer(_device(target), request)


if __name__ == "__main__":
    child.serve({"answer": answer})
