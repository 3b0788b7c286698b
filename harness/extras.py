"""Say how to add an extra of this package, wherever the package itself came from."""

from importlib import metadata

_PACKAGE = "pytest-device-harness"


def install_command(extra: str) -> str:
    """Return the command that installs what an extra needs.

    It names the packages themselves: this one may have come from a checkout, a wheel or a git
    address, and then no index has it under its own name.

    Args:
        extra: Such as `qualcomm`, `train` or `study`.
    """
    from packaging.requirements import Requirement  # 30 ms; only where something is lacking

    try:
        wanted = [Requirement(line) for line in metadata.requires(_PACKAGE) or ()]
    except metadata.PackageNotFoundError:
        return f"pip install --editable '.[{extra}]'"  # run from a checkout, never installed
    names = [
        f"'{one.name}{one.specifier}'"
        for one in wanted
        if one.marker
        and not one.marker.evaluate({"extra": ""})
        and one.marker.evaluate({"extra": extra})
    ]
    return f"pip install {' '.join(names)}"
