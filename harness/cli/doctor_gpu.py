"""Check what a phone's GPU and NPU drivers get wrong, for `harness doctor --serial S --gpu`."""

import argparse
from dataclasses import replace

from rich.table import Table

from harness.cli import shared
from harness.devices.benchmark import tool_file
from harness.devices.connect import PhoneSetup
from harness.devices.drivers import check, graphs
from harness.devices.drivers.check import Report
from harness.devices.measured import Phone, attached
from harness.profiles import GPU_FP32


def run(options: argparse.Namespace) -> int:
    """Print a table of what the drivers get wrong and keep it; return 1 where something is.

    Raises:
        ConfigError: the phone fits no profile, or the tool is none for it.
        DeviceError: the phone or the tool failed.
    """
    setup = PhoneSetup.of_project()
    (found,) = attached(shared.load_profiles(options), serial=options.serial)
    delegates = ["gpu", GPU_FP32]
    if setup.npu_libraries:
        delegates.append("npu")
    console, cases = shared.console(), graphs.probes()

    def phone(delegate: str) -> Phone:
        measuring = setup.measuring(delegate)
        return Phone(
            found,
            delegate,
            tool=tool_file.find(setup.benchmark_tool, litert=setup.litert_tools, delegate=delegate),
            measuring=replace(measuring, fixed_performance=False),
        )

    report = check.run(
        phone,
        delegates,
        cases,
        progress=lambda name: console.print(f"{len(cases)} graphs through {name} ..."),
    )
    console.print(_table(report, delegates))
    console.print(
        f"{report.wrong} of {len(cases) * len(delegates)} results are wrong: more than "
        f"{check.WRONG_RATIO:.0%} from the phone's own CPU, or between two inferences"
    )
    console.print(f"kept for {report.phone}: {report.save(check.FOLDER)}", soft_wrap=True)
    return 1 if report.wrong else 0


def _table(report: Report, delegates: list[str]) -> Table:
    table = Table("graph", "reported", *delegates)
    for case in graphs.probes():
        row = report.found[case.name]
        table.add_row(
            case.about,
            f"{case.source}: {case.seen}",
            *(str(row[name]) for name in delegates),
            style="yellow" if any(one.wrong for one in row.values()) else "",
        )
    return table
