"""Tell people and files what was ruled: status letters, results on disk, the summary."""

from collections.abc import Generator
from typing import Any

import pytest

from harness import cache, gate, results, schema
from harness.errors import (
    GateError,
    HarnessError,
    InconclusiveError,
    MeasurementError,
    StackMissing,
)
from harness.plugin import fixtures, stands_back
from harness.plugin.collection import CASE, Session
from harness.report import terminal
from harness.results import Record

_NO_EVIDENCE = (MeasurementError, StackMissing)
"""Errors after which there is nothing to rule by: a void measurement, a stack not installed."""

# Attributes of a report; pytest-xdist carries them from its workers to the controller.
_INCONCLUSIVE = "harness_inconclusive"
_RECORDS = "harness_records"

_Status = tuple[str, str, tuple[str, dict[str, bool]]]


class Reporter:
    """Report for one pytest process; only the controller of a parallel run writes files."""

    def __init__(self, session: Session, config: pytest.Config) -> None:
        """Report for a session."""
        self._session = session
        self._strict = bool(config.getoption("strict", False))
        self._records: list[Record] = []
        self._writer: results.Writer | None = None
        self._troubles: list[str] = []
        config.stash[fixtures.SESSION] = session

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """Say which phones are tested, where facts may come from, and which names are others'."""
        names = ", ".join(str(target) for target in self._session.targets)
        line = f"device harness: {names} (origin {self._session.origin.value})"
        return [line, *filter(None, [stands_back(config)])]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn gate and harness errors into clear lines, and attach the records."""
        report = yield
        error = call.excinfo.value if call.excinfo else None
        unsure = isinstance(error, (InconclusiveError, *_NO_EVIDENCE))
        if isinstance(error, _NO_EVIDENCE):
            self._record_error(item, error)
        if unsure and not self._strict:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), (item.location[1] or 0) + 1, str(error))
            setattr(report, _INCONCLUSIVE, True)
        elif isinstance(error, GateError):
            report.longrepr = str(error)
        elif isinstance(error, HarnessError) and _has_case(item):
            report.longrepr = f"{type(error).__name__}: {error}"
            if not unsure:
                self._record_error(item, error)
        if report.when == "call" or error is not None:
            records = item.stash.get(fixtures.RECORDS, [])
            setattr(report, _RECORDS, [schema.dump(record) for record in records])
        return report

    def _record_error(self, item: pytest.Item, error: HarnessError) -> None:
        """Record that a test could not rule, and why."""
        name = getattr(getattr(item, "module", None), "GATE", "error")
        metric = "no_evidence" if isinstance(error, _NO_EVIDENCE) else "error"
        verdict = gate.inconclusive(name, metric, f"{type(error).__name__}: {error}")
        record = fixtures.record_of(item, verdict)
        item.stash.setdefault(fixtures.RECORDS, []).append(record)

    def pytest_report_teststatus(self, report: Any) -> _Status | None:
        """Give INCONCLUSIVE a letter and a colour of its own."""
        if getattr(report, _INCONCLUSIVE, False):
            return "inconclusive", "I", ("INCONCLUSIVE", {"yellow": True})
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """Write the records of a test to disk as soon as it is over."""
        if self._writer is None:
            return
        for data in getattr(report, _RECORDS, []):
            record = schema.parse(Record, data, where=report.nodeid)
            self._records.append(record)
            self._writer.write(record)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Open the results file in the one process that writes it."""
        if not hasattr(session.config, "workerinput"):
            self._writer = results.Writer(session.config.rootpath)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        """Print the joined verdicts before pytest's own sections."""
        tw = terminalreporter._tw
        text = terminal.summary(
            self._records, self._session.not_shipped(), width=tw.fullwidth, color=tw.hasmarkup
        )
        if text:
            tw.sep("=", "device harness")
            tw.write(text)
            if self._writer is not None:
                shown = terminalreporter.config.rootpath
                tw.line(f"results: {self._writer.path.relative_to(shown)}")
        for trouble in self._troubles:
            tw.line(f"not released: {trouble}", red=True)
        if self._records:
            cache.root()  # with pytest-xdist only the workers have used it
        if trouble := cache.trouble():
            tw.line(trouble, yellow=True)
        yield

    def pytest_sessionfinish(self) -> None:
        """Release the devices before the summary, which says what could not be restored."""
        self._troubles = self._session.close()


def _has_case(item: pytest.Item) -> bool:
    """Return whether a test is one of a case, even if the first of its fixtures failed."""
    return CASE in getattr(getattr(item, "callspec", None), "params", {})
