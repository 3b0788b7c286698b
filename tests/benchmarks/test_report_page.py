"""Measure the page of a large run: 20 subjects x 8 variants x 10 phones, 4 frames of each.

The run is made up (`tests/large_runs.py`) and no two of its images are the same. What is asserted
is the size of the page. The processor time of the browser's main thread and wall times are printed;
docs/guides/read-a-verdict.md has the figures.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import results
from harness.report.page import rendering
from tests import large_runs, needs

pytest.importorskip("playwright")

from playwright.sync_api import Browser, Page, sync_playwright

pytestmark = pytest.mark.browser

_SIZE_MAX_BYTES = 30_000_000
_CELLS_LEAST = 5_000
_SETTLES_MS = 500
_FIRST_CHART = """
addEventListener("DOMContentLoaded", () => {
  performance.mark("opened");
  const place = document.querySelector("[data-chart]");
  new MutationObserver(() => {
    if (place.querySelector("svg") && !performance.getEntriesByName("chart").length)
      requestAnimationFrame(() => {
        performance.mark("chart");
        document.documentElement.dataset.firstChart = "yes";
      });
  }).observe(place, { childList: true, subtree: true });
  place.scrollIntoView();
});
"""
_FILTER = """choice => {
  const form = document.querySelector(".filter");
  for (const field of form.querySelectorAll("select")) field.value = choice[field.name] || "";
  const start = performance.now();
  form.dispatchEvent(new Event("change"));
  document.body.getBoundingClientRect();
  return performance.now() - start;
}"""
_CHOICES: tuple[dict[str, str], ...] = (
    {"outcome": "FAIL"},
    {"target": "phone03:nnapi"},
    {"gate": "fidelity", "outcome": "PASS"},
    {"evidence": "MODEL"},
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of the large run."""
    folder = tmp_path_factory.mktemp("large")
    shape = large_runs.Shape()
    large_runs.golden(folder / "golden", shape)
    found = results.load(large_runs.run(folder, shape))
    rendering.write([found], folder / "page.html", golden_dir=folder / "golden")
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = needs.program("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


class _Opened:
    """The page in a browser, and the processor time that its main thread has spent."""

    def __init__(self, browser: Browser, path: Path) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
        self._session = self.page.context.new_cdp_session(self.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.page.add_init_script(_FIRST_CHART)
        self.page.goto(path.as_uri(), wait_until="commit", timeout=120_000)
        self.page.wait_for_selector("html[data-first-chart]", timeout=120_000)

    def busy_s(self) -> float:
        """Return the processor time of the main thread since the page began, in seconds."""
        metrics: list[dict[str, Any]] = self._session.send("Performance.getMetrics")["metrics"]
        return sum(one["value"] for one in metrics if one["name"] == "TaskDuration")

    def at_ms(self, mark: str) -> float:
        """Return when a mark was set, in ms since the page was asked for."""
        found: float = self.page.evaluate(f"performance.getEntriesByName({mark!r})[0].startTime")
        return found


def test_the_page_of_a_large_run_is_under_30_mb(drawn: Path, benchmark: Any) -> None:
    size = benchmark.pedantic(lambda: drawn.stat().st_size, rounds=1)

    benchmark.extra_info["bytes"] = size
    assert size < _SIZE_MAX_BYTES


def test_the_page_of_a_large_run_draws_its_first_chart(
    drawn: Path, browser: Browser, benchmark: Any
) -> None:
    opened = benchmark.pedantic(lambda: _Opened(browser, drawn), rounds=1)

    took = {
        "main_thread_s": round(opened.busy_s(), 3),
        "opened_to_chart_ms": round(opened.at_ms("chart") - opened.at_ms("opened")),
        "asked_to_chart_ms": round(opened.at_ms("chart")),
    }
    print(json.dumps(took))
    benchmark.extra_info.update(took)
    opened.page.close()


def test_more_than_5000_cells_are_filtered(drawn: Path, browser: Browser, benchmark: Any) -> None:
    opened = _Opened(browser, drawn)
    page = opened.page
    assert page.locator("button.cell").count() > _CELLS_LEAST

    def filtered() -> dict[str, float]:
        took = {}
        for choice in _CHOICES:
            page.evaluate(_FILTER, {})
            page.wait_for_timeout(_SETTLES_MS)
            before = opened.busy_s()
            wall_ms = page.evaluate(_FILTER, choice)
            took[json.dumps(choice)] = round(wall_ms)
            took[f"{json.dumps(choice)} main_thread_ms"] = round(1000 * (opened.busy_s() - before))
        return took

    took = benchmark.pedantic(filtered, rounds=1)

    print(json.dumps(took))
    benchmark.extra_info.update(took)
    page.close()
