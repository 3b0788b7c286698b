"""Measure what the scheduler computes for one question: `python -m tests.farm_tasks 10000 60`.

The stations answer at once, with an error that any phone would give. Seconds of the processor are
counted, not seconds of the clock, so that other work on the machine matters little.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.devices.connect import Origin
from harness.farm import wire, work
from harness.images import Size
from harness.profiles import load_all, select, shipped_folder
from harness.requests import Request, Verb
from tests import farms, models

NOTHING = "nothing was done"


class Idle:
    """A station that answers without any work."""

    def answer(self, text: str) -> wire.Message:
        """Return an error that any phone would give."""
        asked = json.loads(text)
        profile = asked["target"]["profile"]["name"]
        fact = {
            "device": profile, "delegate": asked["target"]["delegate"], "subject": "",
            "variant": "", "resolution": asked["size"], "frame": "", "request": asked["key"],
            "verb": asked["verb"], "file_sha256": asked["model"], "error": NOTHING,
            "error_kind": "ModelError",
        }  # fmt: skip
        return json.dumps({"nonce": asked["nonce"], "station": "h/a", "fact": fact}), b""


async def serve(address: str, stations: int) -> None:
    """Keep idle stations in one process."""
    from distributed import Worker

    from harness.farm.worker_process import Plugin

    idle = Plugin(work.STATION, station=Idle())
    workers = [
        Worker(
            address, nthreads=1, name=f"h/{number}", dashboard=False, memory_limit=0,
            resources={"pixel4": 1, wire.VERSION: 1}, plugins=[idle],
        )
        for number in range(stations)
    ]  # fmt: skip
    await asyncio.gather(*workers)
    await workers[0].finished()


def measure(folder: Path, requests: int, stations: int) -> None:
    """Print the processor's seconds and the memory of a scheduler for so many questions."""
    import subprocess

    import psutil

    (target,) = select(load_all([shipped_folder()]), ["pixel4:gpu"])
    model = models.model(models.unet(size_px=32))
    asked = [
        Request(target=target, verb=Verb.PLACE, model=model, size=Size(width_px=w, height_px=h))
        for w in range(1, 401) for h in range(1, requests // 400 + 1)
    ]  # fmt: skip
    with farms.farm(folder, ttl_s=300) as farm:  # no station is lost on a busy machine
        farm.wait(lambda _: True)
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.farm_tasks", str(farm.address), str(stations)]
        )
        try:
            farm.wait(lambda fleet: len(fleet.of("pixel4")) == stations)
            scheduler = psutil.Process(farm.running["scheduler"].pid)
            before: Any = scheduler.cpu_times()
            own = time.process_time()
            start_s = time.monotonic()
            count = 0
            for fact in farm.lab(Origin.PHONE).answer(asked):
                assert str(fact.error) == NOTHING, fact.error
                count += 1
            wall_s = time.monotonic() - start_s
            after: Any = scheduler.cpu_times()
        finally:
            child.kill()
            child.wait()
        used_s = after.user + after.system - before.user - before.system
        print(
            f"{count} questions, {stations} stations: scheduler {1e3 * used_s / count:.2f} ms of "
            f"processor a question, {scheduler.memory_info().rss / 2**20:.0f} MiB; judge "
            f"{1e3 * (time.process_time() - own) / count:.2f} ms; {count / wall_s:.0f} a second"
        )


if __name__ == "__main__":
    first, second = sys.argv[1:]
    if first.isdecimal():
        with tempfile.TemporaryDirectory() as made:
            measure(Path(made), int(first), int(second))
    else:
        asyncio.run(serve(first, int(second)))
