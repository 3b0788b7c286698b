"""The lab of Google Device Run: one session with one job answers all that a run asks of a phone.

The session reads its files from a bucket of the user's and writes to it. Source: litert-cli
0.2.1, commands/benchmark/ddp.py; Cloud Storage, JSON API.
"""

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from harness import child
from harness.devices.benchmark import tool_file
from harness.devices.benchmark.measuring import Measuring
from harness.devices.benchmark.tool_file import ToolFile
from harness.devices.connect import PhoneSetup
from harness.errors import ConfigError, DeviceError, HarnessError
from harness.evidence import sha256_of
from harness.lab import devicerun_results, devicerun_script, termination
from harness.lab.devicerun_results import Left
from harness.lab.devicerun_script import OUT, ROOT, Script
from harness.lab.web import PATIENT, Patience, RefusedError, Site
from harness.profiles import Target
from harness.requests import Fact, Request, Verb

BUCKET = "LITERT_GCP_BUCKET"
"""Names the bucket, `PROJECT-devicerun` where it is not set: both as litert-cli has it."""
_ENDPOINT = "https://devicerun.googleapis.com/v1alpha"
_STORAGE = "https://storage.googleapis.com"
_ARGUMENT = re.compile(r"([a-z][a-z0-9-]{4,28}[a-z0-9])/([\w.-]{1,100})")
_PUSHED_MAX = 50
_FILE_BYTES_MAX = 256 * 2**20
_TOKEN_COMMAND = ("gcloud", "auth", "application-default", "print-access-token")
_TOKEN_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class SessionPace:
    """How long a session is waited for.

    Attributes:
        poll_s: Pause before it is asked for again.
        session_s: Limit on one session.
    """

    poll_s: float = 15.0
    session_s: float = 4 * 3600.0


PACE = SessionPace()


class DeviceRunLab:
    """One phone of Google Device Run."""

    def __init__(
        self,
        argument: str,
        *,
        phone_setup: PhoneSetup,
        patience: Patience = PATIENT,
        pace: SessionPace = PACE,
    ) -> None:
        """Describe the lab; nothing is asked yet.

        Args:
            argument: `PROJECT/DEVICE`, such as `my-project/caiman-35`.
            phone_setup: How the phone is measured.
            patience: How long to wait for an answer.
            pace: How long to wait for a session.

        Raises:
            ConfigError: the argument is something else.
        """
        found = _ARGUMENT.fullmatch(argument)
        if found is None:
            raise ConfigError(
                f"--lab=devicerun:{argument}: write devicerun:PROJECT/DEVICE; `gcloud beta "
                "device-run devices list --project PROJECT` lists the devices"
            )
        self._project, self._device = found[1], found[2]
        self._setup = phone_setup
        self._patience = patience
        self._pace = pace
        self._sites: tuple[Site, Site] | None = None
        self._bucket = ""
        self._tool: ToolFile | None = None
        self._running = ""

    @property
    def name(self) -> str:
        """Return the lab as `--lab` has it."""
        return f"devicerun:{self._project}/{self._device}"

    def open(self) -> None:
        """Look for the bucket with the user's token; no phone is rented yet.

        Raises:
            ConfigError: the token is not accepted.
            StackMissing: there is no benchmark tool, or no gcloud.
            DeviceError: the bucket cannot be reached.
        """
        self._tool = tool_file.load(tool_file.find(self._setup.benchmark_tool))
        self._bucket = os.environ.get(BUCKET) or f"{self._project}-devicerun"
        if not re.fullmatch(r"[a-z0-9][\w.-]{1,220}", self._bucket):
            raise ConfigError(f"--lab=devicerun: ${BUCKET} names no bucket")
        token = _token()
        run, storage = (
            Site(
                os.environ.get(variable) or standard,
                lab="devicerun",
                token=token,
                patience=self._patience,
                headers={"X-Goog-User-Project": self._project},
                renew=_token,
            )
            for variable, standard in (
                ("DEVICE_RUN_ENDPOINT", _ENDPOINT),
                ("STORAGE_EMULATOR_HOST", _STORAGE),
            )
        )
        self._sites = (run, storage)
        try:
            storage.ask("GET", f"/storage/v1/b/{self._bucket}")
        except RefusedError as error:
            raise DeviceError(
                f"{error}; the bucket for the session's files is named in ${BUCKET}"
            ) from None
        termination.as_interrupt()

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield a fact for each request: those of one session after the other."""
        asked: list[Request] = []
        for request in requests:
            if request.verb is Verb.COUNT:
                yield Fact(request=request)
                continue
            try:
                self._script([request])  # what cannot be asked is no other request's error
            except HarnessError as error:
                yield Fact(request=request, error=error)
            else:
                asked.append(request)
        for script in self._scripts(asked):
            yield from self._session(script)

    def fingerprint(self, target: Target) -> str:
        """Return the kind of phone that answers, and the delegate."""
        return f"{self._device} of Device Run, {target.delegate}"

    def findings(self) -> list[str]:
        """Return nothing: each request is asked of one device."""
        return []

    def close(self) -> list[str]:
        """Cancel a session that still runs; return what went wrong."""
        if self._sites is None:
            return []
        troubles = self._cancel()
        for site in self._sites:
            site.close()
        termination.as_before()
        return troubles

    def _cancel(self) -> list[str]:
        """Cancel the session that runs, if one does; return what went wrong."""
        assert self._sites is not None
        session, self._running = self._running, ""
        if not session:
            return []
        try:
            self._sites[0].ask("POST", f"/{session}:cancel", {})
        except HarnessError as error:
            return [f"{error}; session {session} may go on, and be billed, until its own limit"]
        return []

    def _scripts(self, requests: Sequence[Request]) -> Iterator[Script]:
        """Yield as few scripts as the platform's limit on files allows."""
        if not requests:
            return
        script = self._script(requests)
        if len(script.files) <= _PUSHED_MAX or len(requests) == 1:
            yield script
            return
        middle = len(requests) // 2
        yield from self._scripts(requests[:middle])
        yield from self._scripts(requests[middle:])

    def _script(self, requests: Sequence[Request]) -> Script:
        assert self._tool is not None  # `open` comes first
        return devicerun_script.build(requests, self._tool.data, self._measuring(requests))

    def _measuring(self, requests: Sequence[Request]) -> dict[str, Measuring]:
        delegates = {request.target.delegate for request in requests}
        return {delegate: self._setup.measuring(delegate) for delegate in delegates}

    def _session(self, script: Script) -> Iterator[Fact]:
        """Run a script in a session, and yield what it found."""
        assert self._tool is not None
        try:
            files, session = self._run(script)
        except HarnessError as error:
            yield from (Fact(request=step.request, error=error) for step in script.steps)
            return
        left = Left(
            files=files,
            script=script,
            session=session,
            measured_by=self._measuring([step.request for step in script.steps]),
            tool_sha256=self._tool.sha256,
        )
        for step in script.steps:
            try:
                answer = devicerun_results.answer(left, step)
            except HarnessError as error:
                yield Fact(request=step.request, error=error)
            else:
                yield Fact(request=step.request, answer=answer)

    def _run(self, script: Script) -> tuple[dict[str, bytes], str]:
        """Return the files that a session left, and its name.

        Raises:
            HarnessError: it could not be begun, failed or did not end.
        """
        assert self._sites is not None
        run, _ = self._sites
        pushed = {name: self._upload(data) for name, data in script.files.items()}
        binary = self._upload(script.text.encode())
        path = f"/projects/{self._project}/locations/global/sessions"
        begun = run.ask("POST", path, self._request(script, pushed, binary), once=True)
        self._running = _text(begun, "name")
        session = self._running.rpartition("/")[2]
        try:
            ended = self._wait(session)
        except HarnessError as error:
            raise DeviceError("; ".join((f"{error}", *self._cancel()))) from None
        self._running = ""
        if "error" in ended:
            raise DeviceError(f"devicerun: session {session}: {_text(ended, 'error', 'message')}")
        return self._download(ended, session), session

    def _wait(self, session: str) -> dict[str, Any]:
        assert self._sites is not None
        deadline = time.monotonic() + self._pace.session_s
        while True:
            said = self._sites[0].ask("GET", f"/{self._running}")
            if said.get("done"):
                return dict(said)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise DeviceError(
                    f"devicerun: session {session} did not end within {self._pace.session_s:g} s"
                )
            time.sleep(min(self._pace.poll_s, left_s))

    def _request(self, script: Script, pushed: dict[str, str], binary: str) -> dict[str, object]:
        files = [
            {
                "sourceFile": {"gcsInputFile": {"path": path}},
                "destinationPath": f"{ROOT}/{name}",
            }
            for name, path in pushed.items()
        ]
        job = {
            "displayName": "pytest-device-harness",
            "action": {
                "androidNativeBinary": {
                    "androidNativeBinary": {"gcsInputFile": {"path": binary}},
                    "args": [],
                    "executionTimeout": f"{script.limit_s}s",
                }
            },
            "allocationConfig": {
                "deviceConfigs": [
                    {
                        "requirement": {"deviceId": self._device},
                        "actions": [
                            {"androidPushFiles": {"fileConfigs": files}},
                            {"androidPullFiles": {"paths": [OUT]}},
                            {"androidLogcat": {}},
                        ],
                    }
                ]
            },
        }
        folder = f"gs://{self._bucket}/pytest-device-harness/sessions"
        return {
            "sessionConfig": {
                "displayName": "pytest-device-harness",
                "outputDirectoryConfig": {"gcsOutputDirectory": {"path": folder}},
                "jobConfigs": [job],
            }
        }

    def _upload(self, data: bytes) -> str:
        """Put a file into the bucket by its hash, unless it is there; return its address."""
        assert self._sites is not None
        name = f"pytest-device-harness/inputs/{sha256_of(data)}"
        storage = self._sites[1]
        try:
            storage.ask("GET", f"/storage/v1/b/{self._bucket}/o/{quote(name, safe='')}")
        except RefusedError as error:
            if error.status != 404:
                raise
            query = f"uploadType=media&name={quote(name, safe='')}"
            storage.send("POST", f"/upload/storage/v1/b/{self._bucket}/o?{query}", data)
        return f"gs://{self._bucket}/{name}"

    def _download(self, ended: dict[str, Any], session: str) -> dict[str, bytes]:
        """Return the pulled files of the one job, by name.

        Raises:
            DeviceError: there are none, or one cannot be had.
        """
        assert self._sites is not None
        report = _dig(ended, "response", "sessionReport")
        paths = [
            _text(file, "gcsOutputFile", "path")
            for job in _rows(report, "jobReports")
            for execution in _rows(job, "executionReports")
            for file in _rows(execution, "outputFiles")
        ]
        files = {}
        for path in paths:
            bucket, _, name = path.removeprefix("gs://").partition("/")
            if f"{OUT}/" in name and bucket == self._bucket:
                address = f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
                files[name.rpartition("/")[2]] = self._sites[1].fetch(
                    address, at_most_bytes=_FILE_BYTES_MAX
                )
        if not files:
            result = _dig(report, "result")
            raise DeviceError(
                f"devicerun: session {session} left no files; it ended as "
                f"{_text(result, 'resultType') or 'it does not say'}"
            )
        return files


def _token() -> str:
    """Return an access token of the user's application default credentials.

    Raises:
        StackMissing: there is no gcloud.
        ConfigError: nobody is logged in.
    """
    done = child.run(_TOKEN_COMMAND, stage="gcloud: access token", timeout_s=_TOKEN_LIMIT_S)
    if done.exit_code or not done.stdout.strip():
        raise ConfigError("no Google token; run `gcloud auth application-default login`")
    return done.stdout.strip()


def _dig(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any, *names: str) -> str:
    found = _dig(value, *names)
    return found if isinstance(found, str) else ""


def _rows(value: Any, name: str) -> list[Any]:
    found = _dig(value, name)
    return found if isinstance(found, list) else []
