"""The scheduler of a farm: Dask's, listening where only the farm's own can speak to it."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from harness.farm import links
from harness.farm.links import Address

TTL_S = 30.0
"""A worker that has not been heard of for so long is lost. The engine waits for ten heartbeats at
least, which are 5 s apart below 50 workers and 10 s apart below 100, and up with their number."""


@contextlib.asynccontextmanager
async def serving(
    address: Address,
    *,
    certs: Path | None = None,
    dashboard: int | None = None,
    ttl_s: float = TTL_S,
) -> AsyncIterator[Address]:
    """Run a scheduler; yield the address that it listens on.

    Args:
        address: Where to listen; port 0 takes any free one.
        certs: Folder of certificates.
        dashboard: Loopback port of the engine's dashboard and its metrics, which are plain HTTP
            without a login; None for none.
        ttl_s: Seconds of silence after which a worker counts as lost.

    Raises:
        ConfigError: there are no certificates for an address that others can reach.
        HarnessError: the port is taken.
        StackMissing: the extra `farm` is not installed.
    """
    security = links.security(address, certs, "scheduler")
    import dask
    from distributed import Scheduler

    from harness.errors import HarnessError

    with dask.config.set({"distributed.scheduler.worker-ttl": f"{ttl_s:g}s"}):
        scheduler = Scheduler(
            host=f"{address.scheme}://{address.host}",
            port=address.port,
            security=security or {},
            dashboard=dashboard is not None,
            dashboard_address=f"127.0.0.1:{dashboard or 0}",
        )
        try:
            await scheduler
        except OSError as error:
            raise HarnessError(f"{address}: cannot listen there ({error.strerror})") from None
        try:
            yield Address.parse(scheduler.address)
        finally:
            await scheduler.close()


async def serve(
    address: Address,
    *,
    certs: Path | None,
    dashboard: int | None,
    ttl_s: float,
    say: Callable[[str], None],
) -> None:
    """Run a scheduler until it is told to end, saying what listens and for whom."""
    ended = ending()
    async with serving(address, certs=certs, dashboard=dashboard, ttl_s=ttl_s) as found:
        say(f"scheduler at {found}")
        if address.scheme == "tcp":
            say("without TLS: only this machine can reach it; `harness farm certs` makes more")
        if dashboard is not None:
            say(f"dashboard at http://127.0.0.1:{dashboard}/status, for this machine only")
        await ended.wait()


def ending() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    return ended
