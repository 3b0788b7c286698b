"""Run a farm: its scheduler, its hosts, its certificates, and what goes on there."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from rich.table import Table

from harness import cache, text
from harness.cli import shared
from harness.errors import ConfigError, HarnessError
from harness.farm import capacity, certs, links, watching
from harness.farm.fleet import Fleet
from harness.farm.host import Host, HostSettings
from harness.farm.links import Address
from harness.farm.quarantine import Quarantine
from harness.farm.scheduler import TTL_S, serve
from harness.lab import leasing
from harness.text import counted

_LIVE_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of `harness farm`."""
    parts = parser.add_subparsers(title="farm commands", metavar="COMMAND", required=True)
    _add_scheduler(parts.add_parser("scheduler", help="hand requests to hosts"))
    _add_host(parts.add_parser("host", help="answer requests with this machine's phones"))
    _add_status(parts.add_parser("status", help="show hosts, phones and what they do"))
    _add_capacity(parts.add_parser("capacity", help="simulate a night, to plan a farm"))
    _add_quarantine(
        parts.add_parser("quarantine", help="leave a phone of this machine alone, or let it back")
    )
    made = parts.add_parser("certs", help="make certificates, or renew them")
    made.add_argument("folder", type=Path, help="where they are kept; keep ca.key to yourself")
    made.add_argument(
        "--name", action="append", default=[], help="host name or address to write in"
    )
    made.add_argument("--days", type=int, default=certs.DAYS, help="good for so many days")
    made.set_defaults(part=_certs)


def _add_links(parser: argparse.ArgumentParser, option: str, words: str) -> None:
    default = Address(scheme="tcp", host="127.0.0.1")
    parser.add_argument(option, type=str, default=str(default), metavar="ADDRESS", help=words)
    parser.add_argument(
        "--certs",
        type=Path,
        metavar="DIR",
        help=f"folder of `harness farm certs`, default ${links.CERTS_VARIABLE}",
    )


def _add_scheduler(parser: argparse.ArgumentParser) -> None:
    _add_links(parser, "--listen", "tls://HOST:PORT; default this machine only, without TLS")
    parser.add_argument(
        "--dashboard", type=int, metavar="PORT",
        help="port of the engine's pages and metrics, for this machine only",
    )  # fmt: skip
    parser.add_argument(
        "--ttl-s", type=float, default=TTL_S, help="a silent worker is lost after so long"
    )
    parser.set_defaults(part=_scheduler)


def _add_host(parser: argparse.ArgumentParser) -> None:
    _add_links(parser, "--scheduler", "where the scheduler listens")
    shared.add_profile_dirs(parser)
    _add_folder(parser)
    parser.add_argument("--name", help="name of this host in the farm; default its own")
    parser.add_argument(
        "--serial", action="append", default=[], help="only this phone; repeat for several"
    )
    parser.add_argument(
        "--lease", metavar="LAB",
        help="take phones from a lab's own scheduler, and give them back at the end: stf:URL, "
        "labgrid:PLACE or jumpstarter:SELECTOR",
    )  # fmt: skip
    parser.add_argument(
        "--emulated", type=int, metavar="N",
        help="stations without a phone; default the cores that the phones leave",
    )  # fmt: skip
    parser.add_argument(
        "--time-scale", type=float, default=1.0, metavar="FACTOR",
        help="factor on all waits, below 1 to rehearse faults",
    )  # fmt: skip
    parser.set_defaults(part=_host)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, help="where models and quarantine are kept")


def _folder(options: argparse.Namespace) -> Path:
    folder: Path = options.folder or cache.root() / "farm-host"
    return folder


def _add_quarantine(parser: argparse.ArgumentParser) -> None:
    whats = parser.add_subparsers(title="what to do", metavar="WHAT", required=True)
    put = whats.add_parser("add", help="ask a phone no more, until it is removed from here")
    put.add_argument("serial", help="as adb has it")
    put.add_argument("--because", required=True, help="why, as `harness farm status` shows it")
    put.set_defaults(part=_quarantine_add)
    out = whats.add_parser("remove", help="let a phone be asked again")
    out.add_argument("serial", help="as adb has it")
    out.set_defaults(part=_quarantine_remove)
    shown = whats.add_parser("list", help="show who is in, and why")
    shown.set_defaults(part=_quarantine_list)
    for part in (put, out, shown):
        _add_folder(part)


def _add_status(parser: argparse.ArgumentParser) -> None:
    _add_links(parser, "--scheduler", "where the scheduler listens")
    parser.add_argument("--json", action="store_true", help="print JSON, once")
    parser.add_argument("--live", action="store_true", help="go on until interrupted")
    parser.add_argument(
        "--metrics", type=int, metavar="PORT",
        help="serve metrics for Prometheus on this port, for this machine only",
    )  # fmt: skip
    parser.set_defaults(part=_status)


def _add_capacity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--phones", type=int, required=True)
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--request-s", type=float, default=60.0, help="mean time on a phone")
    parser.add_argument("--cores", type=int, default=4, help="of a host")
    parser.set_defaults(part=_capacity)


def run(options: argparse.Namespace) -> int:
    """Run a farm command."""
    code: int = options.part(options)
    return code


def _say(line: str) -> None:
    print(text.line(line), file=sys.stderr, flush=True)


def _certs(options: argparse.Namespace) -> int:
    if options.days < 1:
        raise HarnessError(f"--days={options.days}: certificates are good for a day at least")
    for path in certs.make(options.folder, names=options.name, days=options.days):
        _say(f"wrote {path}")
    _say(
        f"copy ca.pem and host.pem to hosts, ca.pem and client.pem to who tests; good for "
        f"{options.days} days"
    )
    return 0


def _capacity(options: argparse.Namespace) -> int:
    plan = capacity.Workload(
        phones=options.phones,
        hosts=options.hosts,
        requests=options.requests,
        request_s=options.request_s,
        cores=options.cores,
    )
    night = capacity.simulate(plan)
    print(
        f"{night.makespan_s / 3600:.2f} h; busy: phones {night.phone_share:.0%}, scheduler "
        f"{night.scheduler_share:.0%}, processors of a host {night.host_share:.0%}; "
        f"{night.bottleneck} break first"
    )
    return 0


def _scheduler(options: argparse.Namespace) -> int:
    asyncio.run(
        serve(
            Address.parse(options.listen),
            certs=options.certs,
            dashboard=options.dashboard,
            ttl_s=options.ttl_s,
            say=_say,
        )
    )
    return 0


def _host(options: argparse.Namespace) -> int:
    known = {"name": options.name} if options.name else {}
    settings = HostSettings(
        scheduler=Address.parse(options.scheduler),
        folder=_folder(options),
        profiles=shared.load_profiles(options),
        certs=options.certs,
        serials=tuple(options.serial),
        emulated=options.emulated,
        time_scale=options.time_scale,
        **known,
    )
    lent = None
    if options.lease:
        lent = leasing.lease(
            options.lease, settings.profiles.values(), folder=settings.folder, say=_say,
            time_scale=settings.time_scale,
        )  # fmt: skip
    asyncio.run(Host(settings, say=_say, lease=lent).serve())
    return 0


def _quarantine_add(options: argparse.Namespace) -> int:
    if not options.because.strip():
        raise ConfigError("--because: say why, for who looks at the phone later")
    Quarantine(_folder(options)).put(
        options.serial, options.because, now_s=time.time(), by_hand=True
    )
    _say(f"{options.serial}: in quarantine; its host asks it no more within seconds")
    return 0


def _quarantine_remove(options: argparse.Namespace) -> int:
    if not Quarantine(_folder(options)).release(options.serial, now_s=time.time()):
        raise ConfigError(
            f"{options.serial}: is not in quarantine in {_folder(options)}; "
            "`harness farm quarantine list` shows who is"
        )
    _say(f"{options.serial}: back from quarantine")
    return 0


def _quarantine_list(options: argparse.Namespace) -> int:
    for serial, case in sorted(Quarantine(_folder(options)).cases().items()):
        who = "by hand" if case.by_hand else f"{counted(case.times, 'time')} within a day"
        print(f"{text.line(serial)}: {case.why} ({who})")
    return 0


def _status(options: argparse.Namespace) -> int:
    watch = watching.Watch(Address.parse(options.scheduler), certs=options.certs)
    with watch:
        if options.metrics is not None:
            watching.serve_metrics(watch, options.metrics)
            _say(f"metrics at http://127.0.0.1:{options.metrics}/metrics, for this machine only")
        while True:
            fleet = watch.look()
            if options.json:
                print(json.dumps(watching.plain(fleet), indent=2))
            else:
                shared.console().print(table_of(fleet))
            if not (options.live or options.metrics is not None):
                return 0
            time.sleep(_LIVE_S)


def table_of(fleet: Fleet) -> Table:
    """Return who is there, what they do, and who is left alone."""
    count = f"{text.counted(len(fleet.hosts), 'host')}, "
    count += text.counted(len(fleet.stations), "station")
    table = Table(
        title=count, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
    )
    for name in ("station", "phone", "state"):
        table.add_column(name, overflow="fold")
    for name in ("answered", "failed", "waiting"):
        table.add_column(name, justify="right")
    for one in sorted(fleet.stations.values(), key=lambda station: station.name):
        state = "idle" if one.busy_s is None else f"busy {one.busy_s:.0f} s"
        table.add_row(
            one.name, one.kind, state, str(one.answered), str(one.failed),
            str(one.queued),
        )  # fmt: skip
    for phone in fleet.quarantined:
        name = f"{phone.host}/{phone.serial}"
        table.add_row(name, phone.kind, f"quarantined: {phone.why}", "", "", "")
    return table
