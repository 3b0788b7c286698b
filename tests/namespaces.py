"""Network namespaces of Linux, one for each host of a test farm, whose network can be cut.

A host has two ways out: the network that leads to the scheduler, which is cut, and the cable that
leads to the phones, which is not. What is sent over a cut network is lost without a word.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_USUAL = (("network", 0), ("cable", 1))


def available() -> bool:
    """Return whether this process may make namespaces."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in ("ip", "nsenter"))


@dataclass(kw_only=True)
class Networks:
    """The networks of some hosts.

    Attributes:
        number: Second part of all their addresses, and of the names of their devices.
        hosts: The hosts, in the order of their addresses.
    """

    number: int
    hosts: list[str] = field(default_factory=list)

    @property
    def scheduler(self) -> str:
        """Return the address that hosts reach the scheduler at."""
        return f"10.{self.number}.0.1"

    @property
    def phones(self) -> str:
        """Return the address that hosts reach the phones' adb server at."""
        return f"10.{self.number}.1.1"

    def within(self, host: str) -> list[str]:
        """Return what runs a command as a host."""
        return ["nsenter", f"--net=/run/netns/{self._space(host)}"]

    def cut(self, host: str) -> None:
        """Lose all that goes between a host and the scheduler."""
        _ip("link", "set", self._end(host, "network"), "nomaster")

    def mend(self, host: str) -> None:
        """Let it through again."""
        _ip("link", "set", self._end(host, "network"), "master", self._bridge("network"))

    def _space(self, host: str) -> str:
        return f"farm{self.number}-{host}"

    def _end(self, host: str, kind: str) -> str:
        return f"f{self.number}{kind[0]}{self.hosts.index(host)}"

    def _bridge(self, kind: str) -> str:
        return f"f{self.number}{kind}"[:15]

    def make(self) -> None:
        """Make a bridge for each kind of way, and a namespace for each host on both."""
        for kind, third in _USUAL:
            bridge = self._bridge(kind)
            _ip("link", "add", bridge, "type", "bridge")
            _ip("addr", "add", f"10.{self.number}.{third}.1/24", "dev", bridge)
            _ip("link", "set", bridge, "up")
        for position, host in enumerate(self.hosts):
            space = self._space(host)
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            for kind, third in _USUAL:
                end = self._end(host, kind)
                _ip("link", "add", end, "type", "veth", "peer", "name", kind, "netns", space)
                _ip("link", "set", end, "master", self._bridge(kind), "up")
                address = f"10.{self.number}.{third}.{position + 10}/24"
                _ip("-n", space, "addr", "add", address, "dev", kind)
                _ip("-n", space, "link", "set", kind, "up")

    def remove(self) -> None:
        """Remove all of it."""
        for host in self.hosts:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "del", self._space(host))
        for kind, _ in _USUAL:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("link", "del", self._bridge(kind))


@contextlib.contextmanager
def networks(hosts: Sequence[str]) -> Iterator[Networks]:
    """Keep networks for some hosts, on addresses that this machine has no others of."""
    known = _ip("-4", "addr")
    number = next(n for n in range(100 + os.getpid() % 100, 255) if f" 10.{n}." not in known)
    made = Networks(number=number, hosts=list(hosts))
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    return done.stdout
