"""A run as GitHub-flavoured Markdown: for a job summary, or a comment that is edited in place."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from harness import text
from harness.report import ruling
from harness.results import Record, Results
from harness.verdict import Change, Outcome

SUMMARY_BYTES = 900_000
"""GitHub drops a job summary above 1,024 kB. Source: GitHub, workflow commands."""
COMMENT_BYTES = 60_000
"""A comment may have 65,536 characters."""
_HEAD = ("| | what | verdict | evidence |", "|---|---|---|---|")
_Key = tuple[str, str, str, str, str, str, str, str, str]


def summary(
    results: Results,
    *,
    effects: Mapping[str, Sequence[str]] = MappingProxyType({}),
    before: Results | None = None,
    key: str = "gates",
    at_most_bytes: int = SUMMARY_BYTES,
) -> str:
    """Return a run as Markdown; its first line says what the run ruled, its last is hidden.

    Args:
        results: The run.
        effects: What the change did to who has to pass, as `ruling.by_effect`; shown at the top.
        before: An earlier run; what it ruled otherwise is shown as changed.
        key: In the hidden marker by which a comment is found again.
        at_most_bytes: Bytes that may not be exceeded; rows are left out and counted instead.
    """
    marker = f"<!-- device-harness:{'-'.join(key.split()).replace('--', '-')} -->"
    head = _top(results, effects)
    old = _by_key(before) if before is not None else {}
    records = ruling.worst_first(results)
    moved = (Change.BETTER, Change.WORSE)
    shown = [
        record
        for record in records
        if record.verdict.outcome is Outcome.FAIL
        or record.verdict.change in moved
        or record.verdict.accepted
        or _changed(record, old)
    ]
    rest = [r for r in records if r not in shown]
    foot = [
        "",
        f"Run {_safe(results.run.id)}, {_safe(results.run.git_commit or 'no commit')}.",
        marker,
    ]
    room = at_most_bytes - sum(len(f"{line}\n".encode()) for line in (*head, *foot)) - 500
    lines = head
    for title, rows, folded in (("", shown, False), ("other verdict", rest, True)):
        table, room = _table([_row(record, old) for record in rows], room)
        if not rows:
            continue
        if folded:
            about = f"<details><summary>{text.counted(len(rows), title)}</summary>"
            table = [about, "", *table, "", "</details>"]
        lines += [*table, ""]
    return "\n".join([*lines, *foot]) + "\n"


def _top(results: Results, effects: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the lines above the verdicts: the ruling, what the change did, what is new."""
    ruled = ruling.of(results)
    head = [f"**{ruled.outcome.value}**: {_safe(ruled.sentence)}", ""]
    for heading, lines in effects.items():
        head += [f"**{heading}:**", ""]
        head += [f"- {_safe(one)}" for one in lines[:100]]
        head += [f"- and {len(lines) - 100} more"] if len(lines) > 100 else []
        head += [""]
    for line in dict.fromkeys(plan.uncompared for plan in results.plans if plan.uncompared):
        head += [_safe(line), ""]
    if results.missing and ruled.outcome is Outcome.FAIL:
        head += [
            f"**Shards that did not arrive:** {_safe(ruling.lost_shards(results.missing))}",
            "",
        ]
    judged = (ruling.judged_against(plan) for plan in results.plans if plan.against)
    for line in dict.fromkeys(judged):
        head += [_safe(line), ""]
    new = dict.fromkeys(name for plan in results.plans for name in plan.new)
    if new:
        head += [_safe(ruling.new_subjects(results.plans[0].against, list(new))), ""]
    return head


def _table(rows: Sequence[str], room: int) -> tuple[list[str], int]:
    """Return rows under their head as far as there is room, and the room that is left."""
    kept: list[str] = []
    for row in rows:
        room -= len(row.encode()) + 1
        if room < 0:
            return [*_HEAD, *kept, "", f"{len(rows) - len(kept)} more are in the results file."], 0
        kept.append(row)
    return [*_HEAD, *kept], room


def _row(record: Record, old: dict[_Key, Record]) -> str:
    verdict = record.verdict
    was = old.get(_key(record))
    changed = ""
    if was is not None and was.verdict.outcome is not verdict.outcome:
        changed = f"{was.verdict.outcome.value} → "
    elif was is not None and was.verdict.observed != verdict.observed:
        changed = f"was {was.verdict.observed}; "
    because = f"{verdict.gate}: {verdict.because}"
    evidence = verdict.evidence.value if verdict.evidence else ""
    cells = (f"{changed}{verdict.outcome.value}", ruling.where(record), because, evidence)
    return f"| {' | '.join(map(_safe, cells))} |"


def _by_key(results: Results) -> dict[_Key, Record]:
    return {_key(record): record for record in results.records}


def _key(record: Record) -> _Key:
    verdict = record.verdict
    evidence = verdict.evidence.value if verdict.evidence else ""
    return (
        record.device, record.delegate, record.subject, record.variant, record.resolution,
        record.frame, verdict.gate, verdict.metric, evidence,
    )  # fmt: skip


def _changed(record: Record, old: dict[_Key, Record]) -> bool:
    """Return whether an earlier run ruled or, where facts repeat, found otherwise."""
    was = old.get(_key(record))
    if was is None:
        return False
    if was.verdict.outcome is not record.verdict.outcome:
        return True
    repeats = record.verdict.evidence is not None and record.verdict.evidence.repeats
    return repeats and was.verdict.observed != record.verdict.observed


def _safe(words: str) -> str:
    """Return words of others as data: no markup, no mention of a person."""
    return text.markdown(words).replace("@", "@<!-- -->")


def annotations(places: Sequence[tuple[Record, str, int]], *, at_most: int = 9) -> Iterator[str]:
    """Yield a workflow command for each failed verdict on the line of its limit, worst first.

    Args:
        places: Each failed record with the file and line of its limit.
        at_most: GitHub shows ten of a step; what is left out is counted in one more.
    """
    for record, file, line in places[:at_most]:
        verdict = record.verdict
        title = f"{verdict.gate} {ruling.where(record)}"
        about = f"file={_property(file)},line={line},title={_property(title)}"
        yield f"::error {about}::{_data(str(verdict))}"
    if len(places) > at_most:
        more = text.counted(len(places) - at_most, "more failed verdict")
        yield f"::error title=device harness::{more}; the summary has them all"


def _data(words: str) -> str:
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        words = words.replace(char, code)
    return words


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")
