"""The lab of this host: the phones attached to it, and their software where none is attached."""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from harness import cache
from harness.devices import numerics
from harness.devices.connect import Origin, PhoneSetup, connect
from harness.devices.device import Device, ask
from harness.devices.emulated import Emulated
from harness.errors import HarnessError
from harness.profiles import Target
from harness.requests import Fact, Request, Verb


class LocalLab:
    """The devices of this host; emulated requests run side by side, a phone's one by one."""

    def __init__(
        self,
        *,
        origin: Origin,
        serial: str = "",
        phone_setup: PhoneSetup | None = None,
        parallel: bool = False,
        jobs: int = 1,
    ) -> None:
        """Describe the lab; devices are connected when they are first asked.

        Args:
            origin: Where facts may come from.
            serial: The adb serial of one phone, or ''.
            phone_setup: How an attached phone is measured.
            parallel: Whether other processes of this run use the same phones.
            jobs: Cores that emulated requests are answered on, as many at one time.
        """
        self._origin = origin
        self._serial = serial
        self._phone_setup = phone_setup or PhoneSetup()
        self._parallel = parallel
        self._jobs = jobs
        self._devices: dict[str, Device] = {}
        self._lost: dict[str, HarnessError] = {}

    @property
    def name(self) -> str:
        """Return '': this host needs no name."""
        return ""

    def open(self) -> None:
        """Do nothing: each device is connected when it is first asked."""

    def device(self, target: Target) -> Device:
        """Return the device that answers for a target, connecting the first time.

        Raises:
            HarnessError: none does; said to each who asks, tried once.
        """
        name = str(target)
        if name in self._lost:
            raise self._lost[name]
        if name not in self._devices:
            try:
                self._devices[name] = connect(
                    target,
                    origin=self._origin,
                    serial=self._serial,
                    phone_setup=self._phone_setup,
                    parallel=self._parallel,
                    threads=self._jobs,
                )
            except HarnessError as error:
                self._lost[name] = error
                raise
        return self._devices[name]

    def fingerprint(self, target: Target) -> str:
        """Return what identifies the device that answers for a target, and its software."""
        return self.device(target).fingerprint

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield a fact for each request, in the order in which they are answered."""
        emulated = deque(request for request in requests if self._is_emulated(request))
        with_phones = [request for request in requests if request not in set(emulated)]
        known = cache.misses()
        while emulated and (self._jobs < 2 or len(emulated) < 2 or cache.misses() == known):
            yield _answered(self.device, emulated.popleft())  # the cache needs no thread
        if not emulated:
            yield from (_answered(self.device, request) for request in with_phones)
            return
        pool = _Pool(emulated, helpers=self._jobs - 1)
        try:
            for request in with_phones:
                yield _answered(self.device, request)
                yield from pool.ready()
            yield from pool.rest()
        finally:
            pool.close()

    def _is_emulated(self, request: Request) -> bool:
        try:
            return self.device(request.target).stands_in
        except HarnessError:
            return False  # said when it is asked

    def findings(self) -> list[str]:
        """Return nothing: each request is asked of one device."""
        return []

    def close(self) -> list[str]:
        """Release every device, and return what went wrong with any of them."""
        troubles = []
        for name, device in self._devices.items():
            try:
                device.close()
            except HarnessError as error:
                troubles.append(f"{name}: {error}")
        self._devices.clear()
        return troubles


class _Pool:
    """Emulated requests that threads answer beside this one, inferences first.

    Native code has a process for each thread. This thread begins with the rest: reading graphs
    keeps Python busy, while the others wait for inferences.
    """

    def __init__(self, requests: Sequence[Request], *, helpers: int) -> None:
        self._left = len(requests)
        self._facts: queue.Queue[Fact | Exception] = queue.Queue()
        self._chunks = deque(_chunks(requests))
        for _ in range(min(helpers, len(self._chunks))):
            threading.Thread(target=self._help, daemon=True).start()

    def ready(self) -> Iterator[Fact]:
        """Yield the facts that others have answered by now."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._next(block=False)

    def rest(self) -> Iterator[Fact]:
        """Yield every fact that is still to come, and answer until all are there."""
        stand_ins = _StandIns()
        while chunk := _taken(self._chunks.pop):
            for request in chunk:
                yield from self.ready()
                fact = _answered(stand_ins.of, request)
                self._left -= 1
                yield fact
        while self._left:
            yield self._next(block=True)

    def _next(self, *, block: bool) -> Fact:
        fact = self._facts.get(block)
        if isinstance(fact, Exception):
            raise fact
        self._left -= 1
        return fact

    def close(self) -> None:
        """Stop: what was not begun is left, and nobody waits for what runs."""
        self._chunks.clear()

    def _help(self) -> None:
        """Answer what is first until nothing is left."""
        stand_ins = _StandIns()
        while chunk := _taken(self._chunks.popleft):
            try:
                for request in chunk:
                    self._facts.put(_answered(stand_ins.of, request))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                self._facts.put(error)


def _taken(take: Callable[[], list[Request]]) -> Sequence[Request]:
    """Return what is taken from one end of what nobody has begun; nothing where all is."""
    try:
        return take()
    except IndexError:
        return ()


class _StandIns(dict[str, Emulated]):
    """The stand-ins of one thread by target, which run each inference on one core."""

    def of(self, target: Target) -> Emulated:
        return self.setdefault(str(target), Emulated(target, threads=1))


def _answered(device: Callable[[Target], Device], request: Request) -> Fact:
    """Answer in this thread with the device of the request's target."""
    try:
        return Fact(request=request, answer=ask(device(request.target), request))
    except HarnessError as error:
        return Fact(request=request, error=error)


def _chunks(requests: Sequence[Request]) -> list[list[Request]]:
    """Group what rests on one placement, for one thread to work out; runs come first.

    Of those the longest: what is begun last keeps one core busy while others have nothing.
    """
    chunks: dict[tuple[str, ...], list[Request]] = {}
    for request in requests:
        if request.verb is Verb.RUN:
            key: tuple[str, ...] = (request.key,)
        else:
            key = (str(request.target), request.model.sha256, str(request.size))
        chunks.setdefault(key, []).append(request)
    return sorted(
        chunks.values(),
        key=lambda chunk: (chunk[0].verb is not Verb.RUN, -_seconds(chunk[0])),
    )


def _seconds(request: Request) -> float:
    """Return about how long a run takes, where what stands in for the phone is slow.

    A model is resized only where it is slow at its own size: no thread has begun yet.
    """
    if request.verb is not Verb.RUN:
        return 0.0
    try:
        own_s = numerics.choose(request.target, request.model.graph, threads=1).seconds
        return own_s and numerics.choose(request.target, request.sized.graph, threads=1).seconds
    except HarnessError:
        return 0.0  # it is said by who is asked
