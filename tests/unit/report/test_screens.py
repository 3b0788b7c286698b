"""Golden screens of a run's summary; `--snapshot-update` accepts what differs."""

from collections.abc import Sequence

import pytest
from syrupy.assertion import SnapshotAssertion

from harness.evidence import Evidence, Provenance
from harness.metrics import (
    CPU_OPS,
    LATENCY_MS,
    PARTITIONS,
    PSNR_DB,
    QUALITY_DROP_DB,
    SCALING_EXPONENT,
    Metric,
)
from harness.report import terminal
from harness.results import Record
from harness.verdict import Lack, Outcome, Verdict
from tests.screens import WIDTHS

_NOTE = "drivers may refuse more than the refusals that are published"
_WITHHELD = {
    ("pixel4:nnapi", "NNAPI has no 16-bit fixed point"): ["unet.int16_ptq"],
    ("reno3:nnapi", "NNAPI has no 16-bit fixed point"): ["unet.int16_ptq"],
    ("pixel4:nnapi", "a design of the study, not a product; name it to test it"): [
        f"design_{number}.*" for number in range(6)
    ],
}
_SIZES = ("256x256", "1280x720")


def _ruled(
    metric: Metric,
    observed: float,
    limit: float | None,
    evidence: Evidence,
    *,
    cause: str = "",
    remedy: str = "",
    lacks: Lack | None = None,
) -> Verdict:
    kept = limit is not None and metric.sense.keeps(observed, limit)
    outcome = Outcome.INCONCLUSIVE if lacks else Outcome.PASS if kept else Outcome.FAIL
    made = Provenance(evidence=evidence, device="d", variant_sha256="ab", note=_NOTE)
    return Verdict(
        gate=metric.gate, metric=metric.name, observed=observed, limit=limit, sense=metric.sense,
        unit=metric.unit, outcome=outcome, provenance=made, cause=cause, remedy=remedy,
        lacks=lacks,
    )  # fmt: skip


def _of(
    verdicts: Sequence[Verdict], variant: str, device: str = "pixel4", size: str = "256x256"
) -> list[Record]:
    return [
        Record(
            test=f"test_{verdict.gate}.py::test[{device}:nnapi-unet.{variant}-{size}]",
            subject="unet", variant=variant, device=device, delegate="nnapi", resolution=size,
            verdict=verdict,
        )
        for verdict in verdicts
    ]  # fmt: skip


def _good(ms: float, psnr_db: float = 48.12) -> list[Verdict]:
    return [
        _ruled(LATENCY_MS, ms, 20.0, Evidence.MODEL),
        _ruled(CPU_OPS, 0.0, 0.0, Evidence.RULES),
        _ruled(PSNR_DB, psnr_db, 42.0, Evidence.HOST),
        _ruled(SCALING_EXPONENT, 0.953, 1.1, Evidence.MODEL),
    ]


def _passing() -> list[Record]:
    return [
        record
        for variant, ms in (("fp32", 10.3), ("int8_ptq", 5.43), ("int8_qat", 5.43))
        for size in _SIZES
        for record in _of(_good(ms if size == "256x256" else ms * 1.5), variant, size=size)
    ]


def _failing() -> list[Record]:
    cause = "3 of 28 ops on CPU (TRANSPOSE_CONV #14 #19 #24: refused by driver 'qti-default')"
    fallen = [
        _ruled(LATENCY_MS, 15.9, 20.0, Evidence.MODEL),
        _ruled(CPU_OPS, 3.0, 0.0, Evidence.RULES, cause=cause),
        _ruled(PARTITIONS, 7.0, 1.0, Evidence.RULES),
        _ruled(PSNR_DB, 53.4, 42.0, Evidence.HOST),
    ]
    wrong = [
        _ruled(LATENCY_MS, 9.31, 20.0, Evidence.PHONE),
        _ruled(CPU_OPS, 0.0, 0.0, Evidence.PHONE),
        _ruled(PSNR_DB, 21.7, 42.0, Evidence.PHONE),
    ]
    return [
        *_of(fallen, "fp32"),
        *_of(fallen, "fp32", "reno3"),
        *_of(wrong, "int8_ptq"),
        *_of(_good(5.43), "int8_ptq", "reno3"),
    ]


def _undecided() -> list[Record]:
    records = []
    for device in ("pixel4", "reno3", "mate30pro"):
        verdicts = [
            _ruled(
                LATENCY_MS, 15.9, 20.0, Evidence.MODEL, lacks=Lack.PHONE,
                cause=f"relative only: no figure of {device} is public",
                remedy="attach this phone to decide",
            ),
            _ruled(
                PSNR_DB, 48.1, None, Evidence.HOST, lacks=Lack.LIMIT,
                cause="subject.toml sets no limit for it",
            ),
            _ruled(QUALITY_DROP_DB, 0.0, 0.5, Evidence.HOST, lacks=Lack.TARGET),
        ]  # fmt: skip
        records += _of(verdicts, "fp32", device)
    return records


_RUNS = {"passes": _passing, "fails": _failing, "undecided": _undecided}


def _drawn(run: str, *, width: int, detailed: bool = False, color: bool = False) -> str:
    return terminal.summary(
        _RUNS[run](), _WITHHELD, width=width, color=color, detailed=detailed,
        command=("pytest", "--device=all", "-o", "golden_dir=mine"),
    )  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("run", _RUNS)
def test_a_summary_is_its_golden_screen(run: str, width: int, snapshot: SnapshotAssertion) -> None:
    assert _drawn(run, width=width) == snapshot


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("run", ["fails", "undecided"])
def test_its_details_are_their_golden_screen(
    run: str, width: int, snapshot: SnapshotAssertion
) -> None:
    assert _drawn(run, width=width, detailed=True) == snapshot


def test_its_colours_are_their_golden_screen(snapshot: SnapshotAssertion) -> None:
    assert _drawn("fails", width=80, color=True) == snapshot
