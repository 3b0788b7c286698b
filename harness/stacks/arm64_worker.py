"""Answer LiteRT calls inside the emulated CPU of a phone, or count their instructions.

`python -m harness.stacks.arm64_worker` on the host replaces itself by the emulator, which keeps
its process, pipes and limits, and runs this same file on the sysroot's Python. Nothing but the
standard library may be imported at the top.
"""

import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path

COMMAND = "HARNESS_ARM64_COMMAND"
"""Environment variable with the emulator's command line, as JSON."""
MARK_PID = 0x5EED5EED
"""Process group whose id is asked for to mark a moment; arm64_count.c watches for it."""

EMPTY_MARKS = 3
"""Marks with nothing between them that come first: the gap of the last two is Python's own cost."""


def main() -> None:
    """Become the emulator; or, inside it, serve or count."""
    command = os.environ.pop(COMMAND, None)
    if command is not None:
        argv = json.loads(command)
        os.execv(argv[0], argv)
    if sys.argv[1:2] == ["count"]:
        count(Path(sys.argv[2]), inferences=int(sys.argv[3]))
        return
    _adopt_harness()
    from harness.stacks import xnnpack_worker
    from harness.worker import serve

    serve({"execute": xnnpack_worker.execute})


def count(path: Path, *, inferences: int) -> None:
    """Run a model once to warm up, then mark; once more after each inference."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        values = np.random.default_rng(0).uniform(0, 100, details["shape"])
        interpreter.set_tensor(details["index"], values.astype(details["dtype"]))
    interpreter.invoke()
    for _ in range(EMPTY_MARKS):
        _mark()
    for _ in range(inferences):
        interpreter.invoke()
        _mark()


def _mark() -> None:
    """Let the plugin write down how many instructions have been executed so far."""
    with contextlib.suppress(ProcessLookupError):
        os.getpgid(MARK_PID)


def _adopt_harness() -> None:
    """Make this package importable without its site-packages, whose wheels are for the host."""
    # Not resolved: the emulator shows links of the sysroot where the host has folders.
    package = Path(__file__).absolute().parents[1]
    spec = importlib.util.spec_from_file_location(
        "harness", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
