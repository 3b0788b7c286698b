"""Tell what a change made easier or harder to pass."""

import dataclasses
import json
from pathlib import Path

import pytest

from harness import profiles, strictness
from harness.profiles import Profile, Refusal
from harness.strictness import Strictness

TOML = """
name = "net"
task = "deblur"
source = "a test"

[[variants]]
name = "fp32"
precision = "fp32"
path = "fp32.tflite"
sha256 = "a"
[variants.limits]
psnr_db = 42.0
relative_l2 = 0.01
own.edges.at_most = 2.0
own.sharp.at_least = 2.0
source = "x"
[[variants.limits_on]]
delegates = ["gpu"]
[variants.limits_on.limits]
psnr_db = 40.0
relative_l2 = 0.01
source = "x"

[[ships]]
devices = ["pixel4"]
delegates = ["nnapi", "gpu"]
variants = ["*"]
because = "x"

[[budgets]]
devices = ["pixel*"]
delegates = ["*"]
variants = ["*"]
resolution = "64x64"
latency_ms = 20.0
partitions_max = 2
source = "x"

[scaling]
resolutions = ["64x64", "128x128"]
exponent = 1.2
cliff_ratio = 2.0
source = "x"
"""
TARGETS = [("pixel4", "nnapi"), ("pixel4", "gpu"), ("reno3", "nnapi")]
BASELINE = {
    "variant": "fp32", "file_sha256": "a", "device": "pixel4", "delegate": "nnapi",
    "resolution": "64x64", "evidence": "MODEL", "metric": "latency_ms", "value": 10.0,
    "spread": 1.0, "because": "measured",
}  # fmt: skip
FRAME = {"name": "cat", "frame_sha256": "1", "target_sha256": "2"}


def write(folder: Path, text=TOML, *, baseline=BASELINE, frame=FRAME, reference=b"1") -> Path:
    net = folder / "net"
    (net / "references").mkdir(parents=True, exist_ok=True)
    (net / "subject.toml").write_text(text, encoding="utf-8")
    kept = {"baselines": [baseline] if baseline else []}
    (net / "baselines.json").write_text(json.dumps(kept), encoding="utf-8")
    frames = {"frames": [frame] if frame else []}
    (net / "references" / "frames.json").write_text(json.dumps(frames), encoding="utf-8")
    (net / "references" / "cat.npz").write_bytes(reference)
    return folder


def told(tmp_path: Path, text=TOML, *, effect=Strictness.EASIER, **parts) -> list[str]:
    was, now = write(tmp_path / "was"), write(tmp_path / "now", text, **parts)
    return [one.what for one in strictness.between(was, now, TARGETS) if one.effect is effect]


def test_a_subject_as_it_was_has_nothing_to_tell(tmp_path: Path) -> None:
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("psnr_db = 42.0", "psnr_db = 30.0",
         "fp32: psnr_db 42 -> 30 in subject.toml on pixel4:nnapi, reno3:nnapi"),
        ("psnr_db = 40.0", "psnr_db = 39.0",
         "fp32: psnr_db 40 -> 39 in subject.toml on pixel4:gpu"),
        ("psnr_db = 42.0\n", "",
         "fp32: psnr_db 42 -> no limit in subject.toml on pixel4:nnapi, reno3:nnapi"),
        ("relative_l2 = 0.01\nown", "relative_l2 = 0.1\nown",
         "fp32: relative_l2 0.01 -> 0.1 in subject.toml on pixel4:nnapi, reno3:nnapi"),
        ("latency_ms = 20.0", "latency_ms = 25.0",
         "fp32 at 64x64: latency_ms 20 -> 25 in subject.toml on pixel4:nnapi, pixel4:gpu"),
        ("latency_ms = 20.0\n", "",
         "fp32 at 64x64: latency_ms 20 -> no limit in subject.toml on pixel4:nnapi, pixel4:gpu"),
        ("partitions_max = 2", "partitions_max = 3",
         "fp32 at 64x64: partitions_max 2 -> 3 in subject.toml on pixel4:nnapi, pixel4:gpu"),
        ('resolution = "64x64"', 'resolution = "32x32"',
         "fp32 at 64x64: the budget is gone from subject.toml on pixel4:nnapi, pixel4:gpu"),
        ('"nnapi", "gpu"]', '"nnapi"]',
         "fp32 no longer ships: no [[ships]] entry of its subject.toml names this device and "
         "delegate on pixel4:gpu"),
        ("own.edges.at_most = 2.0", "own.edges.at_most = 3.0",
         "fp32: own.edges 2 -> 3 in subject.toml on pixel4:nnapi, reno3:nnapi"),
        ("own.sharp.at_least = 2.0", "",
         "fp32: own.sharp 2 -> no limit in subject.toml on pixel4:nnapi, reno3:nnapi"),
        ('name = "fp32"', 'name = "other"', "variant fp32 is gone"),
        ("exponent = 1.2", "exponent = 1.5", "scaling exponent 1.2 -> 1.5 in subject.toml"),
        (', "128x128"', "", "scaling no longer asks for 128x128"),
        ("[scaling]", "[change]\nfile_size_share = 0.5\n\n[scaling]",
         "[change] file_size_share 0.01 -> 0.5 in subject.toml"),
    ],
)  # fmt: skip
def test_what_allows_more_than_before_is_told(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert TOML.count(old) >= 1
    now = TOML.replace(old, new, 1)
    assert told(tmp_path, now) == [says]
    assert told(tmp_path, now, effect=Strictness.HARDER) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("psnr_db = 42.0", "psnr_db = 45.0",
         "fp32: psnr_db 42 -> 45 in subject.toml on pixel4:nnapi, reno3:nnapi"),
        ("latency_ms = 20.0", "latency_ms = 15.0",
         "fp32 at 64x64: latency_ms 20 -> 15 in subject.toml on pixel4:nnapi, pixel4:gpu"),
        ("latency_ms = 20.0", "latency_ms = 20.0\np95_ms = 30.0",
         "fp32 at 64x64: p95_ms no limit -> 30 in subject.toml on pixel4:nnapi, pixel4:gpu"),
        ("own.edges.at_most = 2.0", "own.edges.at_most = 1.0",
         "fp32: own.edges 2 -> 1 in subject.toml on pixel4:nnapi, reno3:nnapi"),
        ("own.edges.at_most = 2.0", "own.edges.at_most = 2.0\nown.more.at_most = 2.0",
         "fp32: own.more no limit -> 2 in subject.toml on pixel4:nnapi, reno3:nnapi"),
        ("cliff_ratio = 2.0", "cliff_ratio = 1.5", "scaling cliff_ratio 2 -> 1.5 in subject.toml"),
        ("[scaling]", "[change]\ncost_share = 0.0\n\n[scaling]",
         "[change] cost_share 0.02 -> 0 in subject.toml"),
    ],
)  # fmt: skip
def test_what_allows_less_is_told_apart(tmp_path: Path, old: str, new: str, says: str) -> None:
    now = TOML.replace(old, new, 1)

    assert told(tmp_path, now, effect=Strictness.HARDER) == [says]
    assert told(tmp_path, now) == []


def test_what_is_judged_otherwise_is_neither(tmp_path: Path) -> None:
    now = TOML.replace('task = "deblur"', 'task = "deblur"\noutput_range = [0.0, 255.0]')

    says = told(tmp_path, now, effect=Strictness.OTHER)

    assert says == ["output_range [0.0, 1.0] -> [0.0, 255.0] in subject.toml"]
    assert told(tmp_path, now) == []


OUTPUTS = """
[[inputs]]
name = "image"

[[outputs]]
name = "sharp"

[[outputs]]
name = "mask"
role = "tensor"

[[ships]]"""
OWN = """own.sharp.at_least = 2.0
source = "x"
[[variants.limits.outputs]]
name = "sharp"
psnr_db = 50.0
[[variants.limits.outputs]]
name = "mask"
iou = 0.9
relative_l2 = 0.02
"""
SEVERAL = TOML.replace('own.sharp.at_least = 2.0\nsource = "x"\n', f"{OWN}").replace(
    "\n[[ships]]", OUTPUTS, 1
)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("psnr_db = 50.0", "psnr_db = 45.0", "fp32: sharp/psnr_db 50 -> 45"),
        ("psnr_db = 50.0\n", "", "fp32: sharp/psnr_db 50 -> 42"),
        ("psnr_db = 50.0", "psnr_db = 50.0\nrelative_l2 = 0.5", "sharp/relative_l2 0.01 -> 0.5"),
        ("iou = 0.9\n", "", "fp32: mask/iou 0.9 -> no limit"),
        ("relative_l2 = 0.02", "relative_l2 = 0.2", "fp32: mask/relative_l2 0.02 -> 0.2"),
        ('name = "sharp"\n\n', 'name = "sharp"\nrange = [0.0, 9.0]\n\n',
         "output sharp: range [0.0, 1.0] -> [0.0, 9.0]"),
        ('role = "tensor"', 'role = "state"', "output mask is judged no more"),
        ('name = "sharp"\n\n', 'name = "sharp"\nrole = "tensor"\n\n',
         "output sharp: role image -> tensor"),
    ],
)  # fmt: skip
def test_what_allows_more_of_one_output_is_told(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert SEVERAL.count(old) >= 1
    was = write(tmp_path / "was", SEVERAL)
    now = write(tmp_path / "now", SEVERAL.replace(old, new, 1))

    (found,) = strictness.between(was, now, [("pixel4", "nnapi")])

    assert says in found.what
    assert found.effect is (
        Strictness.OTHER if says.startswith("output sharp: ") else Strictness.EASIER
    )


def test_an_output_that_became_stricter_is_told_apart(tmp_path: Path) -> None:
    was = write(tmp_path / "was", SEVERAL)
    now = write(tmp_path / "now", SEVERAL.replace("iou = 0.9", "iou = 0.95"))

    (found,) = strictness.between(was, now, [("pixel4", "nnapi")])

    assert (found.effect, "mask/iou 0.9 -> 0.95" in found.what) == (Strictness.HARDER, True)


def test_a_budget_that_shadows_a_stricter_one_is_told(tmp_path: Path) -> None:
    lax = TOML[TOML.index("[[budgets]]") : TOML.index("[scaling]")]
    lax = lax.replace("pixel*", "pixel4").replace("20.0", "90.0")

    says = told(tmp_path, TOML.replace("[[budgets]]", f"{lax}[[budgets]]", 1))

    assert says == [
        "fp32 at 64x64: latency_ms 20 -> 90 in subject.toml on pixel4:nnapi, pixel4:gpu"
    ]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"baseline": BASELINE | {"value": 12.0, "because": "slower"}},
         "latency_ms 10 -> 12 because 'slower'"),
        ({"baseline": BASELINE | {"spread": 2.0}}, "latency_ms: spread 1 -> 2"),
        ({"baseline": None}, "latency_ms [MODEL] is gone"),
        ({"frame": None}, "golden cat is gone"),
    ],
)  # fmt: skip
def test_blessed_data_that_became_laxer_is_told(tmp_path: Path, parts, says: str) -> None:
    (line,) = told(tmp_path, **parts)

    assert line.endswith(says)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"frame": FRAME | {"frame_sha256": "9"}}, "golden cat: another frame"),
        ({"frame": FRAME | {"target_sha256": "9"}}, "golden cat: another sharp target"),
        ({"reference": b"2"}, "golden cat: another FP32 output"),
    ],
)  # fmt: skip
def test_goldens_that_became_others_are_told_apart(tmp_path: Path, parts, says: str) -> None:
    (line,) = told(tmp_path, effect=Strictness.OTHER, **parts)

    assert line.endswith(says)
    assert told(tmp_path, **parts) == []


def test_a_better_baseline_is_harder_to_keep(tmp_path: Path) -> None:
    better = BASELINE | {"value": 9.0}

    (line,) = told(tmp_path, effect=Strictness.HARDER, baseline=better)

    assert "latency_ms 10 -> 9" in line
    assert told(tmp_path, baseline=better) == []


@pytest.mark.parametrize(
    ("metric", "value", "effect"),
    [
        ("sharp", 12.0, Strictness.HARDER),
        ("sharp", 8.0, Strictness.EASIER),
        ("edges", 12.0, Strictness.EASIER),
        ("edges", 8.0, Strictness.HARDER),
    ],
)
def test_the_baseline_of_a_measure_of_ones_own_is_better_where_its_limit_says(
    tmp_path: Path, metric: str, value: float, effect: Strictness
) -> None:
    was = write(tmp_path / "was", baseline=BASELINE | {"metric": metric})
    now = write(tmp_path / "now", baseline=BASELINE | {"metric": metric, "value": value})

    (found,) = strictness.between(was, now, TARGETS)

    assert found.effect is effect


PIXEL4 = profiles.load_all([profiles.shipped_folder()])["pixel4"]
REFUSAL = Refusal(op="PRELU", reason="the driver says no", source="a test")


def _with(profile: Profile, *, refusals: tuple[Refusal, ...] = (), **parts) -> Profile:
    unit, *rest = profile.accelerators
    units = (dataclasses.replace(unit, refusals=(*unit.refusals, *refusals)), *rest)
    return dataclasses.replace(profile, accelerators=units, **parts)


@pytest.mark.parametrize(
    ("was", "now", "effect", "says"),
    [
        (_with(PIXEL4), _with(PIXEL4, refusals=(REFUSAL,)), Strictness.HARDER, "now refuses PRELU"),
        (_with(PIXEL4, refusals=(REFUSAL,)), _with(PIXEL4), Strictness.EASIER,
         "no longer refuses PRELU"),
        (_with(PIXEL4, driver_feature_level=28), _with(PIXEL4, driver_feature_level=29),
         Strictness.EASIER, "driver_feature_level 28 -> 29, by which its rules take ops"),
        (PIXEL4, dataclasses.replace(PIXEL4, ram_mib=1), Strictness.OTHER, "its ram_mib changed"),
        (PIXEL4, dataclasses.replace(PIXEL4, accelerators=PIXEL4.accelerators[:1]),
         Strictness.EASIER, "has no "),
    ],
)  # fmt: skip
def test_a_profile_that_takes_more_is_told_apart_from_one_that_takes_less(
    was: Profile, now: Profile, effect: Strictness, says: str
) -> None:
    told = [what for found, what in strictness.of_profile(was, now) if found is effect]

    assert any(says in what for what in told)
    if effect is not Strictness.OTHER:
        assert {found for found, _ in strictness.of_profile(was, now)} <= {effect, Strictness.OTHER}


def test_what_a_profile_says_in_other_words_is_not_told() -> None:
    now = dataclasses.replace(PIXEL4, title="another", source="another", unknown=())

    assert list(strictness.of_profile(PIXEL4, now)) == []


def test_a_subject_that_is_gone_or_was_of_another_format_is_told(tmp_path: Path) -> None:
    was = write(tmp_path / "was", TOML.replace("task", "an_older_key"))
    (tmp_path / "now").mkdir()

    assert [str(one) for one in strictness.between(was, tmp_path / "now", TARGETS)] == [
        "net: the whole subject is gone"
    ]
    (line,) = strictness.between(was, write(tmp_path / "now"), TARGETS)
    assert "cannot be compared" in line.what
    assert line.effect is Strictness.OTHER
