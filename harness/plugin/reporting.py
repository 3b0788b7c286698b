"""Tell people and files what was ruled: status letters, results on disk, the summary."""

from __future__ import annotations  # pytest 8.2 has no pytest.TerminalReporter

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import cache, evidence, fact_lines, judging, results, schema
from harness.cases import Withheld
from harness.errors import GateError, HarnessError, InconclusiveError
from harness.fact_lines import Taken
from harness.judging import NO_EVIDENCE
from harness.plugin import (
    drawing,
    fixtures,
    ini,
    junit,
    option,
    outbox,
    remembering,
    signing,
    stands_back,
)
from harness.plugin.collection import (
    Session,
    case_of,
    golden_dir,
    phone_setup,
    rules,
)
from harness.plugin.coming import ComingFacts
from harness.requests import Fact, Request
from harness.results import End, Line, Planned, Record, Unruled
from harness.text import counted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# Attributes of a report; pytest-xdist carries them from its workers to the controller.
_INCONCLUSIVE = "harness_inconclusive"
_RECORDS = "harness_records"
_FACTS = "harness_facts"
_FROM_WORKER = "device-harness"
"""Key of what a worker of pytest-xdist hands to the controller as it ends."""
_WAYS = ("benchmark_tool", "benchmark_preset", "litert_tools", "external_delegates")
"""Ini keys that decide how a phone is measured."""

_Status = tuple[str, str, tuple[str, dict[str, bool]]]


class Reporter:
    """The reports of one pytest process; only the controller of a parallel run writes files."""

    def __init__(self, session: Session, config: pytest.Config) -> None:
        """Report for a session."""
        self._session = session
        self._config = config
        self._strict = bool(config.getoption("strict", False))
        self._records: list[Record] = []
        self._writer: results.Writer | None = None
        self._key: Ed25519PrivateKey | None = None
        self._unwritten = ""
        self._again: set[str] = set()
        self._troubles: list[str] = []
        self._planned: dict[str, None] = {}
        self._coming: ComingFacts | None = None
        self._ruled: set[str] = set()
        self._over: set[str] = set()
        self._notes: list[str] = []
        self._outbox: outbox.Outbox | None = None
        config.stash[fixtures.SESSION] = session

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """Say which phones are tested, where facts may come from, and which names are others'."""
        names = ", ".join(str(target) for target in self._session.targets)
        lab = self._session.lab.name
        where = f"lab {lab}" if lab else f"origin {self._session.origin.value}"
        line = f"device harness: {names} ({where})"
        return [line, *filter(None, [stands_back(config)])]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn gate and harness errors into clear lines, and attach the records."""
        report = yield
        error = call.excinfo.value if call.excinfo else None
        unsure = isinstance(error, (InconclusiveError, *NO_EVIDENCE))
        if isinstance(error, NO_EVIDENCE):
            self._record_error(item, error)
        if unsure and not self._strict:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), (item.location[1] or 0) + 1, str(error))
            setattr(report, _INCONCLUSIVE, True)
        elif isinstance(error, GateError):
            report.longrepr = str(error)
        elif isinstance(error, HarnessError) and case_of(item) is not None:
            report.longrepr = f"{type(error).__name__}: {error}"
            if not unsure:
                self._record_error(item, error)
        if report.when == "call" or error is not None:
            records = item.stash.get(fixtures.RECORDS, [])
            setattr(report, _RECORDS, [schema.dump(record) for record in records])
        if self._writer is None:
            facts, self._session.taken[:] = list(self._session.taken), []
            setattr(report, _FACTS, [schema.dump(fact_lines.line(fact)) for fact in facts])
        return report

    def _record_error(self, item: pytest.Item, error: HarnessError) -> None:
        """Record that a test could not rule, and why."""
        name = getattr(getattr(item, "module", None), "GATE", "error")
        record = fixtures.record_of(item, judging.unruled(name, error))
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
        self._write_facts()
        for data in getattr(report, _FACTS, []):
            self._write(schema.parse(Taken, data, where=report.nodeid))
        records = getattr(report, _RECORDS, [])
        for data in records:
            record = schema.parse(Record, data, where=report.nodeid)
            self._records.append(record)
            self._write(record)
        ruled = self._records[len(self._records) - len(records) :]
        junit.write_verdicts(self._config, report, ruled)
        self._ruled |= {report.nodeid} if records else set()
        if report.when == "teardown":
            self._over.add(report.nodeid)
            if report.nodeid in self._planned and report.nodeid not in self._ruled:
                self._write(Unruled(test=report.nodeid))

    def _write_facts(self) -> None:
        """Write down the facts that this process has taken since the last time."""
        facts, self._session.taken[:] = list(self._session.taken), []
        for fact in facts:
            self._write(fact_lines.line(fact))

    def _write(self, line: Line) -> None:
        """Keep a line; where that cannot be done, judging goes on and the summary says so."""
        if self._outbox is not None and isinstance(line, Taken):
            self._outbox.take(line)
        if self._unwritten or self._writer is None:
            return
        try:
            self._writer.write(line)
        except HarnessError as error:
            self._unwritten = str(error)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take the tests that rule on phones as planned; to list them plans nothing."""
        if session.config.option.collectonly:
            return
        self._plan([item.nodeid for item in session.items if rules(item)])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Take what a worker of pytest-xdist will run as planned: its ids name the phones."""
        names = tuple(f"[{target}" for target in self._session.targets)
        self._plan([i for i in ids if any(f"{n}{end}" in i for n in names for end in "-]")])

    def _plan(self, tests: list[str]) -> None:
        self._planned |= dict.fromkeys(tests)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Write the plan down, and begin to ask for all that it wants."""
        if session.testsfailed or session.config.option.collectonly:
            return
        self._open_lab(session.items)
        if self._writer is None or not self._planned:
            return
        items = [item for item in session.items if item.nodeid in self._planned]
        self._coming = ComingFacts(self._session, items, self._write_facts)
        wanted = self._coming.requests
        asked = self._asked(session.config)
        plan = outbox.plan_of(tuple(self._planned), asked)
        self._outbox = outbox.opened(session.config, self._writer.run.id, plan)
        resumed = self._resume(session.config, wanted, asked)
        self._write(
            Planned(
                tests=tuple(self._planned),
                withheld=tuple(self._session.withheld),
                resumes=resumed,
                **self._change(),
                shard=self._session.shard,
                whole=self._session.whole,
                asked=asked,
                strict=self._strict,
            )
        )
        if self._outbox is not None:
            self._outbox.ask([request.key for request in wanted])
        self._coming.expect(session.config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Have what a test asks for before it begins, and before its time counts."""
        if self._coming is not None:
            self._coming.wait_for(item)
        return (yield)

    def _open_lab(self, items: Sequence[pytest.Item]) -> None:
        """Reach the lab; where that cannot be done, the run ends with one line before any test."""
        if all(case_of(item) is None for item in items):
            return  # of pytest-xdist only a worker has tests
        try:
            self._session.lab.open()
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from None

    def _change(self) -> dict[str, Any]:
        """Return what the plan says of a change."""
        change = self._session.against
        return change.said() if change is not None else {}

    def _judges_no_case(self) -> bool:
        """Return whether a change that was asked about leaves no case to judge."""
        return self._session.against is not None and not self._session.against.plan.cases

    def _asked(self, config: pytest.Config) -> dict[str, str]:
        """Return how facts are asked for, as far as it decides what they are."""
        return {
            "origin": self._session.origin.value,
            "lab": self._session.lab.name,
            "serial": option(config, "serial") or "",
            **{name: str(ini(config, name)) for name in _WAYS},
        }

    def _resume(
        self, config: pytest.Config, wanted: Sequence[Request], asked: Mapping[str, str]
    ) -> str:
        """Take over the facts of the last unfinished run of this plan; return its id or ''."""
        if not option(config, "resume"):
            return ""
        run, facts = outbox.unfinished(config, self._session.root, tuple(self._planned), asked)
        if not run:
            self._notes.append("nothing to resume: no unfinished run of this plan; all was taken")
            return ""
        from harness.plugin import resuming  # not where nothing is taken over

        def keep(taken: Taken, fact: Fact) -> None:
            if fact.request.key not in self._session.facts:
                self._session.facts.keep(fact)
                self._write(taken)

        setup, root = phone_setup(config), self._session.root
        came = resuming.take_over(facts, wanted, setup, root, keep)
        self._notes.append(f"resumed run {run}: {came}")
        return run

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Open the results file in the one process that writes it."""
        if not hasattr(session.config, "workerinput"):
            path = option(session.config, "sign")
            self._key = signing.key_of(path) if path else None
            command = ("pytest", *session.config.invocation_params.args)
            self._writer = results.Writer(
                session.config.rootpath,
                command=command,
                lab=self._session.lab.name,
                run_id=option(session.config, "run_id") or "",
            )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        """Print the joined verdicts before pytest's own sections."""
        from harness.report import terminal  # not where tests are only listed

        tw = terminalreporter._tw
        records = sorted(self._records, key=self._session.order)
        text = terminal.summary(
            records,
            self._session.not_shipped(),
            unrecorded=self._missing(),
            command=("pytest", *self._config.invocation_params.args),
            detailed=self._config.option.verbose > 0,
            width=tw.fullwidth,
            color=tw.hasmarkup,
        )
        change = self._session.against
        if text or self._missing() or change is not None:
            tw.sep("=", "device harness")
            if change is not None:
                plan = Planned(tests=(), **self._change())
                tw.write("".join(f"{line}\n" for line in terminal.change(plan)))
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
        """Yield where the records are, what is not known, and what was run more than once."""
        yield from self._notes
        yield from (f"found: {finding}" for finding in self._session.lab.findings())
        if missing := self._missing():
            yield (
                f"INCONCLUSIVE: {counted(len(missing), 'planned test')} did not run, "
                f"the first is {missing[0]}; --resume goes on with the facts that there are"
            )
        if self._again:
            yield f"Tests that were run again: {len(self._again)}; their last attempt counts"
        if self._unwritten:
            yield f"results: not kept, {self._unwritten}"
        elif self._writer is not None and self._writer.path is not None:
            yield f"results: {self._writer.path.relative_to(root)}"

    def _missing(self) -> list[str]:
        """Return the planned tests that did not run to their end."""
        return [test for test in self._planned if test not in self._over]

    def _end(self, exit_code: int) -> None:
        """Write the end of a run, unless planned tests are missing: that run has none."""
        if not self._missing():
            self._write(End(time_utc=evidence.now_utc(), exit_code=int(exit_code)))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Release the devices before the summary, which says what could not be restored.

        A worker of pytest-xdist prints no summary: it tells the controller.
        """
        self._troubles += self._session.close()
        self._write_facts()
        if self._judges_no_case() and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            change = self._session.against
            if change is not None and not change.may_pass_unseen:
                session.exitstatus = exitstatus = pytest.ExitCode.OK
            self._write(Planned(tests=(), **self._change()))
            self._end(exitstatus)
        if self._planned:
            self._end(exitstatus)
            self._sign()
            self._take_into_history(session.config)
            self._draw(session.config)
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_FROM_WORKER] = {
                "troubles": self._troubles,
                "withheld": schema.dump(self._session.withheld),
            }

    def _sign(self) -> None:
        """Sign the run where that was asked for."""
        if self._key is not None and self._writer is not None:
            self._notes.append(signing.sign(self._writer, self._key, self._session.subjects))

    def _take_into_history(self, config: pytest.Config) -> None:
        """Take the run into the history; where that cannot be done, the summary says so."""
        if self._outbox is not None:
            self._outbox.close()
        address = outbox.address(config)
        if address and self._writer is not None and self._writer.path is not None:
            self._notes.append(remembering.take_in(self._writer.path, address))

    def _draw(self, config: pytest.Config) -> None:
        """Draw the run as a page; where that cannot be done, the summary says so."""
        page = option(config, "report")
        if page and self._writer is not None and self._writer.path is not None:
            folder = config.invocation_params.dir
            where = golden_dir(config)
            self._notes.append(drawing.draw(self._writer.path, folder / page, golden_dir=where))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist left out and could not release."""
        said = getattr(node, "workeroutput", {}).get(_FROM_WORKER, {})
        self._troubles += [t for t in said.get("troubles", []) if t not in self._troubles]
        for data in said.get("withheld", []):
            one = schema.parse(Withheld, data, where="a worker of pytest-xdist")
            self._session.withheld += [one] if one not in self._session.withheld else []
