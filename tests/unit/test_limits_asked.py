"""With which latency budget a phone is timed, where several gates rule on one measurement."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from harness import cases, gate, subjects
from harness.cases import SizedCase
from harness.errors import DeviceError
from harness.gates import test_energy, test_first_inference, test_latency
from harness.images import Size
from harness.lab import DeviceUnderTest, Facts
from harness.profiles import Target, load_all, select, shipped_folder
from harness.requests import Fact, Request
from tests import tiny

_GATES = (test_energy, test_first_inference, test_latency)
_TILES = 4


class _Absent:
    """A lab without phones; it notes what it was asked."""

    name = ""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def open(self) -> None: ...

    def fingerprint(self, target: Target) -> str:
        return str(target)

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        self.asked += requests
        yield from (Fact(request=one, error=DeviceError("no phone")) for one in requests)

    def findings(self) -> list[str]:
        return []

    def close(self) -> list[str]:
        return []


@pytest.fixture
def case(golden_dir: Path) -> SizedCase:
    """Return a photograph of 64x64 that a model restores in tiles of 32x32, with every budget."""
    file = golden_dir / tiny.NAME / "subject.toml"
    tiny.edit(file, "latency_ms = 1000", "latency_ms = 1000\nenergy_mj = 5\nfirst_inference_ms = 9")
    file.write_text(f'{file.read_text()}\n[tiles]\nresolution = "32x32"\n', encoding="utf-8")
    targets = select(load_all([shipped_folder()]), ["pixel4"])
    first = cases.plan(subjects.load_all(golden_dir), targets).cases[0]
    return first.at(Size.parse("64x64"))


def _tried(module: ModuleType, case: SizedCase, lab: _Absent) -> None:
    (test,) = (vars(module)[name] for name in vars(module) if name.startswith("test_"))
    offered = {"subject": case.subject, "variant": case.variant, "size": case.size}
    device = DeviceUnderTest(case.target, Facts(lab))
    check: gate.Check = lambda *verdicts: None  # noqa: E731
    with pytest.raises(DeviceError, match="no phone"):
        test(**offered, device=device, budget=case.budget, check=check)


@pytest.mark.parametrize("module", _GATES, ids=lambda module: module.GATE)
def test_every_gate_of_a_latency_asks_for_its_budget_of_one_tile(
    module: ModuleType, case: SizedCase
) -> None:
    lab = _Absent()

    _tried(module, case, lab)

    assert case.budget.latency_ms == 1000
    for request in (*module.asks(case), *lab.asked):
        assert request.limits_ms == (1000 / _TILES,)
    assert len(lab.asked) == 1


def test_of_one_measurement_for_several_gates_none_is_asked_with_another_limit(
    case: SizedCase,
) -> None:
    lab = _Absent()

    list(Facts(lab).take([one for module in _GATES for one in module.asks(case)]))

    assert [request.limits_ms for request in lab.asked] == [(1000 / _TILES,)]


def test_photographs_of_several_sizes_are_timed_by_one_tile_for_all_their_limits(
    golden_dir: Path, case: SizedCase
) -> None:
    file = golden_dir / tiny.NAME / "subject.toml"
    with file.open("a", encoding="utf-8") as more:
        more.write(
            '\n[[budgets]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["*"]\n'
            'resolution = "96x96"\nlatency_ms = 900\nsource = "a test"\n'
        )
    first = cases.plan(subjects.load_all(golden_dir), [case.target]).cases[0]
    lab = _Absent()

    asked = [test_latency.asks(one)[0] for one in first.by_budget()]
    list(Facts(lab).take(asked))

    assert [request.limits_ms for request in asked] == [(250.0,), (100.0,)]
    assert [request.limits_ms for request in lab.asked] == [(100.0, 250.0)]
