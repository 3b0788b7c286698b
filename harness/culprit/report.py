"""Write a search as text."""

import math

from harness.culprit.search import OpDistance, Search

_BAR_DB = 60.0
_BAR_WIDTH = 24


def lines(found: Search) -> list[str]:
    """Return the curve of error along the graph as text, the culprit and its cause at the end."""
    width = max(len(point.op) for point in found.points)
    text = [f"{'#':>4} {'op':{width}}  signal/error  alone"]
    text += [_line(point, found, width) for point in found.points]
    if found.culprit is None:
        text.append(
            f"no op leaves the tolerance of {found.tolerance_db:g} dB"
            if found.first_wrong is None
            else f"no op is to blame: {found.first_wrong.op} #{found.first_wrong.index} leaves the "
            f"tolerance of {found.tolerance_db:g} dB, and the model's own output does not: "
            f"{_db(found.output_snr_db)}"
        )
        return text
    culprit = found.culprit
    text.append(
        f"culprit: {culprit.op} #{culprit.index} writes {culprit.tensor!r} ({culprit.stored}), "
        f"{_db(culprit.own_snr_db)} on right inputs; tolerance {found.tolerance_db:g} dB"
    )
    text.append(f"  reads {', '.join(repr(name) for name in culprit.reads)}")
    text.append(f"  {found.cause}")
    if found.first_wrong is not None and found.first_wrong.index != culprit.index:
        first = found.first_wrong
        text.append(
            f"  the error leaves the tolerance at {first.op} #{first.index} {first.tensor!r}"
        )
    return text


def _line(point: OpDistance, found: Search, width: int) -> str:
    share = min(max(point.snr_db / _BAR_DB, 0.0), 1.0)
    bar = "#" * round(share * _BAR_WIDTH)
    own = "" if point.own_snr_db is None else _db(point.own_snr_db)
    mark = " <- culprit" if found.culprit and point.index == found.culprit.index else ""
    return (
        f"{point.index:>4} {point.op:{width}}  {_db(point.snr_db):>9}  {own:>9}  "
        f"{bar:{_BAR_WIDTH}}{mark}"
    ).rstrip()


def _db(value: float | None) -> str:
    if value is None:
        return "not taken"
    if math.isinf(value):
        return "exact" if value > 0 else "unusable"
    return f"{value:.1f} dB"
