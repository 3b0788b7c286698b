"""Check that what is committed is what its provenance says."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

from harness import graph
from harness.training.checkpoint import load_weights
from harness.training.subject import design
from tests.keras_warnings import ARRAY_COPY

pytestmark = [pytest.mark.train, ARRAY_COPY]

REPOSITORY = Path(__file__).parents[3]
SUBJECTS = sorted(path.parent for path in REPOSITORY.glob("golden/*/provenance.json"))
EXAMPLE = REPOSITORY / "examples" / "non_portable"
INTEGER = ("int8_ptq", "int8_qat", "int16_ptq", "pruned70_int8")


def _variants(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "provenance.json").read_text())["variants"]


@pytest.mark.parametrize("folder", [*SUBJECTS, EXAMPLE], ids=lambda folder: folder.name)
def test_every_file_is_the_one_that_was_measured(folder):
    for name, entry in _variants(folder).items():
        file = (folder / f"{name}.tflite").read_bytes()
        assert hashlib.sha256(file).hexdigest() == entry["sha256"], name
        assert len(file) == entry["size_bytes"], name
        assert graph.parse(file, name=name).macs == entry["macs"], name
        assert entry["held_out"]["psnr_db"]["frames"] >= 30, name


@pytest.mark.parametrize("folder", SUBJECTS, ids=lambda folder: folder.name)
def test_every_integer_file_has_no_float_tensor(folder):
    for name in _variants(folder):
        if name in INTEGER:
            parsed = graph.load(folder / f"{name}.tflite")
            kinds = {tensor.dtype for tensor in parsed.tensors}
            assert kinds <= {"int8", "int16", "int32", "int64"}, name


@pytest.mark.parametrize("folder", SUBJECTS, ids=lambda folder: folder.name)
def test_the_weights_are_of_the_subjects_design(folder):
    model = design(folder.name)()
    before = [np.array(weight) for weight in model.get_weights()]

    load_weights(model, folder / "weights.npz")

    assert any(
        not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)
    )


def test_the_subject_beats_its_blurred_input_by_one_and_a_half_db():
    entry = _variants(REPOSITORY / "golden" / "deblur_unet")["fp32"]

    assert entry["held_out"]["gain_db"]["mean"] >= 1.5


@pytest.mark.parametrize(
    ("name", "share"), [("pruned90", 0.9), ("pruned70", 0.7), ("pruned50", 0.5), ("pruned30", 0.3)]
)
def test_a_pruned_network_has_the_macs_of_its_name_within_2_percent(name, share):
    variants = _variants(REPOSITORY / "golden" / "deblur_unet")

    assert variants[name]["macs"] == pytest.approx(share * variants["fp32"]["macs"], rel=0.02)


def test_no_provenance_holds_a_path_of_a_machine():
    for folder in [*SUBJECTS, EXAMPLE]:
        text = (folder / "provenance.json").read_text()
        assert str(Path.home()) not in text
        assert str(REPOSITORY) not in text
