"""A fake Qualcomm AI Hub that real `qai-hub` talks to; its phones run models on this host's CPU.

Source: qai-hub 0.56.0, public_rest_api.py.
"""

import email.parser
import email.policy
import itertools
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness import child
from harness.lab import aihub_venv
from harness.lab.fakes.aihub_messages import CLASSES
from harness.lab.fakes.serving import TOKEN, Asked, FakeReply, FakeServer, LabFault
from harness.model import Model
from harness.stacks import xnnpack

_PROTOBUF = "application/x-protobuf"
_PART_BYTES = 2**20
_DATA = Path(__file__).with_name("aihub_data.py")
_DATA_LIMIT_S = 120.0
_DONE, _FAILED, _RUNNING = 10, 30, 80
"""Of JobState."""
_CPU, _UNITS = 1, {"xnnpack": 1, "gpu": 2, "nnapi": 3, "qnn": 3}
"""Of ComputeUnit."""
_OUT_OF_MEMORY = 12001


@dataclass(kw_only=True)
class _Job:
    message: Any
    fault: LabFault | None
    result: Any = None


@dataclass(kw_only=True)
class _Stored:
    models: dict[str, bytearray] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, _Job] = field(default_factory=dict)


class FakeAihub(FakeServer):
    """AI Hub's interface over pooled phones.

    Attributes:
        refused_ops: Ops that no delegate takes.
    """

    def __init__(
        self,
        devices: Collection[str] = ("Samsung Galaxy S24",),
        *,
        refused_ops: Collection[str] = (),
        port: int = 0,
    ) -> None:
        """Have phones of some names."""
        super().__init__(port=port)
        self.refused_ops = set(refused_ops)
        self._devices = tuple(devices)
        self._stored = _Stored()
        self._numbers = itertools.count(1)

    def configuration(self, path: Path) -> Path:
        """Write the user's file that makes the client talk to this server."""
        lines = ["[api]", f"api_token = {TOKEN}", f"api_url = {self.url}", f"web_url = {self.url}"]
        path.write_text("\n".join([*lines, "verbose = False"]) + "\n", encoding="utf-8")
        return path

    def submitted(self) -> int:
        """Return how many jobs there are."""
        return len(self._stored.jobs)

    def reply(self, asked: Asked) -> FakeReply:
        """Answer as AI Hub and its storage do."""
        kind, name, rest = (*asked.path.strip("/").split("/"), "", "", "")[:3]
        if kind == "storage":  # addresses that were signed: no token is sent there
            return self._storage(asked, name, rest)
        if asked.headers.get("authorization") != f"token {TOKEN}":
            return FakeReply(status=401, body=b'{"detail": "Invalid token."}')
        parts = asked.path.strip("/").split("/")[2:]
        match asked.method, parts:
            case "GET", ["devices"]:
                return self._list(asked)
            case "GET", ["users", "auth", "user"]:
                return _message("User", id=1, email="someone@example.org")
            case "POST", ["models"]:
                name = self._name("m")
                self._stored.models[name] = bytearray()
                return _message("CreateUpdateResponse", id=name)
            case "GET", ["models", name, "multipart_upload"]:
                return self._upload_model(name)
            case "GET", ["models", name]:
                self._stored.models[name]
                return _message("Model", model_id=name, model_type=4)
            case "POST", ["datasets"]:
                return _message("CreateUpdateResponse", id=self._name("d"))
            case "GET", ["datasets", name, "upload_url"]:
                url = {"url": f"{self.url}/storage/data/{name}", "file_field_name": "file"}
                return _message("FileUploadResponse", url=url)
            case "GET", ["datasets", name, "download_data"]:
                self._stored.data[name]
                url = {"url": f"{self.url}/storage/data/{name}", "filename": f"{name}.h5"}
                return _message("FileDownloadResponse", url=url)
            case "GET", ["datasets", name]:
                return _message("Dataset", dataset_id=name, name=name)
            case ("POST", ["models", name, "multipart_upload"]) | (
                "PATCH",
                ["datasets", name],
            ):
                return _message("CreateUpdateResponse", id=name)
            case "POST", ["jobs"]:
                return self._submit(asked.body)
            case "GET", ["jobs", name]:
                return self._state(self._stored.jobs[name])
            case "GET", ["jobs", name, "result"]:
                return self._result(name)
        raise KeyError(asked.path)

    def _name(self, kind: str) -> str:
        return f"{kind}{next(self._numbers):06d}"

    def _list(self, asked: Asked) -> FakeReply:
        wanted = asked.query.get("name", "")
        found = [
            {
                "name": name,
                "os": "14",
                "attributes": ["vendor:fake", "framework:tflite", "harness:fake"],
            }
            for name in self._devices
            if wanted in ("", name)
        ]
        return _message("DeviceList", devices=found, total_query_count=len(found))

    def _upload_model(self, name: str) -> FakeReply:
        self._stored.models[name]
        parts = [f"{self.url}/storage/models/{name}"]
        multipart = {"urls": parts, "upload_id": "u1", "max_part_size": 2**31}
        return _message("FileUploadResponse", multipart=multipart)

    def _storage(self, asked: Asked, kind: str, name: str) -> FakeReply:
        if asked.method == "PUT":
            self._stored.models[name][:] = asked.body
            return FakeReply(headers={"ETag": '"1"'})
        if asked.method == "POST":
            self._stored.data[name] = _form_file(asked)
            return FakeReply(status=204)
        return FakeReply(body=self._stored.data[name], kind="application/octet-stream")

    def _submit(self, body: bytes) -> FakeReply:
        job = CLASSES["Job"].FromString(body)
        name = self._name("j")
        job.inference_job.inference_job_id = name
        job.inference_job.job_state = _RUNNING
        fault = self.strikes(LabFault.ENDLESS, LabFault.FAILED, LabFault.FOREIGN)
        self._stored.jobs[name] = _Job(message=job, fault=fault)
        return _message("CreateUpdateResponse", id=name)

    def _state(self, job: _Job) -> FakeReply:
        inner = job.message.inference_job
        if job.fault is LabFault.FAILED:
            inner.job_state, job.message.failure_type = _FAILED, _OUT_OF_MEMORY
            inner.failure_reason = "Device ran out of memory"
        elif job.fault is not LabFault.ENDLESS:
            inner.job_state = _DONE
        if job.fault is LabFault.FOREIGN:
            inner.model.model_id = "m999999"
        return FakeReply(body=job.message.SerializeToString(), kind=_PROTOBUF)

    def _result(self, name: str) -> FakeReply:
        with self.lock:
            job = self._stored.jobs[name]
            if job.result is None:
                job.result = self._run(name, job.message.inference_job)
        return FakeReply(body=job.result.SerializeToString(), kind=_PROTOBUF)

    def _run(self, name: str, job: Any) -> Any:
        """Run a job's model, and describe it as AI Hub's profiler does."""
        model = Model(name=job.name, data=bytes(self._stored.models[job.model.model_id]))
        delegate = job.options.split()[-1]
        result = CLASSES["JobResult"]()
        result.result.inference_job_id = name
        if job.dataset.dataset_id:
            result.result.output_dataset_id = self._infer(model, job.dataset.dataset_id)
        detail = result.result.detail
        detail.major_version, detail.minor_version = 1, 2
        detail.cold_load_time, detail.warm_load_time = 20_000, 4_000
        detail.all_execution_times.extend(5_000 + 10 * i for i in range(20))
        detail.execution_time = 5_000
        detail.execution_memory.peak.upper = 64 * 2**20
        detail.tool_versions.add(name="fake", version="1")
        taker = {"xnnpack": "TfLiteXNNPackDelegate", "gpu": "TfLiteGpuDelegateV2"}.get(
            delegate, f"TfLite{delegate.title()}Delegate"
        )
        for op in model.graph.ops:
            refused = op.name in self.refused_ops
            detail.layers.add(
                name=model.graph.tensors[op.outputs[0]].name,
                layer_type_name=op.name,
                id=str(op.index),
                compute_unit=_CPU if refused else _UNITS[delegate],
                delegate_name="" if refused else taker,
                execution_time=10,
            )
        return result

    def _infer(self, model: Model, dataset: str) -> str:
        """Run a model on each batch of a dataset, and return the name of the outputs'."""
        graph = model.graph
        with tempfile.TemporaryDirectory() as work:
            given, arrays = Path(work) / "in.h5", Path(work) / "in.npz"
            made, stored = Path(work) / "out.h5", Path(work) / "out.npz"
            given.write_bytes(self._stored.data[dataset])
            _data("read", given, arrays)
            with np.load(arrays, allow_pickle=False) as inputs:
                count = len(inputs.files) // len(graph.inputs)
                batches = [
                    [inputs[f"{at}.{batch}"] for at in range(len(graph.inputs))]
                    for batch in range(count)
                ]
            outputs = {}
            for batch, values in enumerate(batches):
                for at, value in enumerate(xnnpack.execute_stored(model, values)):
                    outputs[f"{at}.{batch}"] = value
            np.savez(stored, allow_pickle=False, **outputs)
            _data("write", stored, made, *graph.output_names)
            name = self._name("d")
            self._stored.data[name] = made.read_bytes()
        return name


def _message(name: str, /, **fields: Any) -> FakeReply:
    return FakeReply(body=CLASSES[name](**fields).SerializeToString(), kind=_PROTOBUF)


def _form_file(asked: Asked) -> bytes:
    """Return the file of a form."""
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + asked.body)
    for part in form.iter_parts():
        if part.get_filename():
            return bytes(part.get_payload(decode=True))
    raise KeyError("file in the form")


def _data(*arguments: str | Path) -> None:
    done = child.run(
        [aihub_venv.python(), "-I", _DATA, *arguments],
        stage="dataset of the fake AI Hub",
        timeout_s=_DATA_LIMIT_S,
    )
    if done.exit_code:
        raise KeyError(f"dataset: {done.stderr[-200:]}")
