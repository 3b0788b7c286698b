"""Try to deliver until it is done, is refused for good, or the time for it is over."""

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

PAUSE_S = 1.0
"""Pause after the first attempt; each further one is twice as long."""
_JITTER_SHARE = 0.5
"""Share of a pause that is left to chance, so that many senders do not come back at once."""


@dataclass(frozen=True, kw_only=True)
class Undelivered:
    """Why something was not delivered.

    Attributes:
        why: In words.
        again: Whether another attempt may succeed.
        wait_s: How long the server asks to wait before that.
    """

    why: str
    again: bool = False
    wait_s: float = 0.0


def until_delivered(
    attempt: Callable[[float], Undelivered | None], *, within_s: float, pause_s: float = PAUSE_S
) -> Undelivered | None:
    """Return None once an attempt succeeds, or why the last one did not.

    Args:
        attempt: Tries once, within the seconds that it is given.
        within_s: Limit on all attempts and the pauses between them.
        pause_s: Pause after the first attempt.
    """
    deadline = time.monotonic() + within_s
    for number in itertools.count(1):
        refusal = attempt(deadline - time.monotonic())
        if refusal is None or not refusal.again:
            return refusal
        backoff_s = pause_s * 2 ** (number - 1) * random.uniform(1 - _JITTER_SHARE, 1)
        wait_s = max(backoff_s, refusal.wait_s)
        if time.monotonic() + wait_s >= deadline:
            return Undelivered(
                why=f"{refusal.why}; attempt {number} was the last in {within_s:g} s"
            )
        time.sleep(wait_s)
    raise AssertionError("count() never ends")
