"""Tests of `--subject`."""

import pytest

from tests import rulings, tiny

_TEST = """
def test_it(variant, subject):
    assert variant.name in [v.name for v in subject.variants]
"""


def test_a_pattern_chooses_subjects(project: pytest.Pytester) -> None:
    tiny.subject(project.path / "golden", project.path / "exports", name="other")
    path = project.makepyfile(_TEST)

    result = project.runpytest("--device=pixel4", "--subject=oth*", "-v", path)

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*[[]pixel4:nnapi-other.int8_ptq[]] PASSED*"])


def test_a_variant_may_be_chosen(project: pytest.Pytester) -> None:
    path = project.makepyfile(_TEST)

    result = project.runpytest("--device=pixel4", "--subject=unet.int8*", "-v", path)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*[[]pixel4:nnapi-unet.int8_ptq[]] PASSED*"])


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        ("nonet", "*known: unet*"),
        ("unet.int4", "*known: *int8_ptq*"),
        ("unte", "*known: unet; did you mean 'unet'[?]"),
        ("unet.int8_ptg", "*known: *; did you mean 'int8_ptq'[?]"),
    ],
)
def test_a_pattern_that_fits_nothing_is_a_usage_error_that_names_what_there_is(
    project: pytest.Pytester, pattern: str, known: str
) -> None:
    result = project.runpytest("--device=pixel4", f"--subject={pattern}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([known])


class TestOfVariantsThatDoNotShip:
    @pytest.fixture
    def withholding(self, project: pytest.Pytester) -> pytest.Pytester:
        """Return a project whose int8 variant does not ship to pixel4."""
        toml = project.path / "golden" / tiny.NAME / "subject.toml"
        text = toml.read_text(encoding="utf-8") + (
            '\n[[withheld]]\ndevices = ["pixel4"]\ndelegates = ["nnapi"]\n'
            'variants = ["int8_ptq"]\nbecause = "its driver is broken"\n'
        )
        toml.write_text(text, encoding="utf-8")
        return project

    def test_are_left_out_and_named_in_the_summary_with_the_reason(
        self, withholding: pytest.Pytester
    ) -> None:
        result = withholding.runpytest("--device=pixel4")

        assert result.ret == 0
        rulings.assert_green(withholding.path, variants=1)
        text = " ".join(result.stdout.str().split())
        assert "Not shipped to pixel4:nnapi: unet.int8_ptq - its driver is broken" in text

    def test_are_left_out_where_only_a_pattern_fits_them(
        self, withholding: pytest.Pytester
    ) -> None:
        path = withholding.makepyfile(_TEST)

        result = withholding.runpytest("--device=pixel4", "--subject=unet.*", path)

        result.assert_outcomes(passed=1)

    def test_are_tested_when_spelled_out(self, withholding: pytest.Pytester) -> None:
        path = withholding.makepyfile(_TEST)

        result = withholding.runpytest("--device=pixel4", "--subject=unet.int8_ptq", "-v", path)

        result.stdout.fnmatch_lines(["*[[]pixel4:nnapi-unet.int8_ptq[]] PASSED*"])

    def test_say_that_they_do_not_ship_when_they_fail(self, withholding: pytest.Pytester) -> None:
        toml = withholding.path / "golden" / tiny.NAME / "subject.toml"
        tiny.edit(toml, "latency_ms = 1000", "latency_ms = 0.001")

        result = withholding.runpytest(
            "--device=pixel4", "--subject=unet.int8_ptq", "test_latency.py"
        )

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*does not ship to pixel4:nnapi: its driver is broken*"])
