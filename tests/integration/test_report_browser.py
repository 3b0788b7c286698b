"""The page of a report in a real browser: of a real run that fails, and of hostile names."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import results
from harness.history import runs
from harness.placement import NodePlacement
from harness.report.page import rendering
from harness.verdict import FALLBACK, FIDELITY, LATENCY, Outcome
from tests import large_runs, needs
from tests.unit.report import pages

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
_HANG_S = 300
_WIDTHS_PX = (360, 768, 1280, 3840)

expect.set_options(timeout=60_000)  # a busy machine draws later


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = needs.program("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page that `pytest --report` draws of a subject that fails on three phones."""
    folder = tmp_path_factory.mktemp("run")
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "--device=pixel4,mate30pro,reno3",
            "--origin=emulated", "-o", f"golden_dir={ROOT / 'examples'}", "--report", "out.html",
        ],
        cwd=folder, capture_output=True, text=True, timeout=_HANG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return folder / "out.html"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a run in which a variant is slower and leaves the accelerator."""
    folder = tmp_path_factory.mktemp("compared")
    shape = large_runs.Shape(subjects=2, variants=3, phones=2, frames=1, edge_px=64)
    large_runs.golden(folder / "golden", shape)
    was = large_runs.run(folder, shape, name="20260101T000000Z")
    changed = dataclasses.replace(shape, slower=1.4, fallback=True)
    now = large_runs.run(folder, changed, name="20260102T000000Z")
    page = folder / "out.html"
    past = [runs.entry(results.load(one)) for one in (was, now)]
    rendering.write(
        [results.load(now)],
        page,
        against=[results.load(was)],
        past=past,
        golden_dir=folder / "golden",
    )
    return page


class _Opened:
    """A page, and all that the browser complained of or asked for."""

    def __init__(self, browser: Browser, path: Path, *, width_px: int, scheme: str) -> None:
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(
            viewport={"width": width_px, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        self.page.on("console", lambda m: self.complaints.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self._asked(request.url, path))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]")

    def _asked(self, url: str, path: Path) -> None:
        if url != path.as_uri() and not url.startswith(("data:", "blob:")):
            self.complaints.append(f"asked for {url}")

    def draw_all(self) -> None:
        """Draw every chart and strip, as before printing."""
        self.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert self.page.evaluate(
            "[...document.querySelectorAll('[data-chart], [data-strip], [data-trend]')]"
            ".every(place => place.querySelector('svg'))"
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", _WIDTHS_PX)
def test_nothing_is_complained_of_asked_for_or_wider_than_the_screen(
    browser: Browser, failing: Path, width_px: int, scheme: str
) -> None:
    opened = _Opened(browser, failing, width_px=width_px, scheme=scheme)

    opened.draw_all()

    wide = opened.page.evaluate("document.documentElement.scrollWidth")
    found = Axe().run(opened.page).response["violations"]
    assert opened.complaints == []
    assert wide <= width_px
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    opened.page.close()


@pytest.mark.parametrize("width_px", [360, 768])
def test_the_table_of_changes_is_read_on_a_small_screen_without_scrolling(
    browser: Browser, compared: Path, width_px: int
) -> None:
    page = _Opened(browser, compared, width_px=width_px, scheme="light").page

    table = page.get_by_role("region", name="Cells that changed")

    assert table.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert table.get_by_role("table").get_by_role("row").nth(1).get_by_role("cell").count() == 6
    page.close()


@pytest.mark.parametrize("width_px", [360, 1280])
def test_two_runs_above_each_other_are_complained_of_nowhere(
    browser: Browser, compared: Path, width_px: int
) -> None:
    opened = _Opened(browser, compared, width_px=width_px, scheme="light")

    opened.draw_all()

    found = Axe().run(opened.page).response["violations"]
    assert opened.complaints == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width_px
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    opened.page.close()


def test_a_change_is_said_first_listed_first_and_can_be_filtered(
    browser: Browser, compared: Path
) -> None:
    opened = _Opened(browser, compared, width_px=1280, scheme="light")
    page = opened.page

    assert page.locator("h1").inner_text() == (
        "net00.int8_ptq leaves the driver dsp on 1 of 2 phones since this change."
    )
    assert page.locator("h2").first.inner_text() == "What changed"
    rows = page.locator(".changes tbody tr")
    assert {rows.nth(at).locator("td").first.inner_text() for at in range(rows.count())} == {
        "worse"
    }
    whole = page.locator(".matrix button.cell:visible").count()
    page.get_by_role("combobox", name="Change").select_option("worse")
    assert rows.count() == page.locator(".matrix button.cell:not(.out):visible").count() < whole
    page.locator(".changes button").first.click()
    assert "Before: PASS" in page.locator("dialog[open]").inner_text()
    page.close()


def test_an_arrow_and_two_strips_show_where_a_variant_was(browser: Browser, compared: Path) -> None:
    opened = _Opened(browser, compared, width_px=1280, scheme="light")
    opened.draw_all()
    page = opened.page

    strips = page.locator(".strip").filter(has=page.locator(".said", has_text="now"))
    assert strips.first.locator(".said").all_text_contents() == ["before", "now", "as before"]
    blocks = strips.first.locator(".blocks")
    assert [blocks.nth(at).locator("g.unit-cpu").count() for at in (0, 1)] == [0, 2]
    moved = page.locator("figure", has_text="arrows lead from the run before")
    still = page.locator("figure", has_text="nothing moved since")
    paths = [one.first.locator(".chart path").count() for one in (moved, still)]
    assert paths[0] > paths[1]
    page.close()


def test_a_series_has_a_sparkline_pins_with_causes_and_a_table(
    browser: Browser, compared: Path
) -> None:
    opened = _Opened(browser, compared, width_px=1280, scheme="dark")
    page = opened.page
    section = page.locator("section[aria-labelledby=history]")
    changed = section.locator("figure").filter(has_text="64x64: latency_ms").first

    changed.scroll_into_view_if_needed()
    expect(changed.locator("svg text")).to_have_text("1")
    assert "(+40.0%): " in changed.locator("li").inner_text()
    changed.locator("summary").press("Enter")
    expect(changed.locator("tbody tr")).to_have_count(2)
    assert changed.locator("tbody tr").last.locator("td").nth(4).inner_text() == "1"

    others = section.locator("[data-others]").first
    others.locator("summary").first.press("Enter")
    expect(others.locator("figure svg").first).to_be_visible()
    others.locator("figure summary").first.press("Enter")
    expect(others.locator("figure").first.locator("tbody tr")).to_have_count(2)
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    assert opened.complaints == []
    page.close()


def test_a_violation_of_the_policy_would_be_seen(browser: Browser, failing: Path) -> None:
    """What the other tests look for is really reported by this browser."""
    broken = failing.with_name("broken.html")
    page = failing.read_text(encoding="utf-8")
    broken.write_text(page.replace("</h1>", "</h1><script>1</script>", 1), encoding="utf-8")

    opened = _Opened(browser, broken, width_px=1280, scheme="light")

    assert any("Content Security Policy" in line for line in opened.complaints)
    opened.page.close()


def test_the_first_screen_says_what_matters(browser: Browser, failing: Path) -> None:
    page = _Opened(browser, failing, width_px=1280, scheme="light").page

    title = page.locator("h1").inner_text()
    assert "leave the accelerator on all 3 phones" in title
    assert page.locator("button.cell").count() == 6
    assert page.locator("button.cell .kind-FALLBACK").count() == 6
    page.close()


def test_the_filter_leaves_what_fits_and_can_be_taken_back(browser: Browser, failing: Path) -> None:
    page = _Opened(browser, failing, width_px=1280, scheme="light").page
    cells, headings = page.locator("button.cell:visible"), page.locator("thead th:visible")
    whole = headings.count()

    page.get_by_role("combobox", name="Phone").select_option("reno3:nnapi")
    assert cells.count() == 2
    assert headings.count() < whole
    assert page.locator("#shown").inner_text() == "2 of 6 cells"

    page.get_by_role("combobox", name="Verdict").select_option("PASS")
    assert cells.count() == 0

    page.get_by_role("combobox", name="Gate").select_option("fidelity")
    assert cells.count() == 2

    page.get_by_role("combobox", name="Evidence").select_option("RULES")
    assert cells.count() == 0

    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#shown")).to_have_text("6 of 6 cells")
    assert cells.count() == 6
    page.close()


def test_a_card_opens_and_closes_by_keyboard_and_says_how_to_repeat(
    browser: Browser, failing: Path
) -> None:
    opened = _Opened(browser, failing, width_px=360, scheme="dark")
    page = opened.page
    page.locator("button.cell").first.focus()

    page.keyboard.press("Enter")

    card = page.locator("dialog[open]")
    assert "non_portable.fp32 on pixel4:nnapi" in card.inner_text()
    assert "TRANSPOSE_CONV" in card.inner_text()
    assert card.locator("pre").inner_text().startswith("pytest --device=pixel4:nnapi")
    assert card.locator(".verdict").first.locator(".outcome").inner_text() == "FAIL"
    card.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert card.locator("dl.provenance").first.is_visible()
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []

    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.dataset.cell") == "0"
    assert opened.complaints == []
    page.close()


def test_charts_and_strips_have_the_same_as_a_table(browser: Browser, failing: Path) -> None:
    opened = _Opened(browser, failing, width_px=1280, scheme="light")
    page = opened.page

    page.locator("section[aria-labelledby=plane] figure summary").first.press("Enter")
    page.locator(".strip summary").first.press("Enter")

    plane = page.locator("section[aria-labelledby=plane] figure").first
    expect(plane.locator("th").first).to_have_text("variant")
    expect(plane.locator("tbody tr")).to_have_count(2)
    strip = page.locator(".strip").first
    expect(strip.locator("table")).to_have_count(3)  # phones; the event of opening comes later
    expect(strip.locator("tbody").first).to_contain_text("TRANSPOSE_CONV")
    page.get_by_role("combobox", name="Phone").select_option("reno3:nnapi")
    expect(strip.locator("table:visible")).to_have_count(1)
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    assert opened.complaints == []
    page.close()


def test_a_fallback_on_a_strip_says_its_reason_when_it_is_reached(
    browser: Browser, failing: Path
) -> None:
    opened = _Opened(browser, failing, width_px=1280, scheme="light")
    opened.draw_all()
    strip = opened.page.locator(".strip").first
    blocks = strip.locator(".blocks")
    assert [blocks.nth(at).locator("g[tabindex]").count() for at in range(3)] == [3, 3, 3]

    strip.locator("g[tabindex]").first.focus()

    assert "refused by driver" in strip.locator(".says").inner_text()
    opened.page.close()


def test_the_viewer_wipes_flickers_and_marks_the_worst_tile_by_keyboard(
    browser: Browser, failing: Path
) -> None:
    opened = _Opened(browser, failing, width_px=1280, scheme="light")
    viewer = opened.page.locator(".viewer").first
    viewer.scroll_into_view_if_needed()
    over = viewer.locator(".stage img").nth(1)
    expect(over).to_have_css("clip-path", "inset(0px 0px 0px 50%)")
    width = viewer.locator(".stage img").first.evaluate("image => image.width")

    viewer.get_by_role("slider").focus()
    opened.page.keyboard.press("Home")
    expect(over).to_have_css("clip-path", "inset(0px 0px 0px 0%)")

    viewer.get_by_role("combobox", name="Loupe").select_option("4")
    assert viewer.locator(".stage img").first.evaluate("image => image.width") == 4 * width

    viewer.get_by_role("button", name="Worst tile").press("Enter")
    assert viewer.locator(".tile").is_visible()

    viewer.get_by_role("button", name="Flicker").press("Enter")
    expect(over).to_have_css("clip-path", "inset(0px 0px 0px 100%)")
    assert opened.complaints == []
    opened.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_prints_whole_and_on_white(browser: Browser, failing: Path, scheme: str) -> None:
    opened = _Opened(browser, failing, width_px=1280, scheme=scheme)
    page = opened.page

    printed = page.pdf()

    assert printed.startswith(b"%PDF")
    assert page.evaluate(
        "[...document.querySelectorAll('[data-chart], [data-strip], [data-frame] .viewed')]"
        ".every(place => place.childElementCount)"
    )
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 720, "height": 1000})  # A4 without its margins
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".filter").is_hidden()
    expect(page.locator("html")).to_have_css("background-color", "rgb(255, 255, 255)")
    fills = page.locator(".chart svg text").evaluate_all(
        "all => all.map(one => one.getAttribute('fill'))"
    )
    assert set(fills) & {"#57606a", "#1f2328"}
    assert not set(fills) & {"#9da7b3", "#e6edf3"}
    assert opened.complaints == []
    page.close()


def test_all_of_a_failure_is_reached_from_the_top_by_the_tab_key(
    browser: Browser, failing: Path
) -> None:
    opened = _Opened(browser, failing, width_px=1280, scheme="light")
    page = opened.page

    def tab_to(condition: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({condition!r})"):
                return
        raise AssertionError(f"{condition} is not reached")

    tab_to(".filter select[name=outcome]")
    page.keyboard.press("F")  # FAIL
    expect(page.locator("#shown")).to_have_text("6 of 6 cells")
    tab_to("button.cell")
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    tab_to("dialog summary")
    page.keyboard.press("Enter")
    assert page.locator("dialog dl.provenance").first.is_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('button.cell')")
    assert opened.complaints == []
    page.close()


def test_hostile_names_are_shown_and_nothing_of_them_runs(browser: Browser, tmp_path: Path) -> None:
    names = (
        "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>",
        "javascript:alert(1)", "\x1b[31mred", "\u202egnp.exe", "{a|x}{b}{c}", "__proto__",
    )  # fmt: skip
    records, facts = [], []
    for name in names:
        records += [
            pages.record(gate, Outcome.FAIL, device=name, variant=name, cause=name, observed=9.0)
            for gate in (LATENCY, FALLBACK, FIDELITY)
        ]
        facts += [pages.estimate(name, name, size, 3.0) for size in ("256x256", "512x512")]
        node = NodePlacement(index=0, op=name, unit=name, reason=name, remedy=name)
        facts.append(pages.placement(name, name, "256x256", [node]))
    path = tmp_path / "hostile.html"
    passed = [
        dataclasses.replace(
            one, verdict=dataclasses.replace(one.verdict, outcome=Outcome.PASS, cause="")
        )
        for one in records
    ]
    now = pages.run(*records, facts=facts, planned=names)
    rendering.write([now], path, against=[pages.run(*passed, facts=facts[1:])])
    opened = _Opened(browser, path, width_px=1280, scheme="dark")

    opened.draw_all()
    for button in opened.page.locator("button.cell").all():
        button.click()
        opened.page.keyboard.press("Escape")
    for point in opened.page.locator(".chart").all():
        point.hover()

    assert opened.complaints == []
    assert opened.page.locator("img").count() == 0
    assert "<script>alert(1)</script>" in opened.page.locator(".matrix").inner_text()
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.page.close()
