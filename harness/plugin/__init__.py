"""The pytest plugin: options, and everything else only when `--device` is given.

It is installed beside projects that never ask for it, and many of those have a `--device` of
their own. Only names that start with `harness` are registered, therefore. The short ones are
understood once the project's conftests have said which names are theirs.
"""

import argparse
import itertools
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.measures import Measured

GATES = Path(__file__).parent.parent / "gates"
FIXTURES = frozenset(
    {
        "device",
        "subject",
        "variant",
        "golden",
        "clip",
        "size",
        "budget",
        "baseline",
        "accepted",
        "accepted_outputs",
        "check",
        "further",
        "before",
        "subject_before",
        "earlier",
        "tiling",
    }
)
"""What a test that is written for the harness asks for."""

_ABOUT = """on-device models against the phones they ship to

Example: pytest --device=pixel4:gpu --subject=deblur_unet --strict

--device, --origin, --serial, --lab, --yes, --subject, --jobs, --resume, --history, --report,
--sign, --against and --shard are short for the options below, where the project has no option of
that name. With --strict an INCONCLUSIVE ruling fails. Ini keys: golden_dir, profile_dirs,
benchmark_tool, litert_tools, npu_libraries, benchmark_preset, external_delegates, labs,
lab_consent, history, nightly, against; with harness_ before the name where the project has a key
of that name. Options"""


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, 1 or more")
    return int(text)


def _run_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", text):
        raise argparse.ArgumentTypeError("an id is 1 to 64 letters, digits and dashes")
    return text


_OPTIONS: dict[str, dict[str, Any]] = {
    "device": {
        "action": "append",
        "default": [],
        "metavar": "NAME[:DELEGATE]",
        "help": (
            "phone to test, such as pixel4 or pixel4:gpu; repeat, separate by commas, or name "
            "several with a pattern, such as 'galaxy_*', '*:cpu', `all` or all:cpu"
        ),
    },
    "origin": {
        "choices": ("auto", "phone", "emulated"),
        "default": "auto",
        "help": (
            "where facts come from: a phone if one is attached (auto), only a phone, only this "
            "host; default auto"
        ),
    },
    "serial": {
        "metavar": "SERIAL",
        "help": "adb serial of the phone to use",
    },
    "lab": {
        "action": "append",
        "default": [],
        "metavar": "NAME[:ARG]",
        "help": (
            "ask the phones of a lab: adb:HOST:PORT (repeatable), stf:URL, "
            "devicerun:PROJECT/DEVICE, aihub; default the ini key labs, else this host"
        ),
    },
    "yes": {
        "action": "store_true",
        "help": "agree to what a lab asks first, as the ini key lab_consent does",
    },
    "subject": {
        "default": "*",
        "metavar": "GLOB",
        "help": (
            "subjects to test, such as deblur_* or deblur_unet.int8_ptq; a variant that is "
            "spelled out is tested even where it does not ship"
        ),
    },
    "jobs": {
        "type": _jobs,
        "metavar": "N",
        "help": "cores that emulated phones are asked on, as many at one time; default all",
    },
    "resume": {
        "action": "store_true",
        "help": "take over the facts of the last unfinished run of the same plan",
    },
    "history": {
        "metavar": "URL",
        "help": (
            "take the run into a history at its end: SQLite file or postgresql://...; default "
            "the ini key history, else none"
        ),
    },
    "against": {
        "metavar": "REV|RUN",
        "help": (
            "judge a change: only variants that differ from a git revision or folder of subjects, "
            "each beside what it was; or every variant beside what a run found, by its id or "
            "results file; default the ini key against, else none"
        ),
    },
    "shard": {
        "metavar": "N/COUNT",
        "help": (
            "judge one part of the plan, such as 2/4; the parts cost about the same, and together "
            "they are the plan"
        ),
    },
    "report": {
        "metavar": "FILE",
        "help": "draw the run as one self-contained HTML page at its end",
    },
    "sign": {
        "metavar": "KEY",
        "help": "sign the run at its end with an Ed25519 key in PEM; `harness verify` checks it",
    },
    "run-id": {
        "type": _run_id,
        "metavar": "ID",
        "help": "id of the run in its records, for who must find it again; default one made up",
    },
}
"""By their names without `--harness-`; those in `_SHORT` are understood without it too."""
_SHORT = tuple(f"--{name}" for name in _OPTIONS if name != "run-id")
_INI: dict[str, dict[str, Any]] = {
    "golden_dir": {"help": "folder of <subject>/subject.toml, default golden", "default": ""},
    "profile_dirs": {"help": "more folders of device profiles", "type": "paths", "default": []},
    "benchmark_tool": {"help": "TFLite benchmark_model for attached phones", "default": ""},
    "litert_tools": {"help": "folder of LiteRT 2's benchmark_model and run_model", "default": ""},
    "npu_libraries": {
        "help": "LiteRT 2's libraries of NPUs and their vendors', files and folders",
        "type": "paths",
        "default": [],
    },
    "benchmark_preset": {"help": "standard, or paper (arXiv 2004.12599)", "default": "standard"},
    "external_delegates": {
        "help": "libraries on the phone, one `DELEGATE PATH [OPTIONS]` a line",
        "type": "linelist",
        "default": [],
    },
    "labs": {
        "help": "labs to ask, one `NAME[:ARG]` a line, as --lab",
        "type": "linelist",
        "default": [],
    },
    "lab_consent": {
        "help": "labs that may have your models and frames, such as aihub",
        "type": "linelist",
        "default": [],
    },
    "history": {"help": "SQLite file or postgresql://... that takes each run in", "default": ""},
    "against": {"help": "git revision, folder of subjects or run to judge against", "default": ""},
    "nightly": {
        "help": "options of `harness nightly`, one a line",
        "type": "linelist",
        "default": [],
    },
}
_TAKEN = pytest.StashKey[frozenset[str]]()
"""Short names, of options and ini keys, that belong to the project or another plugin."""


class Hooks:
    """The hooks that a project's conftest or plugin may answer."""

    def pytest_harness_measures(self) -> "Mapping[str, Measured]":  # type: ignore[empty-body]
        """Return measures of your own, by the name that `limits.own` of subject.toml gives them.

        A measure takes an image and what it should be, both float64 [H, W, C] in [0, 1], and
        returns a number.
        """


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; without `--device` they are all that this plugin adds."""
    group = parser.getgroup("device harness", f"device harness: {_ABOUT}")
    for name, details in _OPTIONS.items():
        group.addoption(f"--harness-{name}", **details)
    for name, details in _INI.items():
        parser.addini(f"harness_{name}", **details)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that a conftest may answer."""
    pluginmanager.add_hookspecs(Hooks)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Understand the short names that are still free when conftests have added their options."""
    _hide_values(early_config.known_args_namespace.file_or_dir, args)
    result = yield
    # pytest offers no question for this; both attributes are those of pytest 8.2 to 9.2.
    groups = [*parser._groups, parser._anonymous]
    options = {name for group in groups for option in group.options for name in option.names()}
    taken = {name for name in _SHORT if name in options}
    args[:] = _prefixed(list(_expanded(args)), frozenset(_SHORT) - taken)
    for name, details in _INI.items():
        if _is_ini_key(early_config, name):
            taken.add(name)
        else:
            parser.addini(name, **details)
    early_config.stash[_TAKEN] = frozenset(taken)
    return result


def _hide_values(paths: list[str], args: Sequence[str]) -> None:
    """Take `pixel4` of `--device pixel4` from the paths in which conftests are looked for."""
    for name, value in itertools.pairwise(args):
        if name in _SHORT and value in paths and not Path(value).exists():
            paths.remove(value)


def _expanded(args: Sequence[str]) -> Iterator[str]:
    """Yield arguments with those of an `@file` in its place, as pytest reads it."""
    for arg in args:
        file = Path(arg.removeprefix("@"))
        if arg.startswith("@") and file.is_file():
            yield from _expanded(file.read_text(encoding="utf-8").splitlines())
        else:
            yield arg


def _prefixed(args: Sequence[str], names: frozenset[str]) -> list[str]:
    """Return arguments with `--device` spelled `--harness-device`, up to a lone `--`."""
    spelled: list[str] = []
    for at, arg in enumerate(args):
        if arg == "--":
            return [*spelled, *args[at:]]
        name = arg.partition("=")[0]
        spelled.append(f"--harness-{arg.removeprefix('--')}" if name in names else arg)
    return spelled


def _is_ini_key(config: pytest.Config, name: str) -> bool:
    """Return whether the project or another plugin has an ini key of this name."""
    try:
        config.getini(name)
    except ValueError:
        return False
    return True


def option(config: pytest.Config, name: str) -> Any:
    """Return the value of an option, such as `device`, however it was spelled."""
    return config.getoption(f"harness_{name}")


def ini(config: pytest.Config, name: str) -> Any:
    """Return an ini key, such as `golden_dir`, or `harness_golden_dir` where that is set."""
    value = config.getini(f"harness_{name}")
    if value != _INI[name]["default"] or name in config.stash.get(_TAKEN, frozenset(_INI)):
        return value
    return config.getini(name)


def stands_back(config: pytest.Config) -> str:
    """Return one line about the short names that are not the harness's here, or ''."""
    taken = config.stash.get(_TAKEN, frozenset())
    names = [name for name in (*_SHORT, *_INI) if name in taken]
    if not names:
        return ""
    ours = ", ".join(
        f"--harness-{n.removeprefix('--')}" if n in _SHORT else f"harness_{n}" for n in names
    )
    return (
        f"device harness: {', '.join(names)} belong to this project or another plugin; use {ours}"
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say so where a phone was asked for by a name that is not the harness's here."""
    args = config.invocation_params.args
    if option(config, "device") or "--device" not in config.stash.get(_TAKEN, frozenset()):
        return None
    pairs = [*itertools.pairwise(args), *(arg.partition("=")[::2] for arg in args)]
    values = [value for name, value in pairs if name == "--device" and value]
    if not values:
        return None
    from harness import profiles

    files = [profiles.shipped_folder() / f"{value.partition(':')[0]}.toml" for value in values]
    return stands_back(config) if any(file.is_file() for file in files) else None


def pytest_configure(config: pytest.Config) -> None:
    """Set up the harness when a device is asked for."""
    if not option(config, "device"):
        return
    from harness.plugin import collection, fixtures, reporting

    session = collection.open_session(config)
    config.pluginmanager.register(
        collection.Collector(session, fixtures), "device-harness-collection"
    )
    config.pluginmanager.register(fixtures, "device-harness-fixtures")
    config.pluginmanager.register(reporting.Reporter(session, config), "device-harness-reporting")
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(path) for path in sorted(GATES.glob("test_*.py"))]
    else:
        config.args = [_gate_file(arg, config.invocation_params.dir) for arg in config.args]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test that is plainly written for the harness where no device is asked for.

    Two of the fixtures must be asked for, so that another project's missing `device` stays the
    error that it is.
    """
    try:
        return (yield)
    except pytest.FixtureLookupError as error:
        asked = FIXTURES.intersection(getattr(item, "fixturenames", ()))
        if option(item.config, "device") or error.argname not in asked or len(asked) < 2:
            raise
    pytest.skip(
        f"a test of the device harness: run `pytest --harness-device=NAME {item.path.name}`"
    )


def _gate_file(arg: str, folder: Path) -> str:
    """Return the path of a shipped gate for an argument such as `test_latency.py::test_x[y]`."""
    name, colons, rest = arg.partition("::")
    shipped = GATES / name
    if "/" in name or (folder / name).exists() or not shipped.is_file():
        return arg
    return f"{shipped}{colons}{rest}"
