"""A client of the engine, connected to a scheduler."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from harness.errors import DeviceError
from harness.farm import fleet, links
from harness.farm.fleet import Fleet
from harness.farm.links import Address

ASK_LIMIT_S = 30.0
_CONNECT_LIMIT_S = 10


class AwayError(DeviceError):
    """A scheduler that does not answer now, and may again."""


def connect(address: Address, certs: Path | None) -> Any:
    """Return the engine's client, connected to a scheduler.

    Raises:
        AwayError: it does not answer, or does not trust this client.
        ConfigError: TLS is not set up here.
        StackMissing: the extra `farm` is not installed.
    """
    security = links.security(address, certs, "client")
    from distributed import Client

    _silence()
    try:
        return Client(
            str(address),
            security=security,
            timeout=_CONNECT_LIMIT_S,
            set_as_default=False,
            name="harness",
            # What hosts answer is text and bytes: nothing of theirs is unpickled here.
            serializers=["msgpack", "error"],
            deserializers=["msgpack", "error"],
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise AwayError(
            f"the scheduler at {address} does not answer ({str(error) or 'no answer'}); start it "
            "with `harness farm scheduler`, and check that both sides have certificates of one "
            "authority"
        ) from None


def _silence() -> None:
    """Let the engine log nothing here.

    What it logs when a host lies quotes the lie, and what it logs when it breaks is said by us.
    """
    for name in (*logging.Logger.manager.loggerDict, "distributed"):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


NOTHING = object()
"""What is fetched where there is no data."""


def fetch(client: Any, key: str, then: Callable[[object], None]) -> None:
    """Bring what a task answered, and hand it over in the client's thread; do not wait for it.

    What is neither text, bytes nor numbers, or is not there any more, is NOTHING.

    Raises:
        AwayError: the connection to the scheduler broke.
    """
    scheduler = client.scheduler
    if scheduler is None:
        raise AwayError("the connection broke")

    async def bring() -> None:
        said: object = NOTHING
        # An object is a TypeError or ValueError here: it is not unpickled.
        with contextlib.suppress(OSError, TimeoutError, TypeError, ValueError, CancelledError):
            asked = scheduler.gather(keys=[key])
            reply = await asyncio.wait_for(asked, ASK_LIMIT_S)
            said = reply["data"].get(key, NOTHING) if reply["status"] == "OK" else NOTHING
        then(said)

    client.loop.add_callback(bring)


def look(client: Any) -> Fleet:
    """Ask the scheduler who is there.

    Raises:
        AwayError: it does not answer.
    """
    scheduler = client.scheduler
    if scheduler is None:
        raise AwayError("the connection broke")
    with away():
        info = client.sync(scheduler.identity, n_workers=-1, callback_timeout=ASK_LIMIT_S)
    return fleet.read(info["workers"])


def close(client: Any) -> None:
    """Leave the scheduler, if it is still there."""
    with contextlib.suppress(OSError, TimeoutError):
        client.close(timeout=2)


@contextlib.contextmanager
def away() -> Iterator[None]:
    """Turn what the engine raises when it has lost its scheduler into AwayError."""
    from distributed.client import ClosedClientError

    try:
        yield
    except (OSError, TimeoutError, CancelledError, RuntimeError, ClosedClientError) as error:
        raise AwayError(str(error) or type(error).__name__) from None
