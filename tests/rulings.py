"""How each gate of a run ruled; a gate that is added changes nothing for those named here."""

from collections import Counter
from pathlib import Path

from harness import results
from harness.verdict import Outcome

_WORST_FIRST = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)


def by_gate(root: Path) -> dict[str, dict[str, int]]:
    """Count the tests of the newest run by gate, and by the worst that each test ruled."""
    ruled: dict[tuple[str, str], set[Outcome]] = {}
    for record in results.load(results.latest(root)).records:
        ruled.setdefault((record.verdict.gate, record.test), set()).add(record.verdict.outcome)
    found: dict[str, Counter[str]] = {}
    for (gate, _), outcomes in ruled.items():
        worst = next(outcome for outcome in _WORST_FIRST if outcome in outcomes)
        found.setdefault(gate, Counter())[worst.value] += 1
    return {gate: dict(count) for gate, count in found.items()}


def green(*, variants: int = 2, frames: int = 2) -> dict[str, dict[str, int]]:
    """Return what `by_gate` holds at least where all that the tiny subject is judged on passes."""
    tests = dict.fromkeys(("latency", "cpu_fallback", "scaling", "regression"), variants)
    tests["fidelity"] = 2 * variants * frames
    return {gate: {Outcome.PASS.value: count} for gate, count in tests.items()}


def assert_green(root: Path, *, variants: int = 2, frames: int = 2) -> None:
    """Assert that the newest run ended well, and that every such gate passed all its tests."""
    run = results.load(results.latest(root))
    assert run.end is not None
    assert (run.end.exit_code, run.unrecorded) == (0, ())
    assert by_gate(root).items() >= green(variants=variants, frames=frames).items()
