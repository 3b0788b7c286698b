"""Phones on paper: reading them, choosing among them, and what the shipped ones say."""

from pathlib import Path

import pytest

from harness import profiles
from harness.errors import ConfigError
from harness.profiles import Profile

FOLDER = Path(__file__).parents[2] / "device_profiles"
SHIPPED = profiles.load_all([FOLDER])
OF_THE_PAPER = ["pixel4", "mate30pro", "reno3"]

MINIMAL = """
name = "{name}"
title = "{title}"
match = ["Model *"]
soc = "A chip"
cpu = []
android_api_level = 29
default_delegate = "nnapi"
source = "test"

[[accelerators]]
name = "npu"
delegate = "nnapi"
source = "test"

[[accelerators]]
name = "xnnpack"
delegate = "cpu"
source = "test"
"""


def write(folder: Path, name: str = "mine", *, text: str = MINIMAL, title: str = "Mine") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text.format(name=name, title=title))
    return folder


def test_a_profile_is_read_by_its_name(tmp_path: Path) -> None:
    loaded = profiles.load_all([write(tmp_path)])

    assert loaded["mine"].delegates == ("nnapi", "cpu")
    assert [a.name for a in loaded["mine"].accelerators_of("cpu")] == ["xnnpack"]


def test_a_later_folder_replaces_a_profile(tmp_path: Path) -> None:
    first = write(tmp_path / "a", title="First")
    second = write(tmp_path / "b", title="Second")

    assert profiles.load_all([first, second])["mine"].title == "Second"


def test_a_missing_folder_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="profile_dirs"):
        profiles.load_all([tmp_path / "nowhere"])


def test_an_unknown_key_lists_the_known_ones(tmp_path: Path) -> None:
    folder = write(tmp_path, text="colour = 'red'\n" + MINIMAL)

    with pytest.raises(ConfigError, match=r"unknown key colour; known keys: .*android_api_level"):
        profiles.load_all([folder])


def test_a_profile_named_otherwise_than_its_file_is_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "mine.toml").rename(folder / "yours.toml")

    with pytest.raises(ConfigError, match="name it 'yours'"):
        profiles.load_all([folder])


def test_a_default_delegate_without_accelerator_is_an_error(tmp_path: Path) -> None:
    wrong = MINIMAL.replace('default_delegate = "nnapi"', 'default_delegate = "gpu"')

    with pytest.raises(ConfigError, match="default delegate 'gpu'"):
        profiles.load_all([write(tmp_path, text=wrong)])


def test_a_name_alone_means_the_default_delegate() -> None:
    (target,) = profiles.select(SHIPPED, ["pixel4"])

    assert str(target) == "pixel4:nnapi"


def test_lists_and_repeats_are_one_selection() -> None:
    chosen = profiles.select(SHIPPED, ["pixel4:gpu, reno3", "pixel4:gpu"])

    assert [str(target) for target in chosen] == ["pixel4:gpu", "reno3:nnapi"]


def test_all_means_every_profile() -> None:
    chosen = profiles.select(SHIPPED, ["all"])

    assert {target.profile.name for target in chosen} == set(SHIPPED)


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        ("galaxy_*", {str(t) for t in profiles.select(SHIPPED, ["all"])
                      if t.profile.name.startswith("galaxy_")}),
        ("*:cpu", {f"{name}:cpu" for name, p in SHIPPED.items() if "cpu" in p.delegates}),
        ("all:cpu", {f"{name}:cpu" for name, p in SHIPPED.items() if "cpu" in p.delegates}),
        ("all:qnn", {f"{name}:qnn" for name, p in SHIPPED.items() if "qnn" in p.delegates}),
        ("pixel4:*", {"pixel4:nnapi", "pixel4:gpu", "pixel4:cpu"}),
    ],
)  # fmt: skip
def test_a_pattern_names_every_phone_that_has_the_delegate(wish: str, wanted: set[str]) -> None:
    assert {str(target) for target in profiles.select(SHIPPED, [wish])} == wanted


@pytest.mark.parametrize(
    ("wish", "meant"),
    [("galaxi_s24", "'galaxy_s24'"), ("Pixel4", "'pixel4'"), ("s24", "'galaxy_s24'"),
     ("pixel4:nnap", "'nnapi'"), ("all:cpus", "'cpu'")],
)  # fmt: skip
def test_an_unknown_name_says_which_is_close(wish: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean .*{meant}.*[?]$"):
        profiles.select(SHIPPED, [wish])


def test_a_pattern_that_fits_no_phone_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no device profile 'nokia_"):
        profiles.select(SHIPPED, ["nokia_*"])


@pytest.mark.parametrize(
    ("name", "message"),
    [("pixel5000", "no device profile 'pixel5000'; known: .*pixel4"),
     ("pixel4:tpu", "no delegate 'tpu'; known: nnapi, gpu, cpu")],
)  # fmt: skip
def test_an_unknown_name_lists_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        profiles.select(SHIPPED, [name])


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("pixel4", "Pixel 4"), ("mate30pro", "LIO-AL00"), ("reno3", "PDCM00"),
        ("pixel9", "Pixel 9"), ("pixel10", "Pixel 10"), ("galaxy_s24", "SM-S921U1"),
        ("galaxy_s24_exynos", "SM-S921B"), ("galaxy_s25", "SM-S931B"), ("find_x7", "PHZ110"),
        ("find_x8", "CPH2651"),
    ],
)  # fmt: skip
def test_a_phone_is_known_by_its_model(name: str, model: str) -> None:
    assert [p.name for p in SHIPPED.values() if p.matches(model)] == [name]


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_a_phone_of_the_paper_is_on_android_10_with_nnapi_gpu_and_cpu(name: str) -> None:
    profile = SHIPPED[name]

    assert (profile.android_api_level, profile.driver_feature_level) == (29, 29)
    assert profile.delegates == ("nnapi", "gpu", "cpu")
    assert "2004.12599" in profile.source
    assert profile.unknown


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_no_nnapi_accelerator_of_the_paper_takes_16_bit_or_transpose_conv(name: str) -> None:
    for accelerator in SHIPPED[name].accelerators_of("nnapi"):
        assert "int16" not in accelerator.dtypes
        assert "TRANSPOSE_CONV" in {refusal.op for refusal in accelerator.refusals}


@pytest.mark.parametrize("profile", SHIPPED.values(), ids=lambda profile: str(profile.name))
def test_every_figure_of_a_shipped_profile_has_its_source(profile: Profile) -> None:
    refusals = [refusal for a in profile.accelerators for refusal in a.refusals]

    sources = [
        profile.source,
        *(cluster.source for cluster in profile.cpu),
        *(accelerator.source for accelerator in profile.accelerators),
        *(refusal.source for refusal in refusals),
        *(constants.source for constants in profile.estimates),
    ]

    assert all(source.strip() for source in sources)


@pytest.mark.parametrize("profile", SHIPPED.values(), ids=lambda profile: str(profile.name))
def test_the_taskset_masks_of_a_shipped_profile_name_each_core_once(profile: Profile) -> None:
    masks = [(int(c.taskset_mask, 16), c.cores) for c in profile.cpu if c.taskset_mask]

    assert all(mask.bit_count() == cores for mask, cores in masks)
    assert sum(mask for mask, _ in masks).bit_count() == sum(cores for _, cores in masks)


def test_the_gpu_in_float32_is_had_where_it_is_named_and_by_no_pattern_of_others():
    named = profiles.select(SHIPPED, ["pixel8:gpu-fp32"])
    everything = profiles.select(SHIPPED, profiles.every_delegate(["all"]))

    assert [str(target) for target in named] == ["pixel8:gpu-fp32"]
    assert named[0].stack == "gpu"
    assert named[0].profile.accelerators_of("gpu-fp32") == SHIPPED["pixel8"].accelerators_of("gpu")
    assert "gpu-fp32" not in {target.delegate for target in everything}
    assert {t.delegate for t in profiles.select(SHIPPED, ["*:gpu-fp32"])} == {"gpu-fp32"}


def test_a_phone_without_a_gpu_delegate_has_none_in_float32_either(tmp_path: Path):
    mine = profiles.load_all([write(tmp_path)])

    with pytest.raises(ConfigError, match="has no delegate 'gpu-fp32'; known: nnapi, cpu"):
        profiles.select(mine, ["mine:gpu-fp32"])


def test_a_snapdragons_npu_is_reached_by_litert_2_too():
    (target,) = profiles.select(SHIPPED, ["galaxy_s24:npu"])

    assert target.stack == "qnn"
    assert target.profile.accelerators_of("npu")[0].soc_model == "SM8650"
