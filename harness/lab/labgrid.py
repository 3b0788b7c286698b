"""The places of a labgrid coordinator: listed, acquired and released.

A coordinator lends places and knows nothing of adb: the tag `adb` of a place says where adb finds
its phone. What a client has acquired stays acquired when the client is gone.
Source: labgrid 26.0.1, labgrid/remote/coordinator.py.
"""

import contextlib
import os
import queue
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness import extras, text
from harness.errors import ConfigError, DeviceError, StackMissing

COORDINATOR = "LG_COORDINATOR"
"""Name of the environment variable that holds the coordinator's HOST:PORT, as labgrid reads it."""
DEFAULT = "127.0.0.1:20408"
"""Source: labgrid 26.0.1, the default of `labgrid-client --coordinator`."""
TAG = "adb"
_LIMIT_S = 20.0
_ANSWER_BYTES_MAX = 2**22
_WHERE = re.compile(r"[A-Za-z0-9._:-]{1,80}")


@dataclass(frozen=True, kw_only=True)
class Place:
    """One place.

    Attributes:
        name: The coordinator's name for it.
        adb: Where adb finds its phone: a serial or HOST:PORT; '' where its tag is none.
        holder: Who has acquired it, as `HOST/USER`; '' for nobody.
    """

    name: str
    adb: str
    holder: str


class LabgridPlaces:
    """The places of one coordinator."""

    def __init__(self, coordinator: str = "", *, user: str = "", limit_s: float = _LIMIT_S) -> None:
        """Name the coordinator; nothing is asked of it yet.

        Args:
            coordinator: Its HOST:PORT; by default $LG_COORDINATOR, or this machine's.
            user: Who acquires, as `HOST/USER`; by default this machine's harness.
            limit_s: Longest wait for an answer.

        Raises:
            StackMissing: the extra `labgrid` is not installed.
        """
        try:
            import grpc
            from labgrid.remote.generated import (
                labgrid_coordinator_pb2,
                labgrid_coordinator_pb2_grpc,
            )
        except ModuleNotFoundError as error:
            raise StackMissing(
                f"{error.name} is not installed; {extras.install_command('labgrid')} adds it"
            ) from None
        self._grpc, self._stubs = grpc, labgrid_coordinator_pb2_grpc
        self._messages: Any = labgrid_coordinator_pb2
        self._address = coordinator or os.environ.get(COORDINATOR, "") or DEFAULT
        self.user = user or f"{socket.gethostname()}/harness"
        self._limit_s = limit_s

    @property
    def name(self) -> str:
        """Return what messages call it."""
        return f"labgrid at {text.line(self._address, text.NAME)}"

    def rows(self) -> list[Place]:
        """Return all places.

        Raises:
            DeviceError: the coordinator does not answer.
        """
        with self._session() as stub:
            said = stub.GetPlaces(self._messages.GetPlacesRequest(), timeout=self._limit_s)
        return [_read(place) for place in said.places if place.name]

    def acquire(self, place: str) -> None:
        """Acquire a place for this user.

        Raises:
            DeviceError: another has it, or has reserved it, or the coordinator does not answer.
        """
        with self._session() as stub:
            request = self._messages.AcquirePlaceRequest(placename=place)
            stub.AcquirePlace(request, timeout=self._limit_s)

    def release(self, place: str) -> None:
        """Give a place back, if this user has it.

        Raises:
            DeviceError: it is not known, or the coordinator does not answer.
        """
        with self._session() as stub:
            request = self._messages.ReleasePlaceRequest(placename=place, fromuser=self.user)
            stub.ReleasePlace(request, timeout=self._limit_s)

    @contextlib.contextmanager
    def _session(self) -> Iterator[Any]:
        """Yield the coordinator's methods; it knows callers by an open stream that names them."""
        ours, options = self._messages, [("grpc.max_receive_message_length", _ANSWER_BYTES_MAX)]
        said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        said.put(ours.ClientInMessage(startup=ours.StartupDone(version="", name=self.user)))
        said.put(ours.ClientInMessage(sync=ours.Sync(id=1)))
        try:
            with self._grpc.insecure_channel(self._address, options=options) as channel:
                stub = self._stubs.CoordinatorStub(channel)
                stream = stub.ClientStream(iter(said.get, None), timeout=3 * self._limit_s)
                try:
                    self._grpc.channel_ready_future(channel).result(timeout=self._limit_s)
                    next(stream)  # it answers when it has read the name
                    yield stub
                finally:
                    said.put(None)
                    stream.cancel()
        except self._grpc.FutureTimeoutError:
            raise DeviceError(self._away("no answer")) from None
        except self._grpc.RpcError as error:
            details = text.line(error.details() or error.code().name)
            if error.code() is self._grpc.StatusCode.UNAVAILABLE:
                raise DeviceError(self._away(details)) from None
            raise DeviceError(f"{self.name}: {details}") from None

    def _away(self, why: str) -> str:
        return (
            f"{self.name} does not answer ({why}); start `labgrid-coordinator` there, or name "
            f"another with ${COORDINATOR}"
        )


def address(place: Place) -> str:
    """Return where adb finds a place's phone.

    Raises:
        ConfigError: its tag does not say so.
    """
    if not place.adb:
        raise ConfigError(
            f"place {place.name} has no tag that says where adb finds its phone; "
            f"`labgrid-client -p {place.name} set-tags {TAG}=SERIAL`"
        )
    return place.adb


def _read(place: Any) -> Place:
    where = str(place.tags.get(TAG, ""))
    return Place(
        name=text.line(place.name, text.NAME),
        adb=where if _WHERE.fullmatch(where) else "",
        holder=text.line(place.acquired, text.NAME),
    )
