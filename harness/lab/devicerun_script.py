"""The program of a Device Run job: a shell script that measures, and what to read of its files.

The platform keeps no standard output, so every command writes to a file of the folder that is
pulled. Rounds of timing go through the models forwards and backwards in turn (A B B A), so that
a phone that warms up is no model's disadvantage; its state is read between rounds.
"""

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness import sequential
from harness.devices.benchmark import benchmark_tool, delegate_flags
from harness.devices.benchmark.benchmark_tool import Preset
from harness.devices.benchmark.measuring import Measuring
from harness.devices.phone import device_state, identity
from harness.evidence import sha256_of
from harness.inputs import Inputs
from harness.requests import Request, Verb
from harness.stacks import feeding

ROOT = "/data/local/tmp/pytest-device-harness-run"
OUT = f"{ROOT}/out"
ROUNDS = 5
"""Runs of the tool for a timing; a session cannot look at the first ones to decide on more."""
PAIRS = 20
"""Pairs of runs of a comparison: a look of `sequential.StoppingRule`; a session makes all of them,
whatever the first ones say."""
_LIMIT_LEAST_S, _LIMIT_RUN_S, _LIMIT_MOST_S = 300, 60, 10_800
"""Source: Device Run, executionTimeout of at most 3 hours."""
_FLAGS = {
    Verb.PLACE: (
        "--export_model_runtime_info=true",
        "--enable_op_profiling=true",
        "--model_runtime_info_output_file={out}.pb",
    ),
    Verb.MEMORY: ("--report_peak_memory_footprint=true",),
    Verb.TIME: ("--result_file_path={out}.pb",),
    Verb.COMPARE: ("--result_file_path={out}.pb",),
    Verb.RUN: ("--output_filepath={out}.pb",),
}


@dataclass(frozen=True, kw_only=True)
class ToolRuns:
    """The runs of the tool that answer one request.

    Attributes:
        request: What is asked.
        runs: Names of what each run leaves in the folder: NAME.txt, NAME.code and NAME.pb.
        before: Of a comparison, those of the earlier model's runs, in the same order.
    """

    request: Request
    runs: tuple[str, ...]
    before: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Script:
    """A script, and the files that it wants on the phone.

    Attributes:
        steps: What answers which request.
        lines: Shell.
        files: Content by name below ROOT.
        states: Names of the states read, in order.
    """

    steps: list[ToolRuns] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the script."""
        head = f"cd {ROOT} && mkdir -p out && chmod 755 benchmark_model || exit 1"
        mark = f"echo {self.mark} >{OUT}/script.txt"
        return "\n".join(["#!/system/bin/sh", head, mark, *self.lines, "exit 0"]) + "\n"

    @property
    def mark(self) -> str:
        """Return a hash of what is run, which the job leaves with its files."""
        return sha256_of("\n".join(self.lines).encode())

    @property
    def limit_s(self) -> int:
        """Return the seconds after which the platform may stop the job."""
        runs = sum(len(step.runs) + len(step.before) for step in self.steps)
        return min(_LIMIT_MOST_S, _LIMIT_LEAST_S + runs * _LIMIT_RUN_S)

    def put(self, data: bytes, kind: str) -> str:
        """Take a file along, each content once; return its path on the phone."""
        name = f"{sha256_of(data)[:32]}.{kind}"
        self.files[name] = data
        return f"{ROOT}/{name}"


def build(requests: Sequence[Request], tool: bytes, measured_by: Mapping[str, Measuring]) -> Script:
    """Return a script that answers requests of one phone.

    Args:
        requests: But those to count instructions.
        tool: The benchmark tool.
        measured_by: How to measure, by delegate.

    Raises:
        ModelError: a model cannot be resized or fed.
        ConfigError: the tool has no such delegate.
    """
    script = Script(files={"benchmark_model": tool})
    script.lines.append(f"{{ {identity.COMMAND}; }} >{OUT}/identity.txt 2>&1")
    script.lines.append("input keyevent KEYCODE_WAKEUP >/dev/null 2>&1")
    script.lines.append(f"./benchmark_model --help >{OUT}/help.txt 2>&1")
    timed: list[tuple[ToolRuns, str]] = []
    for number, request in enumerate(requests):
        if request.verb is Verb.COMPARE:
            _compare(script, number, request, measured_by[request.target.delegate])
            continue
        runs = {Verb.TIME: ROUNDS, Verb.RUN: 2}.get(request.verb, 1)
        step = ToolRuns(request=request, runs=tuple(f"{number}-{run}" for run in range(runs)))
        command = _command(script, request, measured_by[request.target.delegate])
        script.steps.append(step)
        if request.verb is Verb.TIME:
            timed.append((step, command))
        else:
            for warmups, name in enumerate(step.runs):  # of pixels, the first inference too
                line = command.replace("{out}", f"{OUT}/{name}")
                if request.verb is Verb.RUN:
                    line = line.replace("--warmup_runs=1", f"--warmup_runs={warmups}")
                script.lines.append(line)
    for run in range(ROUNDS if timed else 0):
        _state(script)
        for step, command in timed if run % 2 == 0 else reversed(timed):
            script.lines.append(command.replace("{out}", f"{OUT}/{step.runs[run]}"))
    _state(script)
    return script


def _compare(script: Script, number: int, request: Request, measuring: Measuring) -> None:
    """Run a model and the earlier one A B B A, the phone's state before and after."""
    assert request.before is not None
    earlier = replace(request, verb=Verb.TIME, model=request.before, before=None)
    commands = {
        "candidate": _command(script, request, measuring),
        "baseline": _command(script, earlier, measuring),
    }
    names: dict[str, list[str]] = {"candidate": [], "baseline": []}
    _state(script)
    for which in itertools.islice(sequential.order(), 2 * PAIRS):
        name = f"{number}-{which}-{len(names[which])}"
        names[which].append(name)
        script.lines.append(commands[which].replace("{out}", f"{OUT}/{name}"))
    _state(script)
    script.steps.append(
        ToolRuns(request=request, runs=tuple(names["candidate"]), before=tuple(names["baseline"]))
    )


def _state(script: Script) -> None:
    name = f"state-{len(script.states)}.txt"
    script.states.append(name)
    script.lines.append(f"{{ {device_state.STATE_COMMAND}; }} >{OUT}/{name} 2>&1")


def preset_of(request: Request, measuring: Measuring) -> Preset:
    """Return how the tool is run for a request."""
    preset = measuring.preset.on(
        request.target.delegate, float16_weights=request.model.graph.has_float16_weights
    )
    if request.verb is Verb.RUN:
        return replace(preset, runs=1, warmup_runs=1)
    if request.verb in (Verb.TIME, Verb.COMPARE):
        return preset
    return replace(preset, runs=3, warmup_runs=1)


def _command(script: Script, request: Request, measuring: Measuring) -> str:
    """Return the run of the tool, with `{out}` for where it leaves things."""
    model, preset = request.sized, preset_of(request, measuring)
    delegate = request.target.delegate
    pinned = [unit.name for unit in request.target.profile.accelerators_of(delegate) if unit.pinned]
    flags = [
        f"--graph={script.put(model.data, 'tflite')}",
        *benchmark_tool.run_flags(preset),
        *delegate_flags.ask_for(
            delegate,
            accelerator=pinned[0] if pinned and delegate == "nnapi" else "",
            allow_fp16=preset.allow_fp16,
            external=measuring.external,
        ),
    ]
    extra = [*_FLAGS[request.verb], *_fed(script, request.inputs, request)]
    names = {flag.partition("=")[0] for flag in extra}
    kept = [flag for flag in flags if flag.partition("=")[0] not in names]
    mask = device_state.affinity_mask(request.target.profile, ()) if preset.pinned else ""
    tool = device_state.pinned("./benchmark_model", mask)
    words = " ".join(shlex.quote(flag).replace("'{out}'", "{out}") for flag in (*kept, *extra))
    limit_s = f"{measuring.run_limit_s:g}"
    return f"timeout -s 9 {limit_s} {tool} {words} >{{out}}.txt 2>&1; echo $? >{{out}}.code"


def _fed(script: Script, inputs: Inputs | None, request: Request) -> Sequence[str]:
    """Return the flags that feed inputs to the model."""
    if inputs is None:
        return ()
    graph = request.sized.graph
    stored = feeding.store(graph, inputs.of_graph(graph))
    fed = [
        (graph.tensors[i].name, graph.tensors[i].shape, script.put(value.tobytes(), "bin"))
        for i, value in zip(graph.inputs, stored, strict=True)
    ]
    return benchmark_tool.input_flags(fed)
