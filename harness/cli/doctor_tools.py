"""Fetch the benchmark tools, for `harness doctor --fetch-tools`."""

import argparse
from pathlib import Path

from harness.cli import shared
from harness.devices.benchmark import fetching

_FOLDER = Path("tools")


def run(options: argparse.Namespace) -> int:
    """Fetch into ./tools and say what to name; return 1 where something could not be had.

    Raises:
        ConfigError: the version is none, or tools/tools.json is damaged.
    """
    console = shared.console()
    wanted = fetching.builds(options.fetch_tools)
    outcomes = fetching.fetch(
        wanted, _FOLDER, progress=lambda address: console.print(address, soft_wrap=True)
    )
    for one in outcomes:
        said = one.problem or f"sha256 {one.sha256}{'' if one.known else ', first seen'}"
        console.print(f"{_FOLDER / one.build.file}: {said}", soft_wrap=True)
    lacking = [one for one in outcomes if one.problem]
    if lacking:
        console.print("what could not be had, to fetch where the network allows:")
        for one in lacking:
            console.print(f"  {one.address} -> {_FOLDER / one.build.file}", soft_wrap=True)
    if len(lacking) < len(outcomes):
        console.print(f"commit {_FOLDER / fetching.LOCK}; name in the ini file what was fetched:")
        console.print(f"  benchmark_tool = {_FOLDER / wanted[0].file}")
        console.print(f"  litert_tools = {_FOLDER / Path(wanted[1].file).parent}")
    return 1 if lacking else 0
