"""Tests of the steps that build the Arm sysroot. The whole of it is built in tests/integration."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

from harness import child
from harness.errors import DeviceError, StackMissing
from harness.stacks import arm64_sysroot
from harness.stacks.arm64_sysroot import Manifest
from tests import needs

SOURCE = Path(arm64_sysroot.__file__).with_name("arm64_count.c")


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        "layout": arm64_sysroot.LAYOUT,
        "litert": importlib.metadata.version("ai-edge-litert"),
        "wheels": {"numpy": "2.4.6"},
        "python": "3.11",
        "qemu": "qemu/usr/bin/qemu-aarch64",
        "qemu_version": "7.2.22",
        "takes_cpu": True,
    } | changes


def lay_out(cache_dir: Path, **changes: Any) -> Path:
    base = arm64_sysroot.folder(cache_dir)
    (base / "qemu/usr/bin").mkdir(parents=True)
    (base / "qemu/usr/bin/qemu-aarch64").touch()
    (base / "manifest.json").write_text(json.dumps(manifest(**changes)))
    return base


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, **programs: str) -> None:
    """Let PATH hold nothing but some shell scripts."""
    folder.mkdir()
    for name, script in programs.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_an_empty_cache_holds_no_sysroot(tmp_path: Path) -> None:
    assert arm64_sysroot.installed(tmp_path) is None


def test_a_finished_sysroot_says_what_it_holds(tmp_path: Path) -> None:
    lay_out(tmp_path)

    found = arm64_sysroot.installed(tmp_path)

    assert found is not None
    assert found.qemu_version == "7.2.22"


@pytest.mark.parametrize("changes", [{"layout": 0}, {"litert": "0.0.1"}, {"qemu": "gone/qemu"}])
def test_a_sysroot_that_does_not_fit_counts_as_missing(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    lay_out(tmp_path, **changes)

    assert arm64_sysroot.installed(tmp_path) is None


def test_a_damaged_manifest_counts_as_missing(tmp_path: Path) -> None:
    base = lay_out(tmp_path)
    (base / "manifest.json").write_text("{")

    assert arm64_sysroot.installed(tmp_path) is None


def test_installing_what_is_there_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, counts=True)
    put_on_path(monkeypatch, tmp_path / "nothing")

    arm64_sysroot.install(tmp_path)

    assert arm64_sysroot.installed(tmp_path) is not None


def test_without_apt_the_first_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(monkeypatch, tmp_path / "nothing")

    with pytest.raises(StackMissing, match=r"read the list of arm64 packages: apt-get: cannot"):
        arm64_sysroot.install(tmp_path / "cache")


def test_a_failure_of_apt_names_the_step_and_what_apt_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = '[ "$3" = update ] || { echo "E: Unable to locate package" >&2; exit 100; }'
    put_on_path(monkeypatch, tmp_path / "bin", apt_get=script)

    with pytest.raises(DeviceError, match=r"download arm64 packages .*100.*E: Unable to locate"):
        arm64_sysroot.install(tmp_path / "cache")


def test_a_failed_build_leaves_no_sysroot_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(monkeypatch, tmp_path / "bin", apt_get="exit 100")

    with pytest.raises(DeviceError):
        arm64_sysroot.install(tmp_path)

    assert not arm64_sysroot.folder(tmp_path).exists()


def test_apt_is_given_folders_and_an_architecture_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    put_on_path(
        monkeypatch,
        tmp_path / "bin",
        apt_get=f'while read l; do echo "$l"; done <"$APT_CONFIG" >{seen}',
    )

    arm64_sysroot.download_packages(tmp_path, "arm64", ("hello",), status=None)

    settings = seen.read_text()
    assert 'APT::Architecture "arm64";' in settings
    for option in ("Dir::State", "Dir::State::status", "Dir::Cache", "Dir::Log"):
        assert f'{option} "{tmp_path}/' in settings


@pytest.mark.arm64
def test_apt_itself_reads_the_private_settings(tmp_path: Path) -> None:
    needs.program("apt-config")
    with pytest.MonkeyPatch.context() as patch:
        put_on_path(patch, tmp_path / "bin", apt_get="exit 0")
        arm64_sysroot.download_packages(tmp_path, "arm64", ("hello",), status=None)

    done = child.run(
        ["apt-config", "dump"], stage="apt-config", timeout_s=30,
        env={"APT_CONFIG": str(tmp_path / "apt-arm64" / "apt.conf")},
    )  # fmt: skip

    assert f'Dir::State "{tmp_path}/apt-arm64/state";' in done.stdout
    assert 'APT::Architectures:: "arm64";' in done.stdout
    assert 'APT::Architectures:: "amd64";' not in done.stdout


def test_the_guest_never_sees_the_libraries_of_the_host(tmp_path: Path) -> None:
    here = Manifest(**manifest(qemu_libraries="qemu/usr/lib/x86_64-linux-gnu"))

    command = arm64_sysroot.guest_command(here, tmp_path, tmp_path / "root", "cortex-a76")

    assert command[0] == str(tmp_path / "qemu/usr/bin/qemu-aarch64")
    assert command[command.index("-U") : command.index("-U") + 2] == ["-U", "LD_LIBRARY_PATH"]
    assert f"PYTHONPATH={tmp_path / 'site'}" in command
    assert arm64_sysroot.host_environment(here, tmp_path) == {
        "LD_LIBRARY_PATH": str(tmp_path / "qemu/usr/lib/x86_64-linux-gnu")
    }


def test_an_installed_emulator_is_named_by_its_own_path(tmp_path: Path) -> None:
    here = Manifest(**manifest(qemu="/usr/bin/qemu-aarch64"))

    command = arm64_sysroot.guest_command(here, tmp_path, tmp_path / "root", "cortex-a76")

    assert command[0] == "/usr/bin/qemu-aarch64"
    assert arm64_sysroot.host_environment(here, tmp_path) == {}


@pytest.mark.arm64
def test_the_plugin_compiles_without_warnings(tmp_path: Path) -> None:
    needs.program("cc")
    done = child.run(
        ["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-DAPI_VERSION=1", "-o",
         tmp_path / "count.so", SOURCE],
        stage="compile", timeout_s=60,
    )  # fmt: skip

    assert done.exit_code == 0, done.stderr
