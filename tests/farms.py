"""Run farms for tests: a scheduler and hosts, in processes of their own."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.devices.connect import Origin
from harness.farm.engine import AwayError
from harness.farm.fleet import Fleet
from harness.farm.lab import FarmLab
from harness.farm.links import Address
from harness.farm.watching import Watch

ROOT = Path(__file__).parents[1]
SCALE = 0.05
"""All that a host waits for, as a share of what it waits for in use."""


def command(
    folder: Path, name: str, *arguments: str, within: Sequence[str] = (), **environ: str
) -> subprocess.Popen[bytes]:
    """Start a harness command in a process group of its own; its output goes to NAME.log.

    Args:
        folder: Of the log.
        name: Of the log.
        arguments: Of the command.
        within: What runs it, such as `nsenter` with its options.
        environ: What its environment has more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [*within, sys.executable, "-m", "harness", *arguments],
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                # The engine asks workers for heartbeats by their number; tests are faster.
                "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s",
                **environ,
            },
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, and what it started in its own group, without a word."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)


def end(process: subprocess.Popen[bytes], limit_s: float = 60.0) -> int:
    """Ask a process to end, and return its exit code."""
    process.terminate()
    return process.wait(timeout=limit_s)


@dataclass(kw_only=True)
class Farm:
    """A farm of this machine."""

    folder: Path
    address: Address
    certs: Path | None = None
    ttl_s: float = 5.0
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_scheduler(self) -> None:
        """Start the scheduler, on the same address each time."""
        self.running["scheduler"] = command(
            self.folder, "scheduler", "farm", "scheduler", "--listen", str(self.address),
            *self._with_certs(), "--ttl-s", f"{self.ttl_s:g}",
        )  # fmt: skip

    def start_host(
        self, name: str, *, emulated: int = 0, serials: Sequence[str] = (), scale: float = SCALE,
        more: Sequence[str] = (), within: Sequence[str] = (), **environ: str,
    ) -> None:  # fmt: skip
        """Start a host with some of this machine's phones."""
        named = [part for serial in serials for part in ("--serial", serial)]
        self.running[name] = command(
            self.folder, name, "farm", "host", "--scheduler", str(self.address), "--name", name,
            "--folder", str(self.folder / name), "--emulated", str(emulated), *named,
            "--time-scale", str(scale), *self._with_certs(), *more,
            within=within, **environ,
        )  # fmt: skip

    def _with_certs(self) -> list[str]:
        return ["--certs", str(self.certs)] if self.certs else []

    @property
    def name(self) -> str:
        """Return what `--lab` takes."""
        return f"farm:{self.address}"

    def lab(self, origin: Origin = Origin.AUTO, more: str = "") -> FarmLab:
        """Return the farm as a run sees it."""
        return FarmLab(f"{self.address}{more}", origin=origin, certs=self.certs)

    def wait(self, is_so: Callable[[Fleet], bool], limit_s: float = 60.0) -> Fleet:
        """Wait until the scheduler knows of something; return what it knows."""
        deadline = time.monotonic() + limit_s
        with Watch(self.address, certs=self.certs) as watch:
            while True:
                fleet = None
                with contextlib.suppress(AwayError):  # it starts yet
                    if is_so(fleet := watch.look()):
                        return fleet
                assert time.monotonic() < deadline, f"{fleet}\n{self.logs()}"
                time.sleep(0.2)

    def logs(self) -> str:
        """Return the end of all logs."""
        found = sorted(self.folder.rglob("*.log"))
        return "\n".join(f"{path}: {path.read_text(errors='replace')[-1500:]}" for path in found)


def _steady_port() -> int:
    """Return a free port that the system gives to nobody else while its owner is away."""
    while True:
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", random.randrange(20_000, 30_000)))
            port: int = found.getsockname()[1]
            return port


@contextlib.contextmanager
def farm(
    folder: Path, *, certs: Path | None = None, host: str = "127.0.0.1", ttl_s: float = 5.0
) -> Iterator[Farm]:
    """Keep a farm without hosts; all that it starts ends with it.

    Args:
        folder: Where all of it lies.
        certs: Folder of certificates; none speaks without TLS.
        host: Address of the scheduler.
        ttl_s: A worker that is silent for so long is lost.
    """
    scheme = "tls" if certs else "tcp"
    made = Farm(
        folder=folder,
        address=Address(scheme=scheme, host=host, port=_steady_port()),
        certs=certs,
        ttl_s=ttl_s,
    )
    made.start_scheduler()
    try:
        yield made
    finally:
        for name, process in made.running.items():
            if name != "scheduler":
                with contextlib.suppress(subprocess.TimeoutExpired):
                    end(process, limit_s=20)
        for process in made.running.values():
            kill(process)
