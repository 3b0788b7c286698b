"""pytest's own options work on the shipped gates: -k, -x, --lf, --junitxml, -n."""

import xml.etree.ElementTree as ElementTree

import pytest

from harness import results
from tests import rulings, tiny


@pytest.fixture
def slow(project: pytest.Pytester) -> pytest.Pytester:
    """Return a project whose latency gates fail."""
    toml = project.path / "golden" / tiny.NAME / "subject.toml"
    tiny.edit(toml, "latency_ms = 1000", "latency_ms = 0.001")
    return project


def test_k_selects_by_gate_variant_and_frame(project: pytest.Pytester) -> None:
    result = project.runpytest(
        "--device=pixel4", "-k", "fidelity and int8_ptq and sharp or scaling"
    )

    assert result.ret == 0
    assert rulings.by_gate(project.path) == {"fidelity": {"PASS": 2}, "scaling": {"PASS": 2}}


def test_x_stops_at_the_first_failure(slow: pytest.Pytester) -> None:
    result = slow.runpytest("--device=pixel4", "-x", "test_latency.py")

    result.assert_outcomes(failed=1)


def test_lf_runs_again_what_failed_and_only_that(slow: pytest.Pytester) -> None:
    slow.runpytest("--device=pixel4")
    slow.runpytest("--device=pixel4", "--lf")

    assert rulings.by_gate(slow.path) == {"latency": {"FAIL": 2}}


class TestJunit:
    @pytest.fixture
    def mixed(self, slow: pytest.Pytester) -> ElementTree.Element:
        """Return the report of a run with passes, failures and inconclusive rulings."""
        (slow.path / "golden" / tiny.NAME / "baselines.json").unlink()
        slow.runpytest("--device=pixel4", "--junitxml=report.xml")
        suite = ElementTree.parse(slow.path / "report.xml").getroot().find("testsuite")
        assert suite is not None
        return suite

    def test_inconclusive_counts_as_skipped_and_never_as_passed(
        self, mixed: ElementTree.Element
    ) -> None:
        regressions = [c for c in mixed.iter("testcase") if "regression" in str(c.get("classname"))]

        assert mixed.get("skipped") == "2"
        assert mixed.get("failures") == "2"
        assert len(regressions) == 2
        for case in regressions:
            assert case.find("skipped") is not None

    def test_verdicts_are_lines_of_system_out(self, mixed: ElementTree.Element) -> None:
        """GitLab shows nothing else of a test that passed."""
        for case in mixed.iter("testcase"):
            said = [part.text or "" for part in case.findall("system-out")]
            properties = [one.get("name") for one in case.iter("property")]
            assert len(said) == 1
            assert len(said[0].splitlines()) == len(properties) >= 1
            assert {line.split()[0] for line in said[0].splitlines()} <= {
                "PASS", "FAIL", "INCONCLUSIVE",
            }  # fmt: skip

    def test_verdicts_are_properties_with_value_limit_and_evidence(
        self, mixed: ElementTree.Element
    ) -> None:
        found = {
            (str(p.get("name")), str(p.get("value")).split()[0]) for p in mixed.iter("property")
        }
        latencies = [
            str(p.get("value")) for p in mixed.iter("property")
            if p.get("name") == "latency.latency_ms"
        ]  # fmt: skip

        assert {
            ("latency.latency_ms", "FAIL"),
            ("cpu_fallback.cpu_ops", "PASS"),
            ("fidelity.psnr_db", "PASS"),
            ("fidelity.non_finite_values", "PASS"),
            ("scaling.scaling_exponent", "PASS"),
            ("regression.cpu_ops", "INCONCLUSIVE"),
        } <= found
        assert all("(<= 0.001) [MODEL]" in value for value in latencies)

    def test_a_failure_carries_the_line_a_person_reads(self, mixed: ElementTree.Element) -> None:
        failures = [str(f.text) for f in mixed.iter("failure")]

        assert len(failures) == 2
        assert all(text.startswith("FAIL latency: latency_ms") for text in failures)


def test_strict_makes_inconclusive_a_junit_failure(project: pytest.Pytester) -> None:
    (project.path / "golden" / tiny.NAME / "baselines.json").unlink()

    project.runpytest("--device=pixel4", "--strict", "--junitxml=report.xml", "test_regression.py")

    suite = ElementTree.parse(project.path / "report.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("skipped")) == ("2", "0")


def test_a_parallel_run_rules_and_reports_as_a_plain_one(slow: pytest.Pytester) -> None:
    (slow.path / "golden" / tiny.NAME / "baselines.json").unlink()

    result = slow.runpytest_subprocess("--device=pixel4", "-n", "2")

    expected = rulings.green() | {"latency": {"FAIL": 2}, "regression": {"INCONCLUSIVE": 2}}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert rulings.by_gate(slow.path).items() >= expected.items()
    result.stdout.fnmatch_lines(["unet on pixel4:nnapi*", "results: .results/*.jsonl"])
    assert results.load(results.latest(slow.path)).unrecorded == ()
