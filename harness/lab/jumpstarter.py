"""The exporter that Jumpstarter lends: an adb server, reached through its own command's tunnel.

Jumpstarter's `jmp shell` takes a lease and holds it while the command that it runs is there; that
command, `j adb tunnel`, lets the exporter's adb server be reached on a port of this machine.
Source: jumpstarter-cli 0.9.0, `jmp shell --help`; jumpstarter-driver-adb 0.9.0, client.py.
"""

import contextlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness import child, text
from harness.devices.connect import listens
from harness.devices.phone.adb import AdbServer, attached
from harness.errors import ConfigError, DeviceError, StackMissing

PROGRAM = "HARNESS_JMP"
"""Names Jumpstarter's command, where it is in a venv of its own."""
_ADB_VARIABLE = "ADB_SERVER_SOCKET"
_LEASE = "2h"
"""What a lease is asked for; it is taken again when it is over. Left by a host that was killed, it
is over then at the latest."""
_END_S = 30.0
_TUNNEL = '"$0" adb tunnel -P "$1" & read -r over; kill -KILL $!; wait'
"""Ends when its input does. `j` is killed because it waits for ever once it was asked to end, and
`jmp` waits for what it runs; nothing is lent by `j`."""
_ENDPOINT = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}")
_LABEL = r"[A-Za-z0-9][A-Za-z0-9._/-]*(?:==?|!=)[A-Za-z0-9._/-]*"
_SELECTOR = re.compile(rf"{_LABEL}(?:,{_LABEL})*")
_LOCAL = ("127.0.0.1", "localhost")


def arguments(named: str) -> list[str]:
    """Return what `jmp shell` is told for a selector, or for HOST:PORT of an exporter.

    Raises:
        ConfigError: it is neither.
    """
    if _ENDPOINT.fullmatch(named):
        plain = named.rpartition(":")[0] in _LOCAL
        return ["--tls-grpc", named, *(["--tls-grpc-insecure"] if plain else [])]
    if _SELECTOR.fullmatch(named):
        return ["--selector", named, "--duration", _LEASE]
    raise ConfigError(
        f"--lease=jumpstarter:{text.line(named, text.NAME)}: write a selector such as "
        "board=pixel4, or HOST:PORT of an exporter without a controller"
    )


class JumpstarterLease:
    """The phones of one exporter, held while a child of this process runs."""

    def __init__(self, named: str, *, folder: Path, say: Callable[[str], None]) -> None:
        """Describe it; nothing is taken yet.

        Args:
            named: A selector, or HOST:PORT of an exporter that listens by itself.
            folder: The host's, for the child's log.
            say: Takes lines for a person.

        Raises:
            ConfigError: it names neither.
            StackMissing: Jumpstarter's commands are not here.
        """
        self._arguments = arguments(named)
        self._jmp, self._j = _programs()
        self._name = f"jumpstarter:{text.line(named, text.NAME)}"
        self._folder = folder
        self._say = say
        self._process: child.Process | None = None
        self._server = AdbServer()
        self._up = False
        # One tunnel is remembered for each folder of temporary files; sockets there have short
        # paths.
        self._scratch = tempfile.TemporaryDirectory(prefix="jmp-")

    def addresses(self) -> tuple[str, ...]:
        """Return the serials of the exporter's phones.

        Raises:
            DeviceError: it is not lent yet, or no longer.
        """
        if self._process is not None and self._process.poll() is not None:
            self._say(f"{self._name}: the lease ended; {self._reason()}")
            child.kill(self._process)
            self._process, self._up = None, False
        if self._process is None:
            self._process = self._start()
        if not listens(self._server.host, self._server.port):
            raise DeviceError(f"{self._name} is not lent yet")
        if not self._up:
            self._say(f"{self._name} is lent, behind the adb server {self._server}")
            self._up = True
        return tuple(phone.serial for phone in attached(self._server))

    def _start(self) -> child.Process:
        """Ask for the lease; adb is looked for at another port each time."""
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._server = AdbServer(port=found.getsockname()[1])
        os.environ[_ADB_VARIABLE] = f"tcp:{self._server}"  # for the stations too
        tunnel = ["/bin/sh", "-c", _TUNNEL, self._j, str(self._server.port)]
        command = [self._jmp, "shell", *self._arguments, "--", *tunnel]
        log = self._folder / "logs" / "jumpstarter.log"
        return child.keep(command, log=log, env={"TMPDIR": self._scratch.name})

    def _reason(self) -> str:
        path = self._folder / "logs" / "jumpstarter.log"
        with contextlib.suppress(OSError):
            return text.line(child.last_line(path.read_text(errors="replace")[-2000:]))
        return "it left no log"

    def close(self) -> None:
        """Give the exporter back."""
        process, self._process = self._process, None
        if process is not None and not child.end(process, limit_s=_END_S):
            self._say(f"{self._name}: did not end within {_END_S:g} s; `jmp get leases` shows it")
        self._scratch.cleanup()


def _programs() -> tuple[str, str]:
    """Return Jumpstarter's two commands.

    Raises:
        StackMissing: they are not here.
    """
    jmp = os.environ.get(PROGRAM) or shutil.which("jmp") or ""
    j = str(Path(jmp).with_name("j")) if jmp else ""
    if not (os.access(jmp, os.X_OK) and os.access(j, os.X_OK)):
        raise StackMissing(
            "Jumpstarter's jmp and j are not here; `pip install jumpstarter-cli "
            "jumpstarter-driver-adb jumpstarter-driver-composite` in a venv of its own, and name "
            f"its bin/jmp in ${PROGRAM}"
        )
    return jmp, j
