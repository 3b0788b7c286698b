"""A PostgreSQL server of one's own, for tests: started from nothing in a second or two."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

DEBIAN = Path("/usr/lib/postgresql")
SETTINGS = (
    "listen_addresses=''", "fsync=off", "synchronous_commit=off", "full_page_writes=off",
)  # fmt: skip


def programs() -> Path | None:
    """Return the folder of initdb and pg_ctl, of the newest version, or None."""
    folders = [path.parent for path in DEBIAN.glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def missing() -> str | None:
    """Say what is missing to start a server, or None."""
    if programs() is None:
        return "PostgreSQL is not installed; apt-get install postgresql adds it"
    return None


def _as_server(*command: str) -> None:
    """Run a program as the user `postgres`, as the server refuses to be root."""
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    prefix = user if os.getuid() == 0 else []
    subprocess.run([*prefix, *command], check=True, cwd="/", capture_output=True, timeout=60)


class Server:
    """A running server; databases are made by `database`."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.binaries = binaries

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = " ".join(f"-c {setting}" for setting in SETTINGS)
        options += f" -c unix_socket_directories={self.folder}"
        _as_server(
            str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), "-w", "-t", "30",
            "-l", str(self.folder / "log"), "-o", options, "start",
        )  # fmt: skip

    def kill(self) -> None:
        """End it as a crash would, without a chance to write anything more."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        while (self.folder / "data" / "postmaster.pid").exists():
            signal.sigtimedwait([], 0.02)

    def stop(self) -> None:
        """Stop it."""
        with contextlib.suppress(subprocess.CalledProcessError):
            _as_server(
                str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), "-m", "immediate",
                "stop",
            )  # fmt: skip

    def database(self, name: str) -> str:
        """Make a database and return its address."""
        _as_server(
            str(self.binaries / "createdb"), "-h", str(self.folder), "-U", "harness", name
        )  # fmt: skip
        return f"postgresql://harness@/{name}?host={self.folder}"


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Give a server of one's own, and take it away again."""
    binaries = programs()
    assert binaries, missing()
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has 107 bytes at most
    try:
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
        _as_server(
            str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "harness", "--auth=trust",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        running = Server(folder, binaries)
        running.start()
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder)
