"""What every lab answers. Nobody else knows where the devices of a run are."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from harness.profiles import Target
from harness.requests import Fact, Request


class Lab(Protocol):
    """What answers requests, wherever the devices are."""

    @property
    def name(self) -> str:
        """Return the name that `--lab` gave it, without secrets; '' for this host."""

    def open(self) -> None:
        """Reach what the lab stands for; called once, before the first request.

        Raises:
            HarnessError: it cannot be reached, or the user may not use it.
        """

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield one fact for each request, in any order."""

    def fingerprint(self, target: Target) -> str:
        """Return what identifies the device that answers for a target, and its software."""

    def findings(self) -> list[str]:
        """Return what was found about devices beside the facts, one sentence for each."""

    def close(self) -> list[str]:
        """Release every device, and return what went wrong with any of them."""
