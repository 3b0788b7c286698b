"""Serve a fake lab, to rehearse `--lab` without renting a phone."""

import argparse
import asyncio
import contextlib

from harness import cache
from harness.cli import shared
from harness.errors import ConfigError
from harness.lab.fakes.serving import TOKEN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness fake-lab`."""
    parser.add_argument("kind", choices=("stf", "aihub", "devicerun"), help="which lab")
    parser.add_argument("--model", default="Pixel 4", help="what its phone says it is")
    parser.add_argument("--port", type=int, default=7100, help="loopback port")
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted, after saying what to type in another terminal."""
    serve = {"stf": _stf, "aihub": _aihub, "devicerun": _devicerun}[options.kind]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options))
    return 0


async def _aihub(options: argparse.Namespace) -> None:
    """Have one fake phone, by the name that AI Hub gives it."""
    from harness.lab.fakes.aihub import FakeAihub

    name, title = _profile(options)
    ini = cache.root() / "fake-aihub.ini"
    with FakeAihub((title,), port=options.port) as server:
        server.configuration(ini)
        say = shared.console().print
        say(f"A fake AI Hub with a {title} listens on {server.url}. In another terminal:")
        say(f"  export QAIHUB_CLIENT_INI={ini}", soft_wrap=True)
        say(f"  pytest --device={name}:cpu --lab=aihub --yes", soft_wrap=True)
        say("Its numbers are labelled FAKE. Stop it with Ctrl-C.")
        await asyncio.Event().wait()


async def _devicerun(options: argparse.Namespace) -> None:
    """Have one fake phone, a bucket and a gcloud that gives the fake's token."""
    from harness.devices.fake_phone import folder as folders
    from harness.lab.fakes.devicerun import FakeDeviceRun

    name, _ = _profile(options)
    folder = folders.create(cache.root() / "fake-devicerun" / "phone", model=options.model)
    programs = cache.root() / "fake-devicerun" / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "gcloud").write_text(f"#!/bin/sh\necho {TOKEN}\n", encoding="utf-8")
    (programs / "gcloud").chmod(0o755)
    with FakeDeviceRun(folder, port=options.port) as server:
        say = shared.console().print
        say(
            f"A fake Device Run with a {options.model} listens on {server.url}. In another shell:",
            soft_wrap=True,
        )
        say(
            f"  export DEVICE_RUN_ENDPOINT={server.url} STORAGE_EMULATOR_HOST={server.url}",
            soft_wrap=True,
        )
        say(f"  export LITERT_GCP_BUCKET={server.bucket} PATH={programs}:$PATH", soft_wrap=True)
        say(f"  export HARNESS_BENCHMARK_TOOL={folder.tool}", soft_wrap=True)
        say(f"  pytest --device={name}:cpu --lab=devicerun:fake-project/fake-1", soft_wrap=True)
        say("Its numbers are labelled FAKE. Stop it with Ctrl-C.")
        await asyncio.Event().wait()


def _profile(options: argparse.Namespace) -> tuple[str, str]:
    """Return name and title of the profile that the model fits."""
    known = shared.load_profiles(options).values()
    found = next((one for one in known if one.matches(options.model)), None)
    if found is None:
        raise ConfigError(f"--model {options.model!r} fits no profile")
    return found.name, found.title.partition("(")[0].strip()


async def _stf(options: argparse.Namespace) -> None:
    """Lend one fake phone."""
    from harness.devices.fake_phone import folder as folders
    from harness.devices.fake_phone.daemon import Daemon
    from harness.lab.fakes.stf import FakeStf, Lent

    name, _ = _profile(options)
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
