"""What a run ruled as a small SVG badge: in words and counts, so that colour adds nothing."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from harness import text
from harness.errors import HarnessError
from harness.report import joining, ruling
from harness.report.page.merging import merge
from harness.results import Results
from harness.verdict import Outcome, worst

_PAD_PX = 6
_CHAR_PX = 6.6
"""Mean width of a character of Verdana at 11 px; the text is fitted to what it gives."""
_COLOURS = {
    Outcome.PASS: "#1a7f37", Outcome.FAIL: "#c11a23", Outcome.INCONCLUSIVE: "#8a6100",
}  # fmt: skip
_WORDS = {
    Outcome.FAIL: "failed", Outcome.INCONCLUSIVE: "inconclusive", Outcome.PASS: "passed",
}  # fmt: skip
_LABEL = 40


def write(results: Sequence[Results], path: Path) -> None:
    """Write the badge of runs.

    Raises:
        HarnessError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(results), encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written ({error.strerror})") from None


def render(results: Sequence[Results]) -> str:
    """Return the badge of runs: which phone, and how many tests failed, lacked and passed.

    Args:
        results: At least one run; of two rulings of one test the newer counts. A run without an
            end and a plan without all its shards are inconclusive, and a run that pytest ended
            as failed without a failed verdict is failed, whatever was ruled.
    """
    merged = merge(results)
    outcomes = list(merged.outcomes().values())
    counts = {outcome: outcomes.count(outcome) for outcome in _WORDS}
    parts = [f"{n} {_WORDS[outcome]}" for outcome, n in counts.items() if n]
    codes = {code for one in results if (code := ruling.unexplained(one))}
    missing = joining.lost([plan for one in results for plan in one.plans])
    parts += [f"pytest ended with {code}" for code in sorted(codes)]
    if missing:
        shards = f"{len(missing)} shards" if len(missing) > 1 else f"shard {missing[0]}"
        parts.append(f"{shards} missing")
    parts += ["cut short"] if merged.cut_short else []
    outcomes += [Outcome.FAIL] if codes else []
    outcomes += [Outcome.INCONCLUSIVE] if missing or merged.cut_short else []
    phones = list(dict.fromkeys(f"{one.device}:{one.delegate}" for one in merged.records))
    where = phones[0] if len(phones) == 1 else text.counted(len(phones), "phone")
    label = text.brief(f"device gates, {where}" if phones else "device gates", _LABEL)
    said = ", ".join(parts) or "nothing tested"
    left, right = (round(len(words) * _CHAR_PX) + 2 * _PAD_PX for words in (label, said))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("badge.svg.j2").render(
        label=label, said=said, left=left, right=right, width=left + right, pad=_PAD_PX,
        colour=_COLOURS[worst(outcomes)],
    )  # fmt: skip
