"""Serve a fake lab, to rehearse `--lab` without renting a phone."""

import argparse
import asyncio
import contextlib

from harness import cache
from harness.cli import shared
from harness.lab.fakes.serving import TOKEN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness fake-lab`."""
    parser.add_argument("kind", choices=("stf",), help="which lab")
    parser.add_argument("--model", default="Pixel 4", help="what its phone says it is")
    parser.add_argument("--port", type=int, default=7100, help="loopback port")
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted, after saying what to type in another terminal."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_stf(options))
    return 0


async def _stf(options: argparse.Namespace) -> None:
    """Lend one fake phone."""
    from harness.devices.fake_phone import folder as folders
    from harness.devices.fake_phone.daemon import Daemon
    from harness.lab.fakes.stf import FakeStf, Lent

    known = shared.load_profiles(options).values()
    name = next((one.name for one in known if one.matches(options.model)), "NAME")
    folder = folders.create(cache.root() / "fake-lab", model=options.model)
    async with Daemon(folder, port=0) as daemon:
        phone = Lent(model=options.model, address=("127.0.0.1", daemon.port))
        with FakeStf({"FAKE1": phone}, port=options.port) as server:
            say = shared.console().print
            say(f"A fake STF with a {options.model} listens on {server.url}. In another terminal:")
            say(f"  export STF_TOKEN={TOKEN}", soft_wrap=True)
            say(f"  export HARNESS_BENCHMARK_TOOL={folder.tool}", soft_wrap=True)
            say(f"  pytest --device={name}:cpu --lab=stf:{server.url}", soft_wrap=True)
            say("Its numbers are labelled FAKE. Stop it with Ctrl-C.")
            await asyncio.Event().wait()
