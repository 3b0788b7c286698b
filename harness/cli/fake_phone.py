"""Serve a fake phone to adb, to rehearse the phone lane without a phone."""

import argparse
import asyncio
import contextlib
from pathlib import Path

from harness import cache, profiles
from harness.cli import shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness fake-phone`."""
    parser.add_argument("--model", default="Pixel 4", help="what ro.product.model says")
    parser.add_argument("--api-level", type=int, default=33, help="its Android API level")
    parser.add_argument("--port", type=int, default=5601, help="loopback port for adb connect")
    parser.add_argument("--folder", type=Path, help="where the phone's files are kept")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted, after saying what to type in another terminal."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    from harness.devices.fake_phone import authorization
    from harness.devices.fake_phone import folder as folders
    from harness.devices.fake_phone.daemon import Daemon

    known = profiles.load_all([profiles.shipped_folder()]).values()
    name = next((one.name for one in known if one.matches(options.model)), "NAME")
    place = options.folder or cache.root() / "fake-phone"
    folder = folders.create(place, model=options.model, api_level=options.api_level)
    async with Daemon(folder, port=options.port) as daemon:
        console = shared.console()
        serial = f"127.0.0.1:{daemon.port}"
        console.print(f"A fake {options.model} listens on {serial}. In another terminal:")
        console.print(f"  export HARNESS_BENCHMARK_TOOL={folder.tool}", soft_wrap=True)
        console.print(f"  pytest --device={name}:cpu --serial={serial}", soft_wrap=True)
        if not authorization.owners_keys():
            console.print("You have no adb key yet, and only yours is let in: `adb start-server`.")
        console.print("Its numbers are labelled FAKE. Stop it with Ctrl-C.")
        await asyncio.Event().wait()
