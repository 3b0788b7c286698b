"""The published rows in the package are those that the shipped constants come from."""

from dataclasses import replace

import pytest

from harness import profiles
from harness.errors import ConfigError
from harness.estimate import published
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


def test_a_changed_constant_is_named_with_both_values() -> None:
    entry = SHIPPED["pixel4"].estimates[0]
    changed = replace(entry, values={**entry.values, "floor_ms": 1.0})

    (line,) = published.differences(changed, entry)

    assert line.startswith("floor_ms: shipped 1.0, fitted 0.")


def test_a_stand_in_keeps_its_own_interval_and_no_rows() -> None:
    stand_in = next(e for e in SHIPPED["galaxy_s21"].estimates if e.precision == "float")
    fitted = next(e for e in SHIPPED["galaxy_s22"].estimates if e.precision == "float")

    assert published.differences(stand_in, published.as_entry(fitted, stand_in)) == ()


def test_a_device_without_rows_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="devices: Pixel 4"):
        published.choose("Fairphone", delegate="qnn", precision="float")


def test_the_command_prints_the_entries_and_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    code = command("calibrate", "--published=pixel4")

    printed = capsys.readouterr()
    assert code == 0
    assert printed.out.count("# pixel4: as the profile has them") == 5
    assert "| Pixel 4 (cpu) | float | plain roofline | 7 |" in printed.err


@pytest.mark.parametrize("name", ["reno3", "nokia"])
def test_a_profile_without_published_constants_is_an_error(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("calibrate", f"--published={name}") == 2
    assert name in capsys.readouterr().err
