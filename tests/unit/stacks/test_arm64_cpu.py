"""Tests of the description of a phone's CPU."""

from pathlib import Path

import pytest

from harness import profiles
from harness.errors import ConfigError
from harness.profiles import CpuCluster
from harness.stacks import arm64_cpu


def cluster(uarch: str, cores: int = 4, max_mhz: int | None = None) -> CpuCluster:
    return CpuCluster(cores=cores, uarch=uarch, source="test", max_mhz=max_mhz)


def test_every_core_is_described_as_one_of_the_fastest_cluster() -> None:
    cpu = arm64_cpu.describe(
        [cluster("cortex-a55"), cluster("cortex-a76", 3), cluster("cortex-x1", 1)]
    )

    parts = [line for line in cpu.proc_cpuinfo.splitlines() if line.startswith("CPU part")]

    assert parts == ["CPU part\t: 0xd44"] * 8


def test_cpuinfo_has_one_paragraph_per_core_as_linux_writes_it() -> None:
    cpu = arm64_cpu.describe([cluster("cortex-a76", 2)])

    first, second = cpu.proc_cpuinfo.strip().split("\n\n")

    assert first.splitlines() == [
        "processor\t: 0",
        "BogoMIPS\t: 38.40",
        "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid "
        "asimdrdm lrcpc dcpop asimddp",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x1",
        "CPU part\t: 0xd0b",
        "CPU revision\t: 0",
    ]
    assert second.startswith("processor\t: 1\n")


def test_one_old_core_takes_fp16_and_dot_products_from_the_whole_cpu() -> None:
    cpu = arm64_cpu.describe([cluster("cortex-a53"), cluster("cortex-a76")])

    assert not cpu.fp16
    assert cpu.emulator_cpu == "cortex-a72"
    assert "asimddp" not in cpu.proc_cpuinfo
    assert "fphp" not in cpu.proc_cpuinfo


def test_the_emulator_never_plays_a_cpu_with_more_features_than_are_described() -> None:
    for uarch in ("cortex-a55", "cortex-a78", "cortex-x4", "oryon"):
        assert arm64_cpu.describe([cluster(uarch)]).emulator_cpu == "cortex-a76"


def test_cpu_files_count_cores_from_zero_and_give_the_clock_in_khz() -> None:
    files = arm64_cpu.describe([cluster("cortex-a76", 8, max_mhz=2840)]).sys_files

    assert files["kernel_max"] == "7\n"
    assert files["possible"] == files["present"] == "0-7\n"
    assert files["cpu7/cpufreq/cpuinfo_max_freq"] == "2840000\n"
    assert "cpu8/topology/physical_package_id" not in files


def test_an_unknown_clock_is_left_out() -> None:
    files = arm64_cpu.describe([cluster("cortex-a76")]).sys_files

    assert not [name for name in files if "cpufreq" in name]


def test_the_description_is_written_below_a_root(tmp_path: Path) -> None:
    cpu = arm64_cpu.describe([cluster("cortex-a76", 1)])

    cpu.write(tmp_path)

    assert (tmp_path / "proc/cpuinfo").read_text() == cpu.proc_cpuinfo
    assert (tmp_path / "sys/devices/system/cpu/present").read_text() == "0\n"


def test_an_unknown_core_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"CPU core cortex-z9; known: .*cortex-a76"):
        arm64_cpu.describe([cluster("cortex-z9"), cluster("cortex-a76")])


def test_a_profile_without_clusters_is_an_error() -> None:
    with pytest.raises(ConfigError, match="names no CPU clusters"):
        arm64_cpu.describe([])


def test_the_cpu_of_every_shipped_profile_can_be_described() -> None:
    for profile in profiles.load_all([profiles.shipped_folder()]).values():
        assert arm64_cpu.describe(profile.cpu).cores == sum(c.cores for c in profile.cpu)
