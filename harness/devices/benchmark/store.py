"""Files of the harness on one phone: each content is pushed once and named by its hash."""

import posixpath
import shlex
from collections.abc import Collection, Mapping

from harness.devices.phone.adb import AdbConnection
from harness.devices.phone.lock import RUN, STORE
from harness.errors import DeviceError
from harness.evidence import sha256_of

_ASK_LIMIT_S = 30.0
PUSH_MIB_PER_S = 1.0
"""Slowest transfer that is waited for; a worn USB 2 cable gives 5 to 30."""
SPARE_S = 20.0
_DAYS = 30
_FOLDER = "folder-"
CLEAN = f"""
rm -rf {STORE}/part.* {STORE}/{_FOLDER}*
find {STORE} -type f -mtime +{_DAYS} -delete
"""
"""Shell that removes what broke off, what is old, and folders, which cost nothing to make again."""


class PhoneFiles:
    """The harness's files on one phone."""

    def __init__(self, connection: AdbConnection) -> None:
        """Know nothing yet of what the phone has; see `take_stock`."""
        self._connection = connection
        self._names: set[str] = set()

    def take_stock(self, names: Collection[str]) -> None:
        """Take over what `ls` of the store printed."""
        self._names = set(names)

    def put(self, data: bytes, name: str, *, mode: int = 0o644) -> str:
        """Return the path of a file with this content on the phone, pushing it if it is new.

        The file gets its name only after its hash was checked there.

        Raises:
            DeviceError: the phone is away, full or read-only, or the file arrived damaged.
        """
        sha256 = sha256_of(data)
        stored = f"{sha256[:32]}-{name}"
        path = f"{STORE}/{stored}"
        if stored not in self._names:
            part = f"{STORE}/part.{sha256[:32]}"
            limit_s = SPARE_S + len(data) / 2**20 / PUSH_MIB_PER_S
            stage = f"pushing {name} ({len(data) / 2**20:.1f} MiB)"
            self._connection.push(data, part, mode=mode, stage=stage, timeout_s=limit_s)
            self._ask(
                f'case "$(sha256sum {part})" in {sha256}*) chmod {mode:o} {part} && '
                f"mv {part} {path} ;; *) rm -f {part}; echo 'arrived damaged' >&2; exit 1 ;; esac",
                stage,
            )
            self._names.add(stored)
        return path

    def folder(self, files: Mapping[str, bytes]) -> str:
        """Return a folder on the phone that holds files under their own names, as loaders want.

        Raises:
            DeviceError: the phone is away, full or read-only, or a file arrived damaged.
        """
        paths = {name: self.put(data, name) for name, data in sorted(files.items())}
        name = f"{_FOLDER}{sha256_of(repr(paths).encode())[:32]}"
        path = f"{STORE}/{name}"
        if name not in self._names:
            links = "; ".join(
                f"ln -sf {shlex.quote(stored)} {path}/{shlex.quote(own)} || "
                f"cp {shlex.quote(stored)} {path}/{shlex.quote(own)} || exit 1"
                for own, stored in paths.items()
            )
            self._ask(f"mkdir -p {path} || exit 1; {links}", "laying out libraries")
            self._names.add(name)
        return path

    def _ask(self, command: str, stage: str) -> None:
        reply = self._connection.shell(command, stage=stage, timeout_s=_ASK_LIMIT_S)
        if reply.exit_code != 0 and reply.stderr.strip():
            raise DeviceError(
                f"phone {self._connection.serial}: {stage}: {reply.stderr.strip()[-300:]}"
            )


def copying(name: str, path: str) -> str:
    """Return shell that copies a file on the phone into the folder of a run."""
    target = shlex.quote(f"{RUN}/{name}")
    folder = shlex.quote(posixpath.dirname(f"{RUN}/{name}"))
    return f"mkdir -p {folder} && cp {shlex.quote(path)} {target} || exit 1; "
