"""List the phones that have a profile, and those that are attached."""

import argparse

from rich.table import Table

from harness.cli import shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `harness devices`."""
    shared.add_profile_dirs(parser)


def run(options: argparse.Namespace) -> int:
    """Print one line per profile."""
    table = Table(box=None, pad_edge=False)
    for column in ("device", "phone", "chip", "API", "delegates"):
        table.add_column(column, overflow="fold")
    for profile in shared.load_profiles(options).values():
        table.add_row(
            profile.name,
            profile.title,
            profile.soc,
            str(profile.android_api_level),
            ", ".join(profile.delegates),
        )
    shared.console().print(table)
    return 0
