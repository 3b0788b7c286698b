"""Ask Qualcomm AI Hub one question with its own client, in the venv where that is installed.

Never imported by the harness: it reads one JSON object from standard input and writes one to
standard output. The token stays in here, where the client reads it from the user's own file
(~/.qai_hub/client.ini or $QAIHUB_CLIENT_INI); whatever is said of a failure is said without it.
Source: qai-hub 0.56.0, client.py, public_rest_api.py and public_api_pb2.pyi.
"""

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import qai_hub
from qai_hub import public_api_pb2 as messages
from qai_hub import public_rest_api as api
from qai_hub.api_utils import load_default_api_config
from qai_hub.client import Client, Device, Error, RateLimitedError

_FAULTS = (Error, api.APIException, OSError, ValueError, KeyError)  # RequestException is an OSError
_THROTTLED_TRIES = 6
_THROTTLED_WAIT_S = 5.0


def devices(client: Client) -> object:
    """Return name, Android version and attributes of each device, and the client's version."""
    found = [
        {"name": one.name, "os": one.os, "attributes": list(one.attributes)}
        for one in client.get_devices()
    ]
    return {"devices": found, "client": str(qai_hub.__version__)}


def submit(client: Client, journal: str, jobs: list[dict[str, Any]]) -> object:
    """Submit jobs, and write each to a journal as soon as there is one.

    Returns:
        For each job its id and its model's, or an error.
    """
    models: dict[str, Any] = {}
    answers = []
    for job in jobs:
        try:
            if job["model"] not in models:
                models[job["model"]] = client.upload_model(job["model"], name=job["name"])
            submitted = _submit_one(client, models[job["model"]], job)
        except _FAULTS as error:
            answers.append({"error": _words(client, error)})
            continue
        answer = {"job": submitted.job_id, "model": models[job["model"]].model_id}
        with open(journal, "a", encoding="utf-8") as file:
            file.write(json.dumps({"key": job["key"], **answer}) + "\n")
        answers.append(answer)
    return answers


def _submit_one(client: Client, model: Any, job: dict[str, Any]) -> Any:
    inputs = None
    if job["inputs"]:
        with np.load(job["inputs"], allow_pickle=False) as stored:
            inputs = {
                name: [stored[f"{at}.{batch}"] for batch in range(job["batches"])]
                for at, name in enumerate(job["names"])
            }
    wait_s = _THROTTLED_WAIT_S
    for left in reversed(range(_THROTTLED_TRIES)):
        try:
            return client.submit_inference_job(
                model,
                Device(job["device"], os=job["os"]),
                name=job["name"],
                inputs=inputs,
                options=job["options"],
                retry=False,
                profile=True,
            )
        except RateLimitedError:
            if not left:
                raise
            time.sleep(wait_s)
            wait_s *= 2
    raise AssertionError("the last try returns or raises")


def states(client: Client, jobs: list[str]) -> object:
    """Return the state of each job."""
    found = {}
    for job in jobs:
        said = api.get_job(client.config, job)
        one = said.inference_job
        found[job] = {
            "state": messages.JobState.Name(one.job_state),
            "failure": said.failure_type,
            "reason": one.failure_reason,
            "model": one.model.model_id,
            "device": one.device.name,
            "os": one.device.os,
            "attributes": list(one.device.attributes),
        }
    return found


def fetch(client: Client, job: str, folder: str) -> object:
    """Return the profile of a finished job; its outputs go to a folder, `outputs.npz`."""
    result = api.get_job_results(client.config, job).inference_job_result
    detail = result.detail
    names: list[str] = []
    if result.output_dataset_id:
        found = client.get_dataset(result.output_dataset_id).download()
        entries = found.items() if isinstance(found, dict) else found
        arrays: dict[str, Any] = {}
        for at, (name, batches) in enumerate(entries):
            names.append(name)
            arrays |= {f"{at}.{batch}": array for batch, array in enumerate(batches)}
        np.savez(Path(folder) / "outputs.npz", **arrays)
    return {
        "outputs": names,
        "times_us": list(detail.all_execution_times),
        "cold_load_us": detail.cold_load_time or detail.load_time,
        "peak_bytes": detail.execution_memory.peak.upper or detail.after_execution_peak_memory,
        "tools": {tool.name: tool.version for tool in detail.tool_versions},
        "layers": [
            {
                "name": layer.name,
                "type": layer.layer_type_name,
                "unit": messages.ComputeUnit.Name(layer.compute_unit).removeprefix("COMPUTE_UNIT_"),
                "delegate": layer.delegate_name,
                "segment": str(layer.segment_id) if layer.HasField("segment_id") else "",
                "time_us": layer.execution_time if layer.HasField("execution_time") else None,
            }
            for layer in detail.layer_details
        ],
    }


def _words(client: Client, error: BaseException) -> str:
    """Return what an error says on one line: without the token, and no query of an address."""
    said = re.sub(r"[\u2500-\u257f|]+", " ", f"{error}") or type(error).__name__
    said = " ".join(said.split())
    said = said.replace(client.config.api_token, "***")
    return re.sub(r"\?\S+", "?...", said)[:1000]


def main() -> None:
    """Answer the question on standard input."""
    question = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the client prints to standard output
    try:
        config = load_default_api_config()
    except _FAULTS:
        json.dump({"error": "no configuration; run `qai-hub configure --api_token TOKEN`"}, answers)
        return
    client = Client(config=config)
    sys.excepthook = lambda kind, error, _: print(
        f"{kind.__name__}: {_words(client, error)}", file=sys.stderr
    )
    verbs: dict[str, Any] = {"devices": devices, "submit": submit, "states": states, "fetch": fetch}
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        try:
            answer = {"answer": verbs[question["verb"]](client, **question["given"])}
        except _FAULTS as error:
            answer = {"error": _words(client, error)}
    json.dump(answer, answers)
    answers.flush()


if __name__ == "__main__":
    main()
