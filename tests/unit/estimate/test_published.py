"""The published rows in the package are those that the shipped constants come from."""

from dataclasses import replace

import pytest

from harness import profiles
from harness.errors import ConfigError
from harness.estimate import figures, model, published
from harness.estimate.reference.catalogue import REFERENCES
from tests.tiny import command

SHIPPED = profiles.load_all([profiles.shipped_folder()])
NAMED = [
    pytest.param(entry, id=f"{profile.name}-{entry.delegate}-{entry.precision}")
    for profile in SHIPPED.values()
    for entry in profile.estimates
]


@pytest.mark.parametrize("entry", NAMED)
def test_every_shipped_constant_names_rows_that_are_published(
    entry: profiles.EstimateConstants,
) -> None:
    chosen = published.choose(entry.rows_of, delegate=entry.delegate, precision=entry.precision)

    assert entry.rows in (0, len(chosen))


@pytest.mark.parametrize("entry", [e for e in SHIPPED["pixel4"].estimates if e.delegate != "qnn"])
def test_the_rooflines_of_pixel_4_are_the_fitted_ones(entry: profiles.EstimateConstants) -> None:
    chosen = published.choose(entry.rows_of, delegate=entry.delegate, precision=entry.precision)

    fitted = published.as_entry(published.fit(chosen).constants, entry)

    assert published.differences(entry, fitted) == ()


@pytest.mark.parametrize(("delegate", "measured_ms"), [("cpu", 34.5), ("nnapi", 99.0)])
def test_many_small_ops_are_inside_the_interval_on_pixel_4(
    delegate: str, measured_ms: float
) -> None:
    graph = REFERENCES["nasnet_mobile"].graph("float")
    target = profiles.Target(profile=SHIPPED["pixel4"], delegate=delegate)

    found = model.estimate_graph(graph, figures.whole(graph, delegate), target)

    assert found.low_ms < measured_ms < found.high_ms


def test_a_changed_constant_is_named_with_both_values() -> None:
    entry = SHIPPED["pixel4"].estimates[0]
    changed = replace(entry, values={**entry.values, "floor_ms": 1.0})

    (line,) = published.differences(changed, entry)

    assert line.startswith("floor_ms: shipped 1.0, fitted 0.")


def entry_of(phone: str, precision: str = "float") -> profiles.EstimateConstants:
    return next(e for e in SHIPPED[phone].estimates if e.precision == precision)


@pytest.mark.parametrize(
    ("phone", "ratio", "rows"),
    [
        ("galaxy_s24", 1.2, 27),  # its own rows
        ("oneplus15", published.OTHER_DEVICE_RATIO, 22),  # a board with its chip
        ("galaxy_s21", published.OTHER_CHIP_RATIO, 0),  # another chip
    ],
)
def test_borrowed_constants_have_an_interval_that_covers_the_difference(
    phone: str, ratio: float, rows: int
) -> None:
    shipped = entry_of(phone)
    fitted = replace(shipped, interval_ratio=1.2, rows=len(rows_of(shipped)))

    entry = published.as_entry(fitted, shipped)

    assert (entry.interval_ratio, entry.rows) == (ratio, rows)


def rows_of(entry: profiles.EstimateConstants) -> tuple[object, ...]:
    return published.choose(entry.rows_of, delegate=entry.delegate, precision=entry.precision)


@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("phone", ["galaxy_s21", "galaxy_s22", "nord_ce4", "oneplus15"])
def test_shipped_borrowed_constants_claim_no_less(phone: str, precision: str) -> None:
    entry = entry_of(phone, precision)

    floor = published.OTHER_DEVICE_RATIO if entry.rows else published.OTHER_CHIP_RATIO
    assert entry.interval_ratio >= floor


def test_a_device_without_rows_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="devices: Pixel 4"):
        published.choose("Fairphone", delegate="qnn", precision="float")


def test_the_command_prints_the_entries_and_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    code = command("calibrate", "--published=pixel4")

    printed = capsys.readouterr()
    assert code == 0
    assert printed.out.count("# pixel4: as the profile has them") == 5
    assert "| Pixel 4 (cpu) | float | plain roofline | 10 |" in printed.err


@pytest.mark.parametrize("name", ["reno3", "nokia"])
def test_a_profile_without_published_constants_is_an_error(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("calibrate", f"--published={name}") == 2
    assert name in capsys.readouterr().err
