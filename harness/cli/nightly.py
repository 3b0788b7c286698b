"""Judge, remember, compare, draw and tell: one command for cron, a systemd timer or a CI schedule.

Runs pytest as a child, takes the run into the history, looks for news, writes the HTML report and
tells people by webhook or mail. Ends with 0 (nothing failed, nothing is worse), 1 (a gate failed
or there is a new regression), 2 (wrong use, another nightly run is under way, or a part of the
night could not be done) or 3 (INCONCLUSIVE, with --strict). Options may stand in the ini key
`nightly`, one a line; one that is typed replaces what the key says.
"""

import argparse
import contextlib
import os
import secrets
import socket
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from harness import child, evidence, files, ini, results, subjects, text, web
from harness.cli import bless_triage, history_news
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.history import runs
from harness.history.entries import RunEntry, SeriesKey
from harness.history.news import News
from harness.history.opening import DEFAULT, open_store
from harness.nightly import confirming, credentials, lock, mail, summary, webhook
from harness.nightly.summary import Summary
from harness.report import ruling
from harness.report.page import rendering
from harness.results import FOLDER, Results
from harness.subjects import SUBJECT_FILE
from harness.verdict import Outcome

_ATTEMPTS = 2
"""A run that pytest did not end is gone on with once, from the facts that it has."""
_LIMIT_H = 10.0
_HOUR_S = 3600.0
_STRICT = 3
_LOG = "nightly.log"
_AGAIN = "nightly-again.args"
_LOG_TAIL_BYTES = 4000
_DEFAULTS: dict[str, Any] = {
    "device": [],
    "arguments": [],
    "history": "",
    "report": Path(FOLDER) / "nightly.html",
    "link": "",
    "webhook": [],
    "webhook_key": "",
    "mail_to": [],
    "mail_from": "",
    "smtp": "",
    "smtp_password": "",
    "limit_h": _LIMIT_H,
    "days": history_news.DAYS,
    "strict": False,
}


class _IniParser(argparse.ArgumentParser):
    """A parser of what the ini key says; a mistake is an error of ours, not the end."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong."""
        raise ConfigError(f"ini key nightly: {message}")


@dataclass(frozen=True, kw_only=True)
class _Receivers:
    """Who is told, with the secrets that it takes."""

    webhooks: tuple[tuple[str, str], ...]
    key: bytes
    server: mail.MailServer | None
    sender: str
    to: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add options; none has a default of its own, so that the ini key can give one."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument(
        "arguments", nargs="*", default=argparse.SUPPRESS, metavar="ARGUMENT",
        help="more arguments of pytest, after --",
    )  # fmt: skip
    parser.add_argument(
        "--device", action="append", metavar="NAME[:DELEGATE]", help="as pytest takes it"
    )
    parser.add_argument(
        "--history", metavar="URL",
        help=f"SQLite file or postgresql://...; default the ini key history, else {DEFAULT}",
    )  # fmt: skip
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help=f"default {_DEFAULTS['report']}"
    )
    parser.add_argument("--link", metavar="URL", help="where people find the report, for messages")
    parser.add_argument(
        "--webhook", action="append", metavar="'SHAPE SOURCE'",
        help="post the summary as slack, teams or json to the address in env:NAME or file:PATH",
    )  # fmt: skip
    parser.add_argument(
        "--webhook-key", metavar="SOURCE", help="sign what is posted with the key in it"
    )
    parser.add_argument("--mail-to", action="append", metavar="ADDRESS", help="mail the summary")
    parser.add_argument("--mail-from", metavar="ADDRESS", help="its sender")
    parser.add_argument(
        "--smtp", metavar="URL", help="smtp://[USER@]HOST[:PORT] (STARTTLS) or smtps://..."
    )
    parser.add_argument("--smtp-password", metavar="SOURCE", help="env:NAME or file:PATH")
    parser.add_argument(
        "--limit-h", type=float, metavar="HOURS",
        help=f"longest that pytest may take; default {_LIMIT_H:g}",
    )  # fmt: skip
    parser.add_argument(
        "--days", type=int, metavar="N",
        help=f"how far back news are looked for; default {history_news.DAYS}",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="end with 3 on INCONCLUSIVE")


def run(options: argparse.Namespace) -> int:
    """Take a night from its lock to its messages."""
    project = ini.of_project()
    settings = _settings(options, project)
    receivers = _receivers(settings)
    with lock.held(project.folder):
        deadline = time.monotonic() + settings.limit_h * _HOUR_S
        told, found = _judge(settings, project.folder, deadline)
        if found is not None:
            told = replace(told, left_out=(*told.left_out, *_let_stay(found)))
            told = _remember(told, found, settings, project, deadline)
            told = _draw(told, found, settings, project)
        refused = _tell(told, receivers)
    print(told)
    for one in refused:
        print(f"harness: not told: {one}", file=sys.stderr)
    strict = settings.strict or (found is not None and ruling.is_strict(found))
    return _exit_code(told, refused, strict=strict)


def _settings(options: argparse.Namespace, project: ini.Ini) -> argparse.Namespace:
    """Return the options: typed, else those of the ini key, else the defaults.

    Raises:
        ConfigError: the ini key or a value is wrong.
    """
    parser = _IniParser(prog="nightly", add_help=False)
    add_arguments(parser)
    configured = vars(parser.parse_args(project.lines("nightly")))
    typed = {name: value for name, value in vars(options).items() if name in _DEFAULTS}
    if not typed.get("arguments"):
        typed.pop("arguments", None)
    settings = argparse.Namespace(**{**_DEFAULTS, **configured, **typed})
    if not settings.device:
        raise ConfigError("nightly: which phones? name them with --device or the ini key nightly")
    if not 0 < settings.limit_h < 24 * 7 or settings.days < 1:
        raise ConfigError("nightly: --limit-h is more than 0 and below 168, --days at least 1")
    return settings


def _receivers(settings: argparse.Namespace) -> _Receivers:
    """Read who is told, before anything is measured.

    Raises:
        ConfigError: a secret is missing, or an address or shape is wrong.
    """
    webhooks = []
    for said in settings.webhook:
        shape, _, source = said.partition(" ")
        if shape not in webhook.SHAPES:
            raise ConfigError(
                f"--webhook is 'SHAPE SOURCE', SHAPE one of {', '.join(webhook.SHAPES)}"
            )
        address = credentials.read(source.strip(), purpose="--webhook")
        web.check(address, secure=True)
        webhooks.append((shape, address))
    key = b""
    if settings.webhook_key:
        key = webhook.key_of(credentials.read(settings.webhook_key, purpose="--webhook-key"))
    server = None
    if settings.mail_to:
        if not settings.mail_from or not settings.smtp:
            raise ConfigError("--mail-to needs --mail-from and --smtp")
        password = ""
        if settings.smtp_password:
            password = credentials.read(settings.smtp_password, purpose="--smtp-password")
        server = mail.server(settings.smtp, password=password)
        mail.message(_nothing(""), sender=settings.mail_from, to=tuple(settings.mail_to))
    return _Receivers(
        webhooks=tuple(webhooks),
        key=key,
        server=server,
        sender=settings.mail_from,
        to=tuple(settings.mail_to),
    )


def _nothing(sentence: str, command: Sequence[str] = ()) -> Summary:
    """Return the summary of a night without a run."""
    return Summary(
        outcome=Outcome.INCONCLUSIVE.value,
        sentence=sentence,
        host=socket.gethostname(),
        command=" ".join(command),
    )


def _judge(
    settings: argparse.Namespace, root: Path, deadline: float
) -> tuple[Summary, Results | None]:
    """Run pytest to its end, with one more attempt where it broke off, and sum up the run."""
    asked = [f"--harness-device={name}" for name in settings.device] + settings.arguments
    night = f"nightly-{secrets.token_hex(6)}"
    log = root / FOLDER / _LOG
    why, found, resumed = "", None, ""
    for attempt in range(1, _ATTEMPTS + 1):
        run_id = f"{night}-{attempt}"
        ours = _ours(root, run_id)
        ours += ["--harness-resume"] if resumed else []
        why = _pytest([*ours, *asked], log, deadline - time.monotonic())
        path = results.of_id(root, run_id)
        found = results.load(path) if path else found
        if path is None or found is None or found.end is not None or time.monotonic() > deadline:
            break
        resumed = resumed or f"pytest broke off once and was resumed: {why}"
    if found is None:
        return _nothing(f"there is no run: {why or 'no test was about a phone'}", asked), None
    ruled = ruling.of(found)
    return Summary(
        outcome=ruled.outcome.value,
        sentence=ruled.sentence,
        host=found.run.host,
        run=found.run.id,
        time_utc=found.run.time_utc,
        commit=found.run.git_commit,
        command=" ".join(["pytest", *asked]),
        failures=summary.failures(found),
        left_out=(*filter(None, [resumed]), *summary.left_out(found)),
        troubles=(why,) if why else (),
        link=settings.link,
    ), found


def _ours(root: Path, run_id: str) -> list[str]:
    """Return the arguments that every run of a night has; it is taken into the history later."""
    return [f"--rootdir={root}", f"--harness-run-id={run_id}", "--color=no", "-ohistory="]


def _pytest(arguments: Sequence[str], log: Path, limit_s: float) -> str:
    """Run pytest and return why it came to no proper end, or ''."""
    command = [sys.executable, "-P", "-m", "pytest", *arguments]  # as `pytest`, without the folder
    try:
        done = child.run(command, stage="pytest", timeout_s=limit_s, log=log)
    except DeviceError as error:
        return f"{error}; see {_from_here(log)}"
    if done.exit_code in (0, 1):
        return ""
    return f"pytest ended with {done.exit_code}: {_last_error(log)}; see {_from_here(log)}"


def _last_error(log: Path) -> str:
    """Return the last line of a log that starts like an error, else its last line."""
    tail = files.read(log, at_most_bytes=files.TEXT_BYTES_MAX, error=HarnessError)
    lines = tail[-_LOG_TAIL_BYTES:].decode("utf-8", errors="replace").splitlines()
    said = [line.strip("= ") for line in lines if line.strip("= ")]
    errors = [line for line in said if line.startswith(("ERROR", "INTERNALERROR", "Error"))]
    return text.brief((errors or said or ["it printed nothing"])[-1], text.NAME)


def _from_here(path: Path) -> str:
    return os.path.relpath(path)


def _remember(
    told: Summary,
    found: Results,
    settings: argparse.Namespace,
    project: ini.Ini,
    deadline: float,
) -> Summary:
    """Take the run into the history and look for news; what cannot be done is told.

    What a phone measured off its level is measured again before, so that a change is told tonight.
    """
    news: tuple[News, ...] = ()
    entry, address = runs.entry(found), settings.history or project.text("history")
    try:
        with open_store(address) as store:
            off = confirming.off_level(entry, store.runs(days=settings.days))
        if off:
            entry, said = _measure_again(entry, found, off, settings, project.folder, deadline)
            told = replace(told, left_out=(*told.left_out, said))
        with open_store(address) as store:
            store.add(entry)
            news = history_news.look_back(store, settings.days)
    except HarnessError as error:
        return replace(told, troubles=(*told.troubles, f"history: {error}"))
    regressions = sum(one.counts for one in news)
    return replace(told, news=summary.news(news), regressions=regressions)


def _let_stay(found: Results) -> Iterator[str]:
    """Yield each deviation that a person let stay, and that is over or that no ruling needed."""
    for folder in sorted(path.parent for path in ini.golden_dir().glob(f"*/{SUBJECT_FILE}")):
        with contextlib.suppress(HarnessError):  # its tests say what is wrong with it
            subject = subjects.load(folder)
            for state, line in bless_triage.states(found, subject, today=evidence.now_utc()[:10]):
                if state != bless_triage.USED:
                    yield f"{subject.name}, let stay and {state}: {line}"


def _measure_again(
    entry: RunEntry,
    found: Results,
    off: Collection[SeriesKey],
    settings: argparse.Namespace,
    root: Path,
    deadline: float,
) -> tuple[RunEntry, str]:
    """Run the tests again whose numbers are off their level; return the run with both, and a line.

    Everything else of the plan is deselected, whatever was asked of pytest.
    """
    wanted = {
        record.test
        for record in found.records
        if record.verdict.provenance is not None
        and runs.series_of(record, record.verdict.provenance) in off
    }
    rest = [f"--deselect={test}" for test in found.planned if test not in wanted]
    listed = root / FOLDER / _AGAIN
    listed.write_text("\n".join(rest), encoding="utf-8")  # a command line has no room for a plan
    run_id = f"{found.run.id}-again"
    asked = [f"--harness-device={name}" for name in settings.device] + settings.arguments
    ours = [*_ours(root, run_id), f"@{listed}"] if rest else _ours(root, run_id)
    why = _pytest([*ours, *asked], root / FOLDER / _LOG, deadline - time.monotonic())
    path = results.of_id(root, run_id)
    count = text.counted(len(off), "number")
    if path is None:
        return entry, f"{count} off the level, and not measured again: {why or 'no run'}"
    again = confirming.confirmed(entry, runs.entry(results.load(path)), off)
    taken = len(again.facts) - len(entry.facts)
    return again, f"{count} off the level: measured again tonight, {taken} taken (run {run_id})"


def _draw(told: Summary, found: Results, settings: argparse.Namespace, project: ini.Ini) -> Summary:
    """Write the report, over the history as far as it can be read; what fails is told."""
    report = settings.report
    past: tuple[RunEntry, ...] = ()
    with contextlib.suppress(HarnessError):  # told already, when the run was taken in
        past = history_news.past(settings.history or project.text("history"), settings.days)
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        rendering.write([found], report, past=past, golden_dir=ini.golden_dir())
    except (HarnessError, OSError) as error:
        said = getattr(error, "strerror", None) or error
        return replace(told, troubles=(*told.troubles, f"report {report}: {said}"))
    return told


def _tell(told: Summary, receivers: _Receivers) -> list[str]:
    """Tell everyone, and return whom not and why."""
    refused = []
    for shape, address in receivers.webhooks:
        refusal = webhook.post(address, webhook.body_of(told, shape), key=receivers.key)
        refused += [f"{shape} webhook: {refusal.why}"] if refusal else []
    if receivers.server is not None:
        letter = mail.message(told, sender=receivers.sender, to=receivers.to)
        refusal = mail.send(letter, receivers.server)
        refused += [f"mail: {refusal.why}"] if refusal else []
    return refused


def _exit_code(told: Summary, refused: Sequence[str], *, strict: bool) -> int:
    if told.outcome == Outcome.FAIL.value or told.regressions:
        return 1
    if not told.run or told.troubles or refused:
        return 2
    return _STRICT if strict and told.outcome == Outcome.INCONCLUSIVE.value else 0
