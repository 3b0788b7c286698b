"""Jobs of Qualcomm AI Hub: what goes into one, and which are under way."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import files
from harness.errors import ConfigError, HarnessError
from harness.evidence import sha256_of
from harness.inputs import Inputs
from harness.model import Model
from harness.profiles import GPU_FP32, Target
from harness.requests import Request, Verb
from harness.stacks import feeding

OPTIONS = {
    "cpu": "--tflite_delegates xnnpack",
    "gpu": "--tflite_delegates gpu",
    GPU_FP32: "--tflite_delegates gpu --tflite_options "
    "gpu_inference_priority1=TFLITE_GPU_INFERENCE_PRIORITY_MAX_PRECISION",
    "nnapi": "--tflite_delegates nnapi",
    "qnn": "--tflite_delegates qnn",
}
"""Options of a job by delegate. Source: qai-hub 0.56.0, documentation of inference options."""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A kind of phone that AI Hub has, of which any unit may answer.

    Attributes:
        name: Such as `Samsung Galaxy S24`.
        os: Its Android version.
        attributes: What AI Hub says of it.
    """

    name: str
    os: str
    attributes: tuple[str, ...]

    @property
    def fake(self) -> bool:
        """Return whether it is of the fake server."""
        return "harness:fake" in self.attributes

    @property
    def takes_tflite(self) -> bool:
        """Return whether it runs .tflite files."""
        return "framework:tflite" in self.attributes


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that is asked about one model at one size on one phone: one job answers it.

    Attributes:
        requests: What is asked.
        device: The kind of phone.
    """

    requests: tuple[Request, ...]
    device: Pooled

    @property
    def target(self) -> Target:
        """Return phone and delegate."""
        return self.requests[0].target

    @property
    def model(self) -> Model:
        """Return the model at its size.

        Raises:
            ModelError: it cannot be resized.
        """
        return self.requests[0].sized

    @property
    def frames(self) -> tuple[Inputs, ...]:
        """Return what the model is run on, in the order of the outputs."""
        return tuple(request.inputs for request in self.requests if request.inputs is not None)

    def batch(self, request: Request) -> int:
        """Return where the outputs of a request stand."""
        asked = [one.key for one in self.requests if one.verb is Verb.RUN]
        return asked.index(request.key)

    @property
    def options(self) -> str:
        """Return AI Hub's options.

        Raises:
            ConfigError: it has no such delegate.
        """
        if self.target.delegate not in OPTIONS:
            raise ConfigError(
                f"{self.target}: AI Hub has no such delegate; it has {', '.join(OPTIONS)}"
            )
        return OPTIONS[self.target.delegate]

    @property
    def key(self) -> str:
        """Return a hash of all that the job is told."""
        told = (self.device.name, self.device.os, self.options, self.model.sha256)
        return sha256_of("\n".join((*told, *(given.sha256 for given in self.frames))).encode())

    def write(self, folder: Path, journal: Path) -> dict[str, object]:
        """Write model and inputs below a folder, and return what the client submits.

        Raises:
            HarnessError: the model cannot be resized or fed, or the disk is full.
        """
        model, graph = self.model, self.model.graph
        path, inputs = folder / f"{model.sha256[:16]}.tflite", folder / f"{self.key}.npz"
        arrays = {
            f"{at}.{batch}": array
            for batch, given in enumerate(self.frames)
            for at, array in enumerate(feeding.store(graph, given.of_graph(graph)))
        }
        try:
            journal.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(model.data)
            if arrays:
                np.savez(inputs, allow_pickle=False, **arrays)
        except OSError as error:
            raise HarnessError(f"{folder}: cannot be written ({error.strerror})") from None
        return {
            "key": self.key,
            "model": str(path),
            "name": model.name,
            "device": self.device.name,
            "os": self.device.os,
            "options": self.options,
            "inputs": str(inputs) if arrays else "",
            "names": list(graph.input_names),
            "batches": len(self.frames),
        }


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A job that AI Hub has.

    Attributes:
        job: Its id.
        model: The id of its model.
    """

    job: str
    model: str


def group(requests: Sequence[Request], device: Pooled) -> list[Job]:
    """Return as few jobs as answer the requests of one phone."""
    groups: dict[tuple[str, str, str], dict[str, Request]] = {}
    for request in requests:
        key = (str(request.target), request.model.sha256, str(request.size))
        groups.setdefault(key, {})[request.key] = request
    return [Job(requests=tuple(group.values()), device=device) for group in groups.values()]


class Journal:
    """The jobs that were submitted and not yet answered for, on disk before any is waited for."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self.path = path

    def pending(self) -> dict[str, Submitted]:
        """Return the jobs under way, by the key of what they were told."""
        if not self.path.exists():
            return {}
        found: dict[str, Submitted] = {}
        ended = set()
        for line in files.read_text(self.path, error=ConfigError).splitlines():
            try:
                said = json.loads(line)
                if "ended" in said:
                    ended.add(said["ended"])
                else:
                    found[said["key"]] = Submitted(job=str(said["job"]), model=str(said["model"]))
            except (ValueError, TypeError, KeyError, RecursionError):
                continue  # a line that a kill cut short
        return {key: one for key, one in found.items() if one.job not in ended}

    def end(self, job: str) -> None:
        """Note that what a job found has been taken.

        Raises:
            HarnessError: the file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"ended": job}) + "\n")
        except OSError as error:
            raise HarnessError(f"{self.path}: cannot be written ({error.strerror})") from None
