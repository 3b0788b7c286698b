"""The command that adds an extra names what an index has, not this package."""

import shlex
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from harness import extras


@pytest.mark.parametrize(
    ("extra", "holds"), [("qualcomm", "onnxruntime-qnn"), ("train", "tensorflow")]
)
def test_the_packages_of_an_extra_are_named_and_no_others(extra: str, holds: str) -> None:
    pip, install, *names = shlex.split(extras.install_command(extra))

    found = {Requirement(name).name for name in names}
    assert (pip, install) == ("pip", "install")
    assert holds in found
    assert "pytest-device-harness" not in found
    assert not found & {"numpy", "pytest", "mypy"}


def test_a_tree_that_was_never_installed_is_installed_as_it_lies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)

    assert extras.install_command("train") == "pip install --editable '.[train]'"
