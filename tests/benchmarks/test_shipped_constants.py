"""The constants of the shipped Snapdragon profiles are those that the published rows give."""

from typing import Any

import pytest

from harness import profiles
from harness.estimate import published

pytest.importorskip("onnxruntime_qnn")
pytest.importorskip("onnx")

pytestmark = pytest.mark.qualcomm

ENTRIES = {
    f"{profile.name}-{entry.precision}": entry
    for profile in profiles.load_all([profiles.shipped_folder()]).values()
    for entry in profile.estimates
    if entry.delegate == "qnn"
}


@pytest.mark.parametrize("name", ENTRIES)
def test_shipped_constants_are_the_fitted_ones(benchmark: Any, name: str) -> None:
    """To the digit; the first asks the vendor's estimator about 45 networks: minutes."""
    entry = ENTRIES[name]
    chosen = published.choose(entry.rows_of, delegate=entry.delegate, precision=entry.precision)

    found = benchmark.pedantic(published.fit, args=(chosen,), rounds=1)

    assert published.differences(entry, published.as_entry(found.constants, entry)) == ()
