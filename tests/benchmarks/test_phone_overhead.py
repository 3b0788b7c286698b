"""What the phone lane costs beside the benchmark tool's own runs; nothing fails on time."""

from pathlib import Path

import pytest

from harness.devices.benchmark.bench import Bench
from harness.devices.benchmark.measuring import Measuring
from harness.images import Size
from tests import models, phones

_SIZE = Size(width_px=128, height_px=128)


def test_pushing_and_reading_beside_the_tools_own_run_time(
    benchmark: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tool_s: list[float] = []
    run = Bench.run

    def timed_run(self: Bench, *arguments: object, **named: object) -> object:
        done = run(self, *arguments, **named)  # type: ignore[arg-type]
        tool_s.append(done.elapsed_s)
        return done

    monkeypatch.setattr(Bench, "run", timed_run)
    monkeypatch.setenv("HOME", str(tmp_path))
    variant = phones.model(models.conv_net(size_px=_SIZE.width_px, channels=48, depth=4))
    with phones.server() as server, phones.plugged(tmp_path / "phone", server) as fake:
        known = fake.phone()
        known.place(phones.model(models.conv_net(), name="other").at(phones.SIZE))
        known.close()
        tool_s.clear()

        def gates() -> None:
            """Do what the gates of a new variant ask of a phone that knows the tool."""
            device = fake.phone(measuring=Measuring())
            device.place(variant.at(_SIZE))
            device.run(variant.at(_SIZE), phones.frame(_SIZE))
            device.time(variant.at(_SIZE))
            device.close()

        benchmark.pedantic(gates, rounds=1)  # type: ignore[attr-defined]

    wall_s = benchmark.stats.stats.total  # type: ignore[attr-defined]
    benchmark.extra_info.update(  # type: ignore[attr-defined]
        tool_s=sum(tool_s), overhead_share=(wall_s - sum(tool_s)) / wall_s
    )
    assert sum(tool_s) < wall_s
