"""A fake Google Device Run with a bucket beside it; its phone is a fake phone's folder.

Source: litert-cli 0.2.1, commands/benchmark/ddp.py; Cloud Storage, JSON API.
"""

import itertools
import json
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from harness import child
from harness.devices.fake_phone.folder import Folder
from harness.errors import DeviceError
from harness.lab.fakes.serving import TOKEN, Asked, FakeReply, FakeServer, LabFault

_LIMIT_S = 300.0
_SHELL = b"#!/system/bin/sh"
_TOOLS = "gs://litert/binaries/"
"""Where LiteRT publishes its benchmark tool; here it is the fake phone's."""


@dataclass(kw_only=True)
class _Session:
    config: dict[str, Any]
    fault: LabFault | None
    begun_s: float = field(default_factory=time.monotonic)
    report: dict[str, Any] | None = None
    cancelled: bool = False


@dataclass(kw_only=True)
class _State:
    objects: dict[str, bytes] = field(default_factory=dict)
    sessions: dict[str, _Session] = field(default_factory=dict)


class FakeDeviceRun(FakeServer):
    """Device Run's interface and a bucket, over one phone."""

    def __init__(
        self, phone: Folder, *, bucket: str = "a-bucket", limit_s: float = 10_800.0, port: int = 0
    ) -> None:
        """Lend a phone; the bucket is empty.

        Args:
            phone: The phone's folder.
            bucket: Name of the bucket.
            limit_s: Time after which the platform ends a session.
            port: Loopback port, any free one by default.
        """
        super().__init__(port=port)
        self._limit_s = limit_s
        self._held = threading.Lock()
        self._works: list[threading.Thread] = []
        self.bucket = bucket
        self._phone = phone
        self._state = _State()
        self._numbers = itertools.count(1)

    def running(self) -> set[str]:
        """Return the sessions that neither ended nor were cancelled."""
        with self.lock:
            for one in self._state.sessions.values():
                one.cancelled |= time.monotonic() - one.begun_s > self._limit_s
            sessions = self._state.sessions.items()
            return {name for name, one in sessions if one.report is None and not one.cancelled}

    def __exit__(self, *error: object) -> None:
        """Stop serving, once the phone is done."""
        super().__exit__(*error)
        for work in self._works:
            work.join()

    def reply(self, asked: Asked) -> FakeReply:
        """Answer as Google does."""
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return FakeReply(status=401, body=b'{"error": {"message": "invalid credentials"}}')
        if "/storage/" in asked.path:
            return self._storage(asked)
        name = asked.path.rpartition("/")[2]
        if asked.method == "POST" and name == "sessions":
            return self._begin(json.loads(asked.body)["sessionConfig"])
        if asked.method == "POST" and name.endswith(":cancel"):
            self._state.sessions[name.removesuffix(":cancel")].cancelled = True
            return FakeReply(body=b"{}")
        return self._poll(name, self._state.sessions[name])

    def _storage(self, asked: Asked) -> FakeReply:
        head = f"/storage/v1/b/{self.bucket}"
        if asked.method == "POST":
            self._state.objects[asked.query["name"]] = asked.body
            return _json({"name": asked.query["name"]})
        if asked.path == head:
            return _json({"name": self.bucket})
        name = unquote(asked.path.removeprefix(f"{head}/o/"))
        data = self._state.objects[name]
        if asked.query.get("alt") == "media":
            return FakeReply(body=data, kind="application/octet-stream")
        return _json({"name": name, "size": str(len(data))})

    def _begin(self, config: dict[str, Any]) -> FakeReply:
        name = f"s{next(self._numbers):05d}"
        fault = self.strikes(LabFault.ENDLESS, LabFault.FAILED, LabFault.FOREIGN)
        session = self._state.sessions[name] = _Session(config=config, fault=fault)
        if fault is not LabFault.ENDLESS:
            self._start(name, session)
        return _json({"name": f"projects/p/locations/global/operations/{name}"})

    def _start(self, name: str, session: _Session) -> None:
        """Run a session, whether it is asked for or not: it ends by itself, as the platform's."""

        def work() -> None:
            with self._held:
                if not session.cancelled:
                    session.report = self._run(name, session)

        self._works.append(threading.Thread(target=work, name="fake session", daemon=True))
        self._works[-1].start()

    def _poll(self, name: str, session: _Session) -> FakeReply:
        self.running()
        if session.report is None:
            return _json({"name": name, "done": session.cancelled})
        return _json({"name": name, "done": True, "response": {"sessionReport": session.report}})

    def _run(self, name: str, session: _Session) -> dict[str, Any]:
        """Run the job of a session on the phone, and report as the platform does."""
        if session.fault is LabFault.FAILED:
            return {"result": {"resultType": "INFRASTRUCTURE_FAILURE"}, "jobReports": []}
        (job,) = session.config["jobConfigs"]
        program = job["action"]["androidNativeBinary"]
        files, pulled = {}, []
        for action in job["allocationConfig"]["deviceConfigs"][0]["actions"]:
            for one in action.get("androidPushFiles", {}).get("fileConfigs", ()):
                files[one["destinationPath"]] = self._object(one["sourceFile"])
            pulled += action.get("androidPullFiles", {}).get("paths", [])
        for path in (*files, *pulled):  # a clean phone for each session
            shutil.rmtree(Path(self._phone.to_host(path)).parent, ignore_errors=True)
        for path, data in files.items():
            target = Path(self._phone.to_host(path))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        binary = self._object(program["androidNativeBinary"])
        passed = self._execute(binary, program.get("args", ()))
        prefix = f"{session.config['displayName']}/{name}/artifacts"
        outputs = [
            {"gcsOutputFile": {"path": f"gs://{self.bucket}/{self._keep(prefix, file, session)}"}}
            for path in pulled
            for file in _files(Path(self._phone.to_host(path)))
        ]
        result = {"resultType": "PASSED" if passed else "FAILED"}
        execution = {"outputFiles": outputs}
        reports = [{"displayName": "job", "result": result, "executionReports": [execution]}]
        return {"result": result, "jobReports": reports}

    def _execute(self, binary: bytes, arguments: Sequence[str]) -> bool:
        """Run a shell script or another program on the phone; return whether it ended well."""
        command: list[str | Path] = ["/bin/sh", "-c", self._phone.to_host(binary.decode())]
        if not binary.startswith(_SHELL):
            program = self._phone.path / "job"
            program.write_bytes(binary)
            program.chmod(0o755)
            command = [program, *map(self._phone.to_host, arguments)]
        try:
            done = child.run(
                command,
                stage="a job of the fake Device Run",
                timeout_s=_LIMIT_S,
                env=self._phone.environment(),
                cwd=self._phone.path,
            )
        except DeviceError:
            return False
        return done.exit_code == 0

    def _keep(self, prefix: str, file: Path, session: _Session) -> str:
        """Put a file of the phone into the bucket; return its name there."""
        name = f"{prefix}/{file.relative_to(self._phone.root)}"
        data = file.read_bytes()
        if session.fault is LabFault.FOREIGN and file.name == "script.txt":
            data = b"another\n"
        self._state.objects[name] = data
        return name

    def _object(self, source: dict[str, Any]) -> bytes:
        path: str = source["gcsInputFile"]["path"]
        if path.startswith(_TOOLS):
            return self._phone.tool.read_bytes()
        return self._state.objects[path.removeprefix(f"gs://{self.bucket}/")]


def _files(path: Path) -> list[Path]:
    """Return a file, or the files of a folder."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.is_file()]


def _json(value: object) -> FakeReply:
    return FakeReply(body=json.dumps(value).encode())
