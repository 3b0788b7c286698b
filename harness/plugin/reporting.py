"""Tell people and files what was ruled: status letters, results on disk, the summary."""

from __future__ import annotations  # pytest 8.2 has no pytest.TerminalReporter

from collections.abc import Generator, Iterator
from pathlib import Path
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
_FROM_WORKER = "device-harness"
"""Key of what a worker of pytest-xdist hands to the controller as it ends."""

_Status = tuple[str, str, tuple[str, dict[str, bool]]]


class Reporter:
    """Report for one pytest process; only the controller of a parallel run writes files."""

    def __init__(self, session: Session, config: pytest.Config) -> None:
        """Report for a session."""
        self._session = session
        self._strict = bool(config.getoption("strict", False))
        self._records: list[Record] = []
        self._writer: results.Writer | None = None
        self._unwritten = ""
        self._again: set[str] = set()
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
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Forget what an earlier attempt of the same test ruled: the last attempt counts."""
        earlier = item.stash.get(fixtures.RECORDS, [])
        names = {fixtures.property_name(record.verdict) for record in earlier}
        item.user_properties[:] = [p for p in item.user_properties if p[0] not in names]
        item.stash[fixtures.RECORDS] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """Write the records of a test to disk as soon as it is over."""
        if self._writer is None:
            return
        if report.outcome == "rerun":  # of pytest-rerunfailures: this attempt does not count
            self._again.add(report.nodeid)
            return
        for data in getattr(report, _RECORDS, []):
            record = schema.parse(Record, data, where=report.nodeid)
            self._records.append(record)
            self._write(self._writer, record)

    def _write(self, writer: results.Writer, record: Record) -> None:
        """Keep a record; where that cannot be done, judging goes on and the summary says so."""
        if self._unwritten:
            return
        try:
            writer.write(record)
        except HarnessError as error:
            self._unwritten = str(error)

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
        records = sorted(self._records, key=self._session.order)
        text = terminal.summary(
            records, self._session.not_shipped(), width=tw.fullwidth, color=tw.hasmarkup
        )
        if text:
            tw.sep("=", "device harness")
            tw.write(text)
            for line in self._endnotes(terminalreporter.config.rootpath):
                tw.line(line)
        for trouble in self._troubles:
            tw.line(f"not released: {trouble}", red=True)
        if self._records:
            cache.root()  # with pytest-xdist only the workers have used it
        if trouble := cache.trouble():
            tw.line(trouble, yellow=True)
        yield

    def _endnotes(self, root: Path) -> Iterator[str]:
        """Yield where the records are, and whether tests were run more than once."""
        if self._again:
            yield f"Tests that were run again: {len(self._again)}; their last attempt counts"
        if self._unwritten:
            yield f"results: not kept, {self._unwritten}"
        elif self._writer is not None and self._writer.path is not None:
            yield f"results: {self._writer.path.relative_to(root)}"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Release the devices before the summary, which says what could not be restored.

        A worker of pytest-xdist prints no summary: it tells the controller.
        """
        self._troubles += self._session.close()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_FROM_WORKER] = {
                "troubles": self._troubles,
                "withheld": [[*key, labels] for key, labels in self._session.withheld.items()],
            }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist left out and could not release."""
        said = getattr(node, "workeroutput", {}).get(_FROM_WORKER, {})
        self._troubles += [t for t in said.get("troubles", []) if t not in self._troubles]
        for target, because, labels in said.get("withheld", []):
            known = self._session.withheld.setdefault((target, because), [])
            known += [label for label in labels if label not in known]


def _has_case(item: pytest.Item) -> bool:
    """Return whether a test is one of a case, even if the first of its fixtures failed."""
    return CASE in getattr(getattr(item, "callspec", None), "params", {})
