"""List the phones that have a profile, and those that are attached."""

import argparse

from rich.table import Table

from harness.cli import shared
from harness.profiles import Profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness devices`."""
    parser.add_argument(
        "--attached", action="store_true", help="start an adb server if none runs, and ask it"
    )
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print one line per profile, then the phones that an adb server knows."""
    known = shared.load_profiles(options)
    table = Table(box=None, pad_edge=False)
    for column in ("device", "phone", "chip", "API", "delegates"):
        table.add_column(column, overflow="fold")
    for profile in known.values():
        table.add_row(
            profile.name,
            profile.title,
            profile.soc,
            str(profile.android_api_level),
            ", ".join(profile.delegates),
        )
    console = shared.console()
    console.print(table)
    for line in _attached(known, start=options.attached):
        console.print(line)
    return 0


def _attached(known: dict[str, Profile], *, start: bool) -> list[str]:
    """Describe each attached phone; no adb server is started unless asked for."""
    from harness.devices import measured
    from harness.devices.connect import listens
    from harness.devices.phone.adb import AdbServer

    server = AdbServer.from_environment()
    if not start and not listens(server.host, server.port):
        return ["No adb server runs, so no phone is attached; --attached starts one and looks."]
    found = [f"attached: {one.identity} is {one.profile.name}" for one in measured.attached(known)]
    unusable = [f"attached, not usable: {text}" for text in measured.unusable()]
    return [*found, *unusable] or ["No attached phone fits a profile."]
