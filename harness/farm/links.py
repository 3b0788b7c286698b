"""Addresses of a farm and who may speak there: loopback, or mutual TLS."""

import datetime
import ipaddress
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness import extras
from harness.errors import ConfigError, StackMissing
from harness.farm import certs

if TYPE_CHECKING:
    from distributed.security import Security

CERTS_VARIABLE = "HARNESS_FARM_CERTS"
"""Names the folder of certificates where no option does."""
PORT = 8786
"""Source: the port that Dask's scheduler is registered for."""
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
_ROLES = {"scheduler": "scheduler", "host": "worker", "client": "client"}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a scheduler listens.

    Attributes:
        scheme: tcp or tls.
        host: Name or address.
        port: Port, 0 for any when listening.
    """

    scheme: str
    host: str
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `tls://HOST:PORT` or `tcp://127.0.0.1:PORT`.

        Raises:
            ConfigError: it is something else, or would send data over a network in the clear.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match[3] or 0) > 65535:
            raise ConfigError(
                f"{text!r:.80} is no address of a farm; write tls://HOST:{PORT}, or "
                f"tcp://127.0.0.1:{PORT} for one that nobody else can reach"
            )
        found = cls(scheme=match[1], host=match[2].strip("[]"), port=int(match[3] or PORT))
        if found.scheme == "tcp" and not found.loopback:
            raise ConfigError(
                f"{text}: without TLS a farm is reached from its own machine only, because who "
                "may submit may run code on every host; make certificates with `harness farm "
                f"certs DIR` and write tls://{found.host}:{found.port}"
            )
        return found

    @property
    def loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        """Return it as it is written."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def security(address: Address, folder: Path | None, role: str) -> "Security | None":
    """Return how one end of a link proves who it is and checks the other; None on loopback tcp.

    Args:
        address: Of the scheduler.
        folder: Of the certificates; by default $HARNESS_FARM_CERTS.
        role: scheduler, host or client.

    Raises:
        ConfigError: TLS without certificates, or with some that have expired.
        StackMissing: the extra `farm` is not installed.
    """
    engine()
    if address.scheme == "tcp":
        return None
    folder = folder or _named_folder()
    if folder is None:
        raise ConfigError(
            f"{address}: TLS needs certificates; make them with `harness farm certs DIR`, and name "
            f"the folder with --certs or ${CERTS_VARIABLE}"
        )
    authority, own = folder / f"{certs.AUTHORITY}.pem", folder / f"{role}.pem"
    for path in (authority, own):
        if not path.is_file():
            raise ConfigError(f"{path}: no such certificate; `harness farm certs {folder}`")
    ends = certs.expires_utc(own)
    if ends <= datetime.datetime.now(datetime.UTC):
        raise ConfigError(f"{own}: expired on {ends:%Y-%m-%d}; `harness farm certs {folder}`")
    from distributed.security import Security

    name = _ROLES[role]
    more: dict[str, Any] = {f"tls_{name}_cert": str(own), f"tls_{name}_key": str(own)}
    return Security(tls_ca_file=str(authority), require_encryption=True, **more)


def engine() -> None:
    """Make sure that the engine can be imported, with the settings that a farm needs.

    Raises:
        StackMissing: the extra `farm` is not installed.
    """
    try:
        import dask
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        raise StackMissing(
            f"{error.name} is not installed; {extras.install_command('farm')} adds it"
        ) from None
    dask.config.set(SETTINGS)
    logging.getLogger("distributed").setLevel(logging.ERROR)


SETTINGS: dict[str, Any] = {
    # What was lost is sent again by who asked, which counts how often and to whom.
    "distributed.scheduler.allowed-failures": 0,
    # A worker that was named is looked for by its address, which it does not keep when it ends.
    "distributed.scheduler.no-workers-timeout": "10s",
    "distributed.scheduler.worker-saturation": "inf",
    "distributed.scheduler.work-stealing": True,
    # Memory is bounded by the child processes that answer; a paused worker would hang its phone.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.daemon": False,
    "distributed.comm.retry.count": 0,
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.timeouts.tcp": "30s",
    "distributed.admin.system-monitor.gil.enabled": False,
    # A phone's station is idle most of the time: what the engine watches about itself is rare.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.worker.profile.enabled": False,
    # The last messages of each connection are kept for who debugs the engine: a thousand by
    # default, each with a question, which is 5 MiB for each station.
    "distributed.admin.low-level-log-length": 20,
    "distributed.scheduler.active-memory-manager.start": False,
}


def _named_folder() -> Path | None:
    named = os.environ.get(CERTS_VARIABLE)
    return Path(named) if named else None
