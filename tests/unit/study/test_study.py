"""Check the study on the subject of this repository, and on a folder where nothing is built."""

import csv
import io
from pathlib import Path

import pytest

from harness import profiles
from harness.errors import BlessedDataError
from harness.evidence import Evidence
from harness.study import claims, page, tables
from harness.study.facts import COMPRESSED, FULL_SIZE, PHONES, Study
from harness.study.tables import Table

GOLDEN = Path(__file__).parents[3] / "golden"
PROFILES = profiles.load_all([profiles.shipped_folder()])


@pytest.fixture
def study() -> Study:
    return Study(GOLDEN, PROFILES)


@pytest.fixture
def empty(tmp_path: Path) -> Study:
    return Study(tmp_path, PROFILES)


def test_quality_is_what_the_provenance_says(study):
    quality = study.quality(COMPRESSED, "int8_ptq")

    assert quality.frames >= 30
    assert quality.gain_db > 0.0
    assert quality.to_fp32_db is not None
    assert quality.gmacs == pytest.approx(5.43, abs=0.01)


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


def test_the_page_holds_every_table_and_its_csv_reads_back(study, tmp_path):
    written = page.write(study, tmp_path, command="harness study paper")

    assert {path.name for path in written} == {
        "paper.md", "architectures.csv", "op_grid.csv", "compression.csv", "resolution.csv",
    }  # fmt: skip
    text = (tmp_path / "paper.md").read_text()
    assert "`harness study paper`" in text
    for table in tables.draw(study):
        assert f"## {table.title}" in text
        rows = list(csv.reader(io.StringIO((tmp_path / f"{table.name}.csv").read_text())))
        assert rows == [list(table.header), *(list(row) for row in table.rows)]


def test_the_three_phones_of_the_paper_have_profiles():
    assert set(PHONES) <= set(PROFILES)
