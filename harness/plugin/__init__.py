"""Be the pytest plugin: options, and everything else only when `--device` is given."""

from pathlib import Path

import pytest

GATES = Path(__file__).parent.parent / "gates"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; without `--device` they are all that this plugin adds."""
    group = parser.getgroup("device harness", "on-device models against the phones they ship to")
    group.addoption(
        "--device",
        action="append",
        default=[],
        metavar="NAME[:DELEGATE]",
        help="phone to test, such as pixel4 or pixel4:gpu; repeat, separate by commas, or `all`",
    )
    group.addoption(
        "--origin",
        choices=("auto", "phone", "emulated"),
        default="auto",
        help="where facts come from: a phone if one is attached (auto), only a phone, only this "
        "host; default auto",
    )
    group.addoption("--serial", metavar="SERIAL", help="adb serial of the phone to use")
    group.addoption(
        "--subject",
        default="*",
        metavar="GLOB",
        help="subjects to test, such as deblur_* or deblur_unet.int8_ptq; a variant that is "
        "spelled out is tested even where it does not ship",
    )
    parser.addini("golden_dir", "folder of <subject>/subject.toml, default golden", default="")
    parser.addini("benchmark_tool", "TFLite benchmark_model for attached phones", default="")
    parser.addini("benchmark_preset", "standard, or paper (arXiv 2004.12599)", default="standard")
    parser.addini(
        "external_delegates",
        "libraries on the phone, one `DELEGATE PATH [OPTIONS]` a line",
        type="linelist",
        default=[],
    )
    parser.addini("profile_dirs", "more folders of device profiles", type="paths", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Set up the harness when a device is asked for."""
    config.addinivalue_line("markers", "gate(name): a test that rules with the device harness")
    if not config.getoption("device"):
        return
    from harness.plugin import collection, fixtures, reporting

    session = collection.open_session(config)
    config.pluginmanager.register(collection.Collector(session), "device-harness-collection")
    config.pluginmanager.register(fixtures, "device-harness-fixtures")
    config.pluginmanager.register(reporting.Reporter(session, config), "device-harness-reporting")
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(path) for path in sorted(GATES.glob("test_*.py"))]
    else:
        config.args = [_gate_file(arg, config.invocation_params.dir) for arg in config.args]


def _gate_file(arg: str, folder: Path) -> str:
    """Return the path of a shipped gate for an argument such as `test_latency.py::test_x[y]`."""
    name, colons, rest = arg.partition("::")
    shipped = GATES / name
    if "/" in name or (folder / name).exists() or not shipped.is_file():
        return arg
    return f"{shipped}{colons}{rest}"
