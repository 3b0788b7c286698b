"""Check the study on the subject of this repository, and on a folder where nothing is built."""

import csv
import io
import json
from pathlib import Path

import pytest

from harness import profiles
from harness.errors import BlessedDataError
from harness.evidence import Evidence
from harness.study import claims, held_out, page, tables
from harness.study.facts import (
    ARCHITECTURES,
    COMPRESSED,
    FULL_SIZE,
    OP_GRID,
    PHONES,
    Study,
)
from harness.study.tables import Table
from tests import needs

GOLDEN = Path(__file__).parents[3] / "golden"
PROFILES = profiles.load_all([profiles.shipped_folder()])


@pytest.fixture
def study() -> Study:
    """Return the study on the paper's phones, which need no vendor's software."""
    return Study(GOLDEN, {name: PROFILES[name] for name in PHONES})


@pytest.fixture
def empty(tmp_path: Path) -> Study:
    return Study(tmp_path, PROFILES)


def test_quality_rests_on_at_least_40_photographs(study):
    quality = study.quality(COMPRESSED, "int8_ptq")

    assert quality.drop.photographs >= 40
    assert quality.drop.frames > quality.drop.photographs
    assert quality.gain.above_zero
    assert quality.to_fp32_db is not None
    assert quality.gmacs == pytest.approx(5.43, abs=0.01)


def test_a_file_that_was_built_again_since_it_was_measured_is_refused(tmp_path):
    folder = tmp_path / COMPRESSED
    folder.mkdir()
    record = (GOLDEN / COMPRESSED / held_out.RECORD).read_text()
    provenance = json.loads((GOLDEN / COMPRESSED / "provenance.json").read_text())
    provenance["variants"]["fp16"]["sha256"] = "0" * 64
    (folder / held_out.RECORD).write_text(record)
    (folder / "provenance.json").write_text(json.dumps(provenance))

    with pytest.raises(BlessedDataError, match=r"fp16 was built again .* `harness study measure"):
        Study(tmp_path, PROFILES).quality(COMPRESSED, "fp16")


def test_every_record_is_of_the_committed_files(study):
    for subject in (COMPRESSED, *ARCHITECTURES, *OP_GRID):
        record = study.held_out(subject)
        assert {held_out.PARENT, "int8_ptq"} <= {one.name for one in record.files}
        for one in record.files:
            study.quality(subject, one.name)


def _written(folder: Path, name: str, trainings: dict[str, float], *, file: str = "a") -> None:
    """Write records of a design on eight photographs, one mean PSNR a training."""
    (folder / name).mkdir(exist_ok=True)
    photographs = tuple(f"p{i}" for i in range(8))

    def record(chosen: dict[str, float]) -> held_out.HeldOut:
        files = [
            held_out.FileQuality(
                name=training,
                sha256=file if training == "fp32" else training,
                psnr_db=tuple(mean + i for i in range(8)),
                to_fp32_db=(50.0,) * 8,
            )
            for training, mean in chosen.items()
        ]
        return held_out.HeldOut(
            command="a test",
            runtime={},
            pixels_sha256="pixels",
            photographs=photographs,
            blurred_db=(20.0,) * 8,
            files=tuple(files),
        )

    facts = {"variants": {"fp32": {"sha256": file, "macs": 1, "size_bytes": 1}}}
    (folder / name / "provenance.json").write_text(json.dumps(facts))
    held_out.save(record({"fp32": trainings["fp32"]}), folder / name / held_out.RECORD)
    if len(trainings) > 1:
        held_out.save(record(trainings), folder / name / held_out.SEEDS_RECORD)


UNET, *RIVALS = ARCHITECTURES
SEEDS = {"fp32": 25.00, "seed2": 25.02, "seed3": 24.98}


@pytest.mark.parametrize(
    ("rival_db", "ruling"), [(24.0, True), (25.01, None), (26.0, False)],
)  # fmt: skip
def test_which_design_is_best_is_ruled_over_frames_and_seeds(tmp_path, rival_db, ruling):
    _written(tmp_path, UNET, SEEDS)
    for rival in RIVALS:
        _written(tmp_path, rival, {"fp32": rival_db})
    study = Study(tmp_path, PROFILES)

    claim = next(claim for claim in claims.check(study) if claim.claimed.startswith("UNet has"))

    assert claim.agrees is ruling
    assert f"{UNET} 3, deblur_fpn 1" in claim.found
    assert "by 0.020 dB" in claim.found


def test_one_training_each_never_settles_which_design_is_best(tmp_path):
    for name in ARCHITECTURES:
        _written(tmp_path, name, {"fp32": 24.0 if name in RIVALS else 26.0})

    claim = claims.check(Study(tmp_path, PROFILES))[0]

    assert claim.agrees is None
    assert "two seeds" in claim.found


def test_seeds_of_a_network_that_was_built_again_are_refused(tmp_path):
    _written(tmp_path, UNET, SEEDS)
    _written(tmp_path, UNET, {"fp32": 25.0}, file="b")

    with pytest.raises(BlessedDataError, match="built or measured again since its seeds were"):
        Study(tmp_path, PROFILES).trainings(UNET)


@pytest.mark.parametrize(
    ("answers", "ruling"),
    [
        ((True, True), True), ((True, None), None), ((None, False), False), ((True, False), False),
    ],
)  # fmt: skip
def test_a_claim_of_several_comparisons_needs_all_and_falls_with_one(answers, ruling):
    assert claims.all_of(answers) is ruling


def test_a_variant_that_was_not_built_is_an_error_that_says_what_to_do(study):
    with pytest.raises(BlessedDataError, match=r"deblur_unet\.int4 was not built; run `harness"):
        study.quality(COMPRESSED, "int4")


def test_placement_names_the_kinds_that_fall_back(study):
    found = study.on_phone("mate30pro", COMPRESSED, "int8_ptq", FULL_SIZE)

    assert found.kinds == ("RESIZE_BILINEAR",)
    assert found.placed_by is Evidence.RULES


def test_a_phone_without_public_figures_gets_ratios_only(study):
    by_size = next(table for table in tables.draw(study) if table.name == "resolution")

    last = dict(zip(by_size.header, by_size.rows[4], strict=True))
    assert last["size"] == "1280x720"
    assert last["reno3 ms"] == "x1.00"
    assert "to" in last["pixel4 ms"]


def test_every_row_has_a_cell_for_every_column(study):
    for table in tables.draw(study):
        assert {len(row) for row in table.rows} <= {len(table.header)}, table.name


def test_where_nothing_is_built_every_quality_row_says_so(empty, monkeypatch):
    nothing = Table(name="resolution", title="", header=(), rows=())
    monkeypatch.setattr(tables, "_resolution_table", lambda study: nothing)

    for table in tables.draw(empty)[:3]:
        assert all(row[1] == "not built" for row in table.rows)


def test_a_claim_without_its_subjects_stays_open(empty):
    found = {claim.claimed: claim for claim in claims.check(empty)}

    open_claim = found["8-bit QAT loses less than 8-bit PTQ"]
    assert open_claim.agrees is None
    assert "was not built" in open_claim.found


def test_an_estimate_never_settles_a_claim_about_latency(study):
    for claim in claims.check(study):
        if "MODEL" in claim.evidence:
            assert claim.agrees is None, claim.claimed


@pytest.mark.study
def test_the_page_holds_every_table_and_its_csv_reads_back(study, tmp_path):
    needs.package("matplotlib")
    written = page.write(study, tmp_path, command="harness study paper")

    assert {path.name for path in written} == {
        "paper.md", "architectures.csv", "op_grid.csv", "compression.csv", "resolution.csv",
        "differences.csv", "quantization.csv", "pruning.csv", "plane.csv", "plane.svg",
    }  # fmt: skip
    text = (tmp_path / "paper.md").read_text()
    assert "`harness study paper`" in text
    for table in tables.draw(study):
        assert f"## {table.title}" in text
        rows = list(csv.reader(io.StringIO((tmp_path / f"{table.name}.csv").read_text())))
        assert rows == [list(table.header), *(list(row) for row in table.rows)]


def test_the_three_phones_of_the_paper_have_profiles():
    assert set(PHONES) <= set(PROFILES)
