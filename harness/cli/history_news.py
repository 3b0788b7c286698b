"""Hold the subcommands of `harness history` that look for news: check, ack and show."""

import argparse
import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness import text
from harness.cli import shared
from harness.errors import ConfigError
from harness.history import news
from harness.history.entries import RunEntry, SeriesKey
from harness.history.opening import DEFAULT, open_store
from harness.history.rows import Acknowledged, SeriesPoint

if TYPE_CHECKING:
    from harness.history.store import Store

DAYS = 60
"""How far back a check looks, unless told."""
_POINTS = 40
_BAR = 30
_LISTED = 20


def add_commands(commands: Any) -> tuple[argparse.ArgumentParser, ...]:
    """Add the subcommands, and return their parsers."""
    check = commands.add_parser(
        "check",
        help="say what the newest run changed; ends with 1 on a new regression",
        description="Say what the newest run changed: new, known and gone findings. What repeats "
        "is compared exactly, what a phone measured by the rule of docs/regressions.md. Ends with "
        "1 on a new regression that nobody acknowledged.",
    )
    check.add_argument(
        "--runs",
        type=int,
        default=1,
        metavar="N",
        help="runs that are new since the last check; default 1",
    )
    check.add_argument(
        "--days",
        type=int,
        default=DAYS,
        metavar="N",
        help=f"how far back to look from the newest run; default {DAYS}",
    )
    check.set_defaults(history_command=_check)
    ack = commands.add_parser("ack", help="let a finding stay until a day")
    ack.add_argument("finding", metavar="ID", help="as `check` prints it")
    ack.add_argument("--because", required=True, metavar="TEXT", help="why it may stay")
    ack.add_argument("--until", required=True, metavar="DATE", help="its last day, 2026-12-31")
    ack.set_defaults(history_command=_ack)
    show = commands.add_parser("show", help="draw a series in the terminal")
    show.add_argument(
        "words", nargs="+", metavar="WORD", help="names of it, such as deblur_unet latency_ms"
    )
    show.set_defaults(history_command=_show)
    return check, ack, show


def _check(options: argparse.Namespace) -> int:
    """Print the news of the newest runs."""
    if options.runs < 1 or options.days < 1:
        raise ConfigError("--runs and --days are at least 1")
    with open_store(options.history) as store:
        found = look_back(store, options.days, options.runs)
    console = shared.console()
    for one in found:
        for line in str(one).splitlines():
            console.print(text.line(line), soft_wrap=True, markup=False, highlight=False)
    counts = {state: sum(one.state is state for one in found) for state in news.FindingState}
    failing = sum(one.counts for one in found)
    console.print(
        f"{counts[news.FindingState.NEW]} new, {counts[news.FindingState.KNOWN]} known, "
        f"{counts[news.FindingState.GONE]} gone; {failing} new for the worse and not acknowledged",
        soft_wrap=True,
    )
    return 1 if failing else 0


def look_back(store: "Store", days: int, newest: int = 1) -> tuple[news.News, ...]:
    """Return the news of the newest runs, held against those of some days before.

    Raises:
        ConfigError: the history has no run.
    """
    runs = list(store.runs(days=days))
    if not runs:
        raise ConfigError("the history has no run; `harness history add FILE` takes one in")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return news.look_back(runs, newest=newest, acknowledged=store.acknowledged(), today=today)


def past(address: str, days: int = DAYS) -> tuple[RunEntry, ...]:
    """Return the runs of a history; none where no address is given and nothing lies in its place.

    Raises:
        StackMissing: the extra `history` is not installed.
        ConfigError: the history cannot be read.
    """
    if not address and not DEFAULT.exists():
        return ()
    with open_store(address) as store:
        return tuple(store.runs(days=days))


def _ack(options: argparse.Namespace) -> int:
    """Keep an acknowledgement of a finding that the history gives."""
    one = Acknowledged(finding=options.finding, because=options.because, until=options.until)
    if one.until < datetime.datetime.now(datetime.UTC).date().isoformat():
        raise ConfigError(f"--until={one.until} is over; name a day to come")
    with open_store(options.history) as store:
        known = {found.id for found in look_back(store, DAYS)}
        if one.finding not in known:
            raise ConfigError(
                f"{one.finding!r:.80}: no finding of the last {DAYS} days; "
                "`harness history check` prints them"
            )
        store.acknowledge(one)
    shared.console().print(f"{one.finding}: acknowledged until {one.until}", soft_wrap=True)
    return 0


def _show(options: argparse.Namespace) -> int:
    """Draw the one series that all words are names of."""
    with open_store(options.history) as store:
        key = _the_one(store.keys(), options.words)
        points = store.series(key, at_most=_POINTS)
    console = shared.console()
    console.print(text.line(str(key)), soft_wrap=True, markup=False, highlight=False)
    for line in _chart(points):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    return 0


def _the_one(keys: Sequence[SeriesKey], words: Sequence[str]) -> SeriesKey:
    """Return the series that has every word among its parts.

    Raises:
        ConfigError: none or several have.
    """
    found = [key for key in keys if set(words) <= set(key.parts)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(
            f"no series has the names {' '.join(words)!r:.200}; `harness history latest` shows them"
        )
    listed = "".join(f"\n  {text.line(str(key))}" for key in found[:_LISTED])
    more = f"\n  and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    raise ConfigError(f"{len(found)} series have these names; add words:{listed}{more}")


def _chart(points: Sequence[SeriesPoint]) -> list[str]:
    """Return a line for each point: day, value, interval, a mark between least and most, ruling."""
    values = [point.value for point in points]
    least, most = min(values), max(values)
    span = most - least or 1.0
    lines = []
    for point in points:
        at = round((_BAR - 1) * (point.value - least) / span)
        bar = "·" * at + "●" + "·" * (_BAR - 1 - at)
        ends = (
            "" if point.low is None or point.high is None else f" {point.low:.5g}..{point.high:.5g}"
        )
        lines.append(
            f"{point.time_utc[:16]} {bar} {point.value:>10.5g}{ends} {point.outcome}".rstrip()
        )
    return lines
