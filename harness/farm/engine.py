"""A client of the engine, connected to a scheduler."""

import contextlib
import logging
from collections.abc import Iterator
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

    # What it logs when a host lies quotes the lie, and what it logs when it breaks is said here.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
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


def look(client: Any) -> Fleet:
    """Ask the scheduler who is there.

    Raises:
        AwayError: it does not answer.
    """
    with away():
        info = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=ASK_LIMIT_S)
    return fleet.read(info["workers"])


def close(client: Any) -> None:
    """Leave the scheduler, if it is still there."""
    with contextlib.suppress(OSError, TimeoutError):
        client.close(timeout=2)


@contextlib.contextmanager
def away() -> Iterator[None]:
    """Turn what the engine raises when it has lost its scheduler into AwayError."""
    try:
        yield
    except (OSError, TimeoutError, CancelledError, RuntimeError) as error:
        raise AwayError(str(error) or type(error).__name__) from None
