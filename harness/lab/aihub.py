"""The lab of Qualcomm AI Hub: pooled phones that run one job for all that is asked of a model.

Latency samples, the unit of each op and the outputs come from one inference job with profiling.
AI Hub lends no unit of its own: it says no serial, temperature or clocks, so that there is no
state contract, and a number is compared with none of another job.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import cache, schema, text
from harness.errors import ConfigError, DeviceError, HarnessError, MeasurementError
from harness.evidence import Evidence, Provenance, now_utc
from harness.lab import aihub_results, aihub_venv
from harness.lab.aihub_jobs import Job, Journal, Pooled, Submitted, group
from harness.lab.aihub_results import JobResult
from harness.profiles import Target
from harness.requests import Answer, Fact, Request, Verb

CONSENT = (
    "AI Hub gets your models and frames: they leave this company, datasets are kept there for 30 "
    "days and models until you delete them, and who sees a job sees both; to agree, write "
    "`lab_consent = aihub` into the ini file or give --yes"
)
_NOTE = (
    "a pooled phone: no serial, temperature or clocks are known, so no state contract held, and "
    "another unit may answer next time"
)
_NO_PAIRS = (
    "aihub: two models are compared on one unit in turn, and AI Hub lends none; compare them on a "
    "phone that adb reaches"
)
_ENDED = {"JOB_STATE_DONE", "JOB_STATE_FAILED"}


@dataclass(frozen=True, kw_only=True)
class JobPace:
    """How long AI Hub is waited for.

    Attributes:
        ask_s: Limit on one question.
        submit_s: Limit on the upload of all that a run submits.
        poll_s: Pause before a job is asked for again; it grows by half each time.
        poll_most_s: Longest pause.
        job_s: Limit on all jobs of a run from when they were submitted.
    """

    ask_s: float = 300.0
    submit_s: float = 1800.0
    poll_s: float = 5.0
    poll_most_s: float = 60.0
    job_s: float = 3600.0


PACE = JobPace()


@dataclass(frozen=True, kw_only=True)
class _Listed:
    devices: tuple[Pooled, ...]
    client: str


class AihubLab:
    """Phones of Qualcomm AI Hub."""

    name = "aihub"

    def __init__(self, *, consent: bool, resume: bool = False, pace: JobPace = PACE) -> None:
        """Describe the lab; nothing is sent yet.

        Args:
            consent: Whether the user agrees that models and frames leave the company.
            resume: Whether jobs of an earlier run that was cut short are taken over.
            pace: How long to wait.
        """
        self._consent = consent
        self._pace = pace
        self._journal = Journal(cache.root() / "aihub-jobs.jsonl")
        self._earlier = self._journal.pending() if resume else {}
        self._devices: tuple[Pooled, ...] = ()
        self._client = ""

    def open(self) -> None:
        """Ask for the list of phones.

        Raises:
            ConfigError: the user has not agreed.
            StackMissing: Qualcomm's client is not installed.
            DeviceError: AI Hub cannot be reached, or does not accept the token.
        """
        if not self._consent:
            raise ConfigError(f"--lab=aihub: {CONSENT}")
        said = aihub_venv.ask("devices", {}, timeout_s=self._pace.ask_s)
        listed = schema.parse(_Listed, said, where="aihub: devices")
        self._client, self._devices = text.line(listed.client, text.NAME), listed.devices

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield a fact for each request, job by job as they end."""
        jobs: list[Job] = []
        for asked in _by_target(requests):
            yield from (Fact(request=one) for one in asked if one.verb is Verb.COUNT)
            for request in asked:
                if request.verb is Verb.COMPARE:
                    yield Fact(request=request, error=MeasurementError(_NO_PAIRS))
            asked = [one for one in asked if one.verb not in (Verb.COUNT, Verb.COMPARE)]
            if not asked:
                continue
            try:
                device = self._device(asked[0].target)
            except HarnessError as error:
                yield from (Fact(request=request, error=error) for request in asked)
            else:
                jobs += group(asked, device)
        under_way: dict[str, tuple[Job, Submitted]] = {}
        for job, submitted in self._submit(jobs):
            if isinstance(submitted, HarnessError):
                yield from _failed(job, submitted)
            else:
                under_way[submitted.job] = (job, submitted)
        yield from self._wait(under_way)

    def fingerprint(self, target: Target) -> str:
        """Return the kind of phone that answers for a target, and the delegate.

        Raises:
            DeviceError: AI Hub has none.
        """
        device = self._device(target)
        return f"{device.name} Android {device.os}, a phone of AI Hub, {target.delegate}"

    def findings(self) -> list[str]:
        """Return nothing: each request is asked of one device."""
        return []

    def close(self) -> list[str]:
        """Release nothing: a job that goes on there ends by itself and is kept by AI Hub."""
        return []

    def _device(self, target: Target) -> Pooled:
        """Return the kind of phone that a profile's title names.

        Raises:
            DeviceError: AI Hub has none.
        """
        title = target.profile.title.partition("(")[0].partition(",")[0].strip().casefold()
        fitting = [
            device
            for device in self._devices
            if device.takes_tflite and device.name.removesuffix(" (Family)").casefold() == title
        ]
        if not fitting:
            raise DeviceError(
                f"{target}: AI Hub has no phone {target.profile.title!r} that runs .tflite files; "
                f"it has {len(self._devices)} devices"
            )
        return max(fitting, key=lambda device: (not device.name.endswith("(Family)"), device.os))

    def _submit(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Submitted | HarnessError]]:
        """Submit all jobs but those that an earlier run left there."""
        with tempfile.TemporaryDirectory(prefix="harness-aihub-") as folder:
            new: list[tuple[Job, dict[str, object]]] = []
            for job in jobs:
                try:
                    if job.key in self._earlier:
                        yield job, self._earlier.pop(job.key)
                        continue
                    new.append((job, job.write(Path(folder), self._journal.path)))
                except HarnessError as error:
                    yield job, error
            if not new:
                return
            given: dict[str, object] = {
                "journal": str(self._journal.path),
                "jobs": [told for _, told in new],
            }
            try:
                said = aihub_venv.ask("submit", given, timeout_s=self._pace.submit_s)
            except HarnessError as error:
                yield from ((job, self._known(job) or error) for job, _ in new)
                return
        for (job, _), row in zip(new, said, strict=True):
            if "error" in row:
                yield job, DeviceError(f"{job.target}: {job.model.name}: {row['error']}")
            else:
                yield job, Submitted(job=str(row["job"]), model=str(row["model"]))

    def _known(self, job: Job) -> Submitted | None:
        """Return what the journal knows of a job whose submission was cut short."""
        return self._journal.pending().get(job.key)

    def _wait(self, under_way: dict[str, tuple[Job, Submitted]]) -> Iterator[Fact]:
        """Yield the facts of jobs as they end; asked for with growing pauses."""
        deadline = time.monotonic() + self._pace.job_s
        pause_s = self._pace.poll_s
        trouble: HarnessError | None = None
        while under_way:
            try:
                said = aihub_venv.ask(
                    "states", {"jobs": list(under_way)}, timeout_s=self._pace.ask_s
                )
            except HarnessError as error:
                said, trouble = {}, error
            for name in [name for name in under_way if _state(said, name) in _ENDED]:
                job, submitted = under_way.pop(name)
                yield from self._facts(job, submitted, said[name])
            left_s = deadline - time.monotonic()
            if under_way and left_s <= 0:
                break
            if under_way:
                time.sleep(min(pause_s, left_s))
                pause_s = min(1.5 * pause_s, self._pace.poll_most_s)
        for name, (job, _) in under_way.items():
            why = f"; {trouble}" if trouble else ""
            yield from _failed(
                job,
                DeviceError(
                    f"aihub: job {name} did not end within {self._pace.job_s:g} s{why}; it goes on "
                    "there, and --resume takes what it finds"
                ),
            )

    def _facts(self, job: Job, submitted: Submitted, state: Mapping[str, Any]) -> Iterator[Fact]:
        """Yield what a job found, or why it found nothing."""
        about = f"aihub: job {submitted.job}: {job.model.name}"
        if state.get("state") == "JOB_STATE_FAILED":
            self._journal.end(submitted.job)
            code = state.get("failure")
            reason = str(state.get("reason") or "it failed without a reason")
            error = aihub_results.failure(
                code if isinstance(code, int) else 2, f"{about}: {reason}"
            )
            yield from _failed(job, error)
            return
        if state.get("model") != submitted.model or state.get("device") != job.device.name:
            error = DeviceError(f"{about}: is of another model or phone ({state.get('device')})")
            yield from _failed(job, error)
            return
        with tempfile.TemporaryDirectory(prefix="harness-aihub-") as folder:
            given: dict[str, object] = {"job": submitted.job, "folder": folder}
            try:
                said = aihub_venv.ask("fetch", given, timeout_s=self._pace.ask_s)
                found = schema.parse(JobResult, said, where=about)
            except HarnessError as error:
                yield from _failed(job, error)
                return
            self._journal.end(submitted.job)
            for request in job.requests:
                try:
                    answer = self._answer(request, job, found, submitted, Path(folder))
                except HarnessError as error:
                    yield Fact(request=request, error=error)
                else:
                    yield Fact(request=request, answer=answer)

    def _answer(
        self, request: Request, job: Job, found: JobResult, submitted: Submitted, folder: Path
    ) -> Answer:
        made = self._provenance(job, found, submitted)
        model = job.model
        aihub_results.placed(found, model, job.target, made)  # else of another model
        answers: dict[Verb, Callable[[], Answer]] = {
            Verb.TIME: lambda: aihub_results.timed(found, made),
            Verb.PLACE: lambda: aihub_results.placed(found, model, job.target, made),
            Verb.MEMORY: lambda: aihub_results.needed(found, model, made),
            Verb.RUN: lambda: aihub_results.outputs(found, folder, job.batch(request), model, made),
        }
        return answers[request.verb]()

    def _provenance(self, job: Job, found: JobResult, submitted: Submitted) -> Provenance:
        return Provenance(
            evidence=Evidence.FAKE if job.device.fake else Evidence.PHONE,
            device=f"{self.fingerprint(job.target)}, job {submitted.job}",
            variant_sha256=job.model.sha256,
            file_sha256=job.model.file_sha256,
            runtime={"qai-hub": self._client, "options": job.options, **found.tools},
            time_utc=now_utc(),
            note=_NOTE,
        )


def _by_target(requests: Sequence[Request]) -> list[list[Request]]:
    groups: dict[str, list[Request]] = {}
    for request in requests:
        groups.setdefault(str(request.target), []).append(request)
    return list(groups.values())


def _failed(job: Job, error: HarnessError) -> Iterator[Fact]:
    yield from (Fact(request=request, error=error) for request in job.requests)


def _state(said: Mapping[str, Any], job: str) -> str:
    row = said.get(job)
    return str(row.get("state")) if isinstance(row, dict) else ""
