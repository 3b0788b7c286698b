"""Where in subject.toml the limit stands that a ruling was made by."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness import metrics
from harness.images import Size
from harness.keys import Key
from harness.subjects import Subject

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\- ]+?)\s*\]\]?\s*(#.*)?")


@dataclass(kw_only=True)
class _Table:
    """One table of the file: its names with their numbers in lists, and its lines."""

    path: tuple[str, ...]
    number: int
    lines: list[tuple[int, str]] = field(default_factory=list)


def line_of(subject: Subject, text: str, about: Key, metric: str) -> int:
    """Return the number of the line that holds a limit, or of the nearest one that is there.

    Args:
        subject: As it was read from the text.
        text: Of subject.toml.
        about: What was ruled on.
        metric: The metric that was ruled on.
    """
    tables = list(_tables(text))
    metric = metric.rpartition("/")[2]  # the name of an output may stand before it
    key = metrics.NAMED[metric].key if metric in metrics.NAMED else metric
    nearest: list[int] = []
    for path in reversed(list(_paths(subject, about, key))):
        for table in tables:
            if table.path != path:
                continue
            nearest.append(table.number)
            for number, line in table.lines:
                if re.search(rf"(^|[\s{{,.]){re.escape(key)}\s*=", line):
                    return number
    return nearest[0] if nearest else 1


def _paths(subject: Subject, about: Key, key: str) -> Iterator[tuple[str, ...]]:
    """Yield the tables in which a limit may stand, the likeliest last."""
    for at, variant in enumerate(subject.variants):
        if variant.name == about.variant:
            yield ("variants", str(at))
            yield ("variants", str(at), "limits")
            limits = variant.on(about.delegate).limits
            for number, other in enumerate(variant.limits_on):
                if other.limits is limits:
                    yield ("variants", str(at), "limits_on", str(number))
                    yield ("variants", str(at), "limits_on", str(number), "limits")
    if key in ("exponent", "cliff_ratio", "placement_changes"):
        yield ("scaling",)
    budgets = subject.budgets_of(about.device, about.delegate, about.variant)
    for budget in budgets if about.resolution else ():
        if Size.parse(budget.resolution) == Size.parse(about.resolution) and hasattr(budget, key):
            yield ("budgets", str(next(n for n, b in enumerate(subject.budgets) if b is budget)))


def _tables(text: str) -> Iterator[_Table]:
    """Yield the tables of a TOML text in order; elements of lists are numbered."""
    numbers: dict[tuple[str, ...], int] = {}
    table = _Table(path=(), number=1)
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.fullmatch(line)
        if header is None:
            table.lines.append((number, line))
            continue
        yield table
        path: tuple[str, ...] = ()
        names = [name.strip() for name in header[2].split(".")]
        for depth, name in enumerate(names):
            path = (*path, name)
            if depth == len(names) - 1 and header[1] == "[[":
                numbers[path] = numbers.get(path, -1) + 1
            if path in numbers:
                path = (*path, str(numbers[path]))
        table = _Table(path=path, number=number)
    yield table
