"""Each kind of model that people export: from the file to verdicts, as a user goes."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import harness
from harness import goldens, subjects
from harness.errors import ConfigError
from harness.evidence import sha256_of
from harness.results import Record
from harness.roles import Channels, Layout, Role
from harness.stacks import qnn
from harness.verdict import Outcome
from tests import kinds, models, needs, tiny

pytestmark = pytest.mark.slow

EDGE_PX = 48
BURST = {
    "first.png": 0.0, "second.png": 8.0,
}  # fmt: skip


def photograph(seed: int, offset: float = 0.0) -> Image.Image:
    """Return flat patches of random colours, a little noisy."""
    random = np.random.default_rng(seed)
    patches = np.kron(random.integers(30, 220, (6, 6, 3)), np.ones((8, 8, 1)))
    noise = random.normal(0, 4, patches.shape)
    return Image.fromarray(np.clip(patches + noise + offset, 0, 255).astype(np.uint8))


def flat(folder: Path) -> None:
    """Write two photographs."""
    for name, seed in (("a", 1), ("b", 2)):
        photograph(seed).save(folder / f"{name}.png")


def bursts(folder: Path) -> None:
    """Write two bursts of two frames, with the truth."""
    for name, seed in (("a", 1), ("b", 2)):
        (folder / name).mkdir()
        for file, offset in BURST.items():
            photograph(seed, offset).save(folder / name / file)
        photograph(seed).save(folder / name / "merged.sharp.png")


def clip(folder: Path) -> None:
    """Write a clip of four frames that grow a little lighter."""
    (folder / "walk").mkdir()
    for number in range(4):
        photograph(1, 4.0 * number).save(folder / "walk" / f"{number:02d}.png")


KINDS: dict[str, tuple[Callable[..., bytes], Callable[[Path], None], tuple[str, ...]]] = {
    "burst": (kinds.burst, bursts, ()),
    "nchw": (kinds.nchw, flat, ()),
    "raw": (kinds.raw, flat, ()),
    "luma": (kinds.luma, flat, ()),
    "two_outputs": (kinds.two_outputs, flat, ()),
    "noise_map": (kinds.noise_map, flat, ("--input", "level=map,value=0.1")),
    "exposure": (kinds.exposure, flat, ("--input", "gain=scalar,value=1")),
    "classifier": (kinds.classifier, flat, ()),
    "video": (kinds.video, clip, ()),
}


def made(folder: Path, kind: str) -> Path:
    """Make a subject of a kind with `harness init`; return the folder of subjects."""
    build, write, arguments = KINDS[kind]
    (folder / "frames").mkdir()
    write(folder / "frames")
    paths = []
    for dtype in ("float32", "int8"):
        paths.append(folder / f"{kind}_{dtype}.tflite")
        paths[-1].write_bytes(build(dtype=dtype))
    golden = folder / "golden"
    code = tiny.command(
        "init", *paths, "--frames", folder / "frames", "--golden-dir", golden, "--name", kind,
        *arguments,
    )  # fmt: skip
    assert code == 0
    return golden


def fidelity(golden: Path, target: str) -> list[Record]:
    """Return the rulings on the pixels of every variant."""
    ruled = harness.judge(golden, target, jobs=1)
    return [one for one in ruled if one.verdict.gate == "fidelity"]


def exchange(golden: Path, kind: str, data: bytes) -> None:
    """Put another file in the place of the 8-bit variant, as if it had been blessed."""
    subject = subjects.load(golden / kind)
    variant = next(one for one in subject.variants if one.name != "fp32")
    variant.path.write_bytes(data)
    path = golden / kind / "subject.toml"
    path.write_text(path.read_text().replace(variant.sha256, sha256_of(data)))


def outcomes(records: list[Record]) -> set[Outcome]:
    """Return how records were ruled on, but for a missing truth."""
    return {
        one.verdict.outcome for one in records if not one.verdict.metric.endswith("quality_drop_db")
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_subject_of_each_kind_passes_on_the_cpu(kind: str, tmp_path: Path) -> None:
    records = fidelity(made(tmp_path, kind), "pixel4:cpu")

    assert outcomes(records) == {Outcome.PASS}
    assert {one.variant for one in records} == {"fp32", "int8_ptq"}


@pytest.mark.qualcomm
@pytest.mark.parametrize("kind", KINDS)
def test_a_subject_of_each_kind_passes_on_qualcomms_simulator(kind: str, tmp_path: Path) -> None:
    needs.installed(qnn.missing())

    assert outcomes(fidelity(made(tmp_path, kind), "galaxy_s24:qnn")) == {Outcome.PASS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_variant_of_each_kind_fails(kind: str, tmp_path: Path) -> None:
    golden = made(tmp_path, kind)
    exchange(golden, kind, kinds.scaled(KINDS[kind][0](dtype="int8"), 0.5))

    records = fidelity(golden, "pixel4:cpu")

    assert outcomes([one for one in records if one.variant == "fp32"]) == {Outcome.PASS}
    assert Outcome.FAIL in outcomes([one for one in records if one.variant != "fp32"])


def test_what_was_guessed_is_what_the_file_says(tmp_path: Path) -> None:
    specs = {
        kind: subjects.load(made(tmp_path / kind, kind) / kind)
        for kind in KINDS
        if not (tmp_path / kind).mkdir()
    }

    assert [one.role for one in specs["burst"].inputs] == [Role.IMAGE, Role.IMAGE]
    assert specs["nchw"].inputs[0].layout is specs["nchw"].outputs[0].layout is Layout.NCHW
    assert specs["raw"].inputs[0].channels is Channels.RAW
    assert specs["raw"].scale == 2
    assert specs["luma"].inputs[0].channels is specs["luma"].outputs[0].channels is Channels.LUMA
    assert [one.role for one in specs["two_outputs"].outputs] == [Role.IMAGE, Role.TENSOR]
    assert [one.role for one in specs["classifier"].outputs] == [Role.TENSOR]
    state = specs["video"].inputs[1]
    assert (state.role, state.of) == (Role.STATE, "next_state")


def test_a_clip_is_played_with_its_state_fed_back(tmp_path: Path) -> None:
    golden = made(tmp_path, "video")
    subject = subjects.load(golden / "video")
    one = goldens.load(subject, "walk")

    records = [one for one in fidelity(golden, "pixel4:cpu") if "drift_db" in one.verdict.metric]

    assert len(one.later) == 3
    assert not np.allclose(one.last[0], one.expected[0].fp32, atol=1e-3)
    assert {record.variant for record in records} == {"fp32", "int8_ptq"}
    assert all(record.verdict.outcome is Outcome.PASS for record in records)
    ours = next(record.verdict for record in records if record.variant == "int8_ptq")
    assert ours.observed is not None
    assert ours.observed != 0.0


def test_a_state_that_piles_up_errors_fails_by_its_drift_alone(tmp_path: Path) -> None:
    golden = made(tmp_path, "video")
    exchange(golden, "video", kinds.video(dtype="int8", kept=0.3))

    ruled = [one.verdict for one in fidelity(golden, "pixel4:cpu") if one.variant == "int8_ptq"]

    failed = {one.metric for one in ruled if one.outcome is Outcome.FAIL}
    assert failed == {"restored/drift_db"}


def test_the_inputs_of_a_burst_are_told_apart(tmp_path: Path) -> None:
    golden = made(tmp_path, "burst")
    frames = golden / "burst" / "frames" / "a"
    first, second = (frames / name for name in BURST)
    swapped = first.read_bytes(), second.read_bytes()
    second.write_bytes(swapped[0])
    first.write_bytes(swapped[1])

    records = fidelity(golden, "pixel4:cpu")

    of_a = [one.verdict for one in records if one.frame == "a"]
    assert {one.outcome for one in of_a} == {Outcome.INCONCLUSIVE}
    assert all("stale" in one.cause for one in of_a)


def test_a_model_whose_inputs_nobody_explains_is_refused_with_what_to_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat(tmp_path)
    path = tmp_path / "exposure.tflite"
    path.write_bytes(kinds.exposure())

    code = tiny.command("init", path, "--frames", tmp_path, "--golden-dir", tmp_path / "golden")

    said = capsys.readouterr().err
    assert code == 2
    assert str(path) in said
    assert "'gain'" in said
    assert "--input" in said
    assert not (tmp_path / "golden").exists()


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("scalar,value=1.0\n", 0), ("scalr\n", 2), ("", 2)])
def test_a_person_at_a_terminal_is_asked_what_no_file_says(
    typed: str,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flat(tmp_path)
    (tmp_path / "net.tflite").write_bytes(kinds.exposure())
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    golden = tmp_path / "golden"

    ended = tiny.command(
        "init", tmp_path / "net.tflite", "--frames", tmp_path, "--golden-dir", golden
    )

    said = capsys.readouterr()
    assert ended == code
    assert "input 'gain' float32 [1, 1, 1, 1] is a scalar, and nothing says what" in said.out
    assert golden.exists() is (code == 0)
    assert len(said.err.splitlines()) == (code == 2)


def test_every_size_keeps_what_is_no_image(tmp_path: Path) -> None:
    subject = subjects.load(made(tmp_path, "exposure") / "exposure")

    graph = subject.reference.model().at("64x48").graph

    assert [graph.tensors[i].shape for i in graph.inputs] == [(1, 48, 64, 3), (1, 1, 1, 1)]


def test_channels_first_are_resized_along_their_own_axes(tmp_path: Path) -> None:
    subject = subjects.load(made(tmp_path, "nchw") / "nchw")

    graph = subject.reference.model().at("64x48").graph

    assert graph.tensors[graph.inputs[0]].shape == (1, 3, 48, 64)
    assert graph.tensors[graph.outputs[0]].shape == (1, 3, 48, 64)


def test_a_model_that_leaves_its_size_open_is_tested_at_the_one_asked_for(tmp_path: Path) -> None:
    flat(tmp_path)
    (tmp_path / "any.tflite").write_bytes(models.restorer(size_px=1))
    golden = tmp_path / "golden"

    code = tiny.command(
        "init", tmp_path / "any.tflite", "--frames", tmp_path, "--golden-dir", golden,
        "--size", "48x32",
    )  # fmt: skip

    assert code == 0
    records = fidelity(golden, "pixel4:cpu")
    assert {one.resolution for one in records} == {"48x32"}
    assert outcomes(records) == {Outcome.PASS}


def test_an_output_of_all_zeros_is_called_so(tmp_path: Path) -> None:
    golden = made(tmp_path, "luma")
    exchange(golden, "luma", kinds.scaled(kinds.luma(dtype="int8"), 0.0))

    records = fidelity(golden, "pixel4:cpu")

    causes = {one.verdict.cause for one in records if one.variant != "fp32"}
    assert any("the output is all zeros" in cause for cause in causes)


def test_descriptions_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    subject = subjects.load(made(tmp_path, "video") / "video")
    fed = replace(subject.inputs[1], of="nothing")

    with pytest.raises(ConfigError, match="nothing"):
        subjects.check_described(replace(subject, inputs=(subject.inputs[0], fed)))


def test_the_examples_of_the_guide_are_these_models() -> None:
    folder = Path(__file__).parents[2] / "examples" / "kinds"

    assert {path.stem for path in folder.glob("*.tflite")} == set(kinds.EXAMPLES)
    for name, build in kinds.EXAMPLES.items():
        assert (folder / f"{name}.tflite").read_bytes() == build()


def tiled(
    folder: Path,
    data: bytes,
    overlap_px: int,
    *,
    write: Callable[[Path], None] = flat,
    arguments: Sequence[str] = (),
    tile: str = "24x24",
) -> Path:
    """Make a subject of photographs of 48x48 in tiles; return the folder of subjects."""
    (folder / "frames").mkdir(parents=True)
    write(folder / "frames")
    (folder / "whole.tflite").write_bytes(data)
    golden = folder / "golden"
    code = tiny.command(
        "init", folder / "whole.tflite", "--frames", folder / "frames", "--golden-dir", golden,
        *arguments,
    )  # fmt: skip
    assert code == 0
    path = golden / "whole" / "subject.toml"
    text = path.read_text().replace("# latency_ms = 50.0", "latency_ms = 1000.0")
    text = text.replace("[variants.limits]\n", "[variants.limits]\nseam_db = 3.0\n")
    path.write_text(f'{text}\n[tiles]\nresolution = "{tile}"\noverlap_px = {overlap_px}\n')
    return golden


def test_tiles_that_overlap_enough_leave_no_seams_and_others_fail_by_them(tmp_path: Path) -> None:
    seams = {}
    for overlap_px in (0, 4):
        golden = tiled(tmp_path / str(overlap_px), models.restorer(size_px=48), overlap_px)
        ruled = [one.verdict for one in fidelity(golden, "pixel4:cpu")]
        seams[overlap_px] = {one.outcome for one in ruled if one.metric == "seam_db"}

    assert seams == {0: {Outcome.FAIL}, 4: {Outcome.PASS}}


def test_the_latency_of_a_photograph_is_that_of_all_its_tiles(tmp_path: Path) -> None:
    golden = tiled(tmp_path, models.restorer(size_px=48), 0)
    subject = subjects.load(golden / "whole")

    ruled = list(harness.judge(golden, "pixel4:cpu", jobs=1))

    observed = next(one.verdict.observed for one in ruled if one.verdict.metric == "latency_ms")
    tile = subject.reference.model().at("24x24")
    assert observed == pytest.approx(4 * harness.connect("pixel4:cpu").time(tile).ms)


@pytest.mark.parametrize(
    ("kind", "size_px", "tile"),
    [
        ("burst", 48, "24x24"),
        ("luma", 48, "24x24"),
        ("nchw", 48, "24x24"),
        ("raw", 24, "12x12"),
        ("noise_map", 48, "24x24"),
        ("exposure", 48, "24x24"),
    ],
)
def test_photographs_of_each_kind_are_put_together_from_tiles(
    kind: str, size_px: int, tile: str, tmp_path: Path
) -> None:
    build, write, arguments = KINDS[kind]
    golden = tiled(tmp_path, build(size_px=size_px), 4, write=write, arguments=arguments, tile=tile)

    ruled = [one.verdict for one in fidelity(golden, "pixel4:cpu")]

    failed = [one for one in ruled if one.outcome is Outcome.FAIL]
    assert not failed
    assert {one.outcome for one in ruled if one.metric.endswith("seam_db")} == {Outcome.PASS}
    assert {one.outcome for one in ruled if one.metric.endswith("/psnr_db")} == {Outcome.PASS}


def test_an_output_that_is_no_image_cannot_be_put_together_from_tiles(tmp_path: Path) -> None:
    subject = subjects.load(made(tmp_path, "two_outputs") / "two_outputs")
    in_tiles = replace(subject, tiles=subjects.Tiling(resolution="24x24"))

    with pytest.raises(ConfigError, match=r"output 'mask' is a tensor"):
        subjects.check_described(in_tiles)


def test_the_growth_of_a_photograph_in_tiles_is_that_of_their_number(tmp_path: Path) -> None:
    golden = tiled(tmp_path, models.restorer(size_px=48), 0)
    tiny.edit(golden / "whole" / "subject.toml", '["24x24", "48x48"]', '["48x48", "96x96"]')

    ruled = list(harness.judge(golden, "pixel4:cpu", jobs=1))

    growth = next(one.verdict for one in ruled if one.verdict.metric == "scaling_exponent")
    assert growth.observed == pytest.approx(1.0)
