"""Attach fake phones to a real adb server on a private port."""

import asyncio
import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import adbutils
import numpy as np
import pytest

from harness.devices import measured
from harness.devices.benchmark.benchmark_tool import Preset
from harness.devices.benchmark.measuring import Measuring
from harness.devices.benchmark.timing import Effort
from harness.devices.fake_phone import folder as folders
from harness.devices.fake_phone.daemon import Daemon
from harness.devices.fake_phone.folder import Folder
from harness.devices.measured import Phone
from harness.devices.phone import lock
from harness.devices.phone.adb import AdbConnection, AdbServer
from harness.devices.phone.device_state import Contract
from harness.images import Output, Pixels, Size
from harness.inputs import Inputs
from harness.latency import Latency
from harness.model import Model
from harness.placement import Placement
from harness.profiles import Accelerator, CpuCluster, Profile, Target
from harness.requests import Request, Verb
from tests import models

T = TypeVar("T")

EDGETPU = "google-edgetpu"
SIZE = Size(width_px=32, height_px=32)
QUICK = Measuring(
    preset=Preset(name="quick", runs=5),
    contract=Contract(cooldown_s=0.2),
    effort=Effort(looks=(3, 4)),
    run_limit_s=8.0,
    recover_s=8.0,
)
PIXEL_4 = Profile(
    name="pixel4",
    title="Google Pixel 4",
    match=("Pixel 4",),
    soc="SM8150",
    cpu=(
        CpuCluster(cores=4, uarch="cortex-a55", source="a test", taskset_mask="0f"),
        CpuCluster(cores=3, uarch="cortex-a76", source="a test", taskset_mask="70"),
        CpuCluster(cores=1, uarch="cortex-a76", source="a test", taskset_mask="80"),
    ),
    android_api_level=33,
    default_delegate="nnapi",
    accelerators=(
        Accelerator(name=EDGETPU, delegate="nnapi", source="a test", pinned=True),
        Accelerator(name="adreno", delegate="gpu", source="a test"),
        Accelerator(name="xnnpack", delegate="cpu", source="a test"),
    ),
    source="a test",
)


HOME = lock.HOME.lstrip("/")
"""Folder of the harness below a fake phone's root."""


def wait_until(is_so: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: it was not within the limit.
    """
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass(frozen=True, kw_only=True)
class Plugged:
    """Hold a fake phone with its daemon, its server and the loop that it runs in."""

    folder: Folder
    daemon: Daemon
    server: AdbServer
    loop: asyncio.AbstractEventLoop

    @property
    def serial(self) -> str:
        """Return the serial that adb knows it by."""
        return f"127.0.0.1:{self.daemon.port}"

    @property
    def connection(self) -> AdbConnection:
        """Return an adb connection to it."""
        return AdbConnection(self.serial, self.server)

    def phone(self, delegate: str = "nnapi", measuring: Measuring = QUICK, **known: Any) -> Phone:
        """Return the phone as the harness sees it."""
        found = measured.attached({"pixel4": PIXEL_4}, server=self.server, serial=self.serial)[0]
        tool = known.pop("tool", self.folder.tool)
        return Phone(found, delegate, tool=tool, measuring=measuring)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the daemon's loop, such as `daemon.unplug()`."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=10)

    def wait_until_seen_gone(self) -> None:
        """Wait until the adb server has noticed that the phone was unplugged."""
        while self.connection.state() == "device":
            time.sleep(0.02)

    def wait_until_quiet(self, limit_s: float = 5.0) -> bool:
        """Return whether no command of the phone runs any more, soon."""
        deadline = time.monotonic() + limit_s
        while self.daemon.running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def stop_server(running: AdbServer) -> None:
    """Stop an adb server, if it runs."""
    client = adbutils.AdbClient(host=running.host, port=running.port)
    with contextlib.suppress(adbutils.AdbError, OSError), client.make_connection() as connection:
        connection.send_command("host:kill")
        connection.check_okay()


@contextlib.contextmanager
def server() -> Iterator[AdbServer]:
    """Keep an adb server on a private port; it starts when it is first needed."""
    private = AdbServer(port=free_port())
    try:
        yield private
    finally:
        if _listens(private):
            stop_server(private)


@contextlib.contextmanager
def plugged(path: Path, on: AdbServer) -> Iterator[Plugged]:
    """Keep a fake phone plugged in."""
    folder = folders.create(path)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake phone")
    thread.start()
    daemon = Daemon(folder)
    fake = Plugged(folder=folder, daemon=daemon, server=on, loop=loop)
    try:
        fake.do(daemon.__aenter__())
        yield fake
    finally:
        fake.do(daemon.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def default_server(home: Path) -> Iterator[AdbServer]:
    """Keep an adb server that programs of this process find by their environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        with server() as private:
            patch.setenv("ADB_SERVER_SOCKET", f"tcp:{private}")
            yield private


@contextlib.contextmanager
def serving_every_address(on: AdbServer) -> Iterator[None]:
    """Keep an adb server that other network namespaces of this machine reach too."""
    process = subprocess.Popen(
        [adbutils.adb_path(), "-a", "-P", str(on.port), "nodaemon", "server"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(on))
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _listens(on: AdbServer) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((on.host, on.port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def with_tool(path: Path, on: AdbServer) -> Iterator[Plugged]:
    """Keep a fake phone plugged in whose tool the environment names."""
    with plugged(path, on) as fake, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_BENCHMARK_TOOL", str(fake.folder.tool))
        yield fake


def model(data: bytes | None = None, *, name: str = "fp32") -> Model:
    """Return a model to run on the fake phone."""
    return Model(name=name, data=models.unet(upsampling="TRANSPOSE_CONV") if data is None else data)


def frame(size: Size = SIZE) -> Pixels:
    """Return a random frame."""
    shape = (1, size.height_px, size.width_px, 3)
    return np.random.default_rng(3).random(shape, dtype=np.float32)


def assert_same(found: Mapping[Verb, object], direct: Phone) -> None:
    """Hold placement, pixels and latency of a lab to what the same phone says on the cable.

    The phone's latency is to be planted, without noise.
    """
    sized = model().at(SIZE)
    placement, output, latency = (found[verb] for verb in (Verb.PLACE, Verb.RUN, Verb.TIME))
    assert isinstance(placement, Placement)
    assert isinstance(output, Output)
    assert isinstance(latency, Latency)
    wanted = direct.place(sized)
    assert (placement.nodes, placement.partitions) == (wanted.nodes, wanted.partitions)
    assert np.array_equal(output.pixels, direct.run(sized, frame()).pixels)
    assert latency.median_ms == pytest.approx(direct.time(sized).median_ms, rel=0.02)


def requests(target: Target, *verbs: Verb) -> list[Request]:
    """Return what each verb asks of the fake phone's model; without verbs all but COMPARE."""
    given = Inputs.of(frame())
    return [
        Request(
            target=target,
            verb=verb,
            model=model(),
            size=SIZE,
            inputs=given if verb is Verb.RUN else None,
        )
        for verb in verbs or [verb for verb in Verb if verb is not Verb.COMPARE]
    ]
