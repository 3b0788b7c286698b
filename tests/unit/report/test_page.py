"""Tests of the page as text: what others wrote is inert, the policy fits what is in it."""

import base64
import hashlib
import html.parser
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ConfigError, HarnessError
from harness.placement import NodePlacement
from harness.report import markdown
from harness.report.page import rendering
from harness.results import End, Planned
from harness.verdict import FALLBACK, FIDELITY, LATENCY, Outcome, Verdict
from tests.unit.report.pages import estimate, part, placement, record, run

HOSTILE = (
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "javascript:alert(1)",
    "\x1b[31mred\x1b[0m", "\u202egnp.exe", "\"'><b onclick=alert(1)>", "{{ 7*7 }}", "<!--<script",
    "--fail",
)  # fmt: skip


class _Reader(html.parser.HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inner: dict[str, list[str]] = {"script": [], "style": []}
        self._in = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.inner:
            self._in = tag
            self.inner[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in:
            self.inner[self._in][-1] += data


def _page(name: str) -> str:
    nodes = [NodePlacement(index=0, op=name, unit=name, reason=name, remedy=name)]
    records = [
        record(gate, Outcome.FAIL, subject="unet", variant=name, device=name, cause=name)
        for gate in (LATENCY, FALLBACK, FIDELITY)
    ]
    facts = [
        estimate(name, name, "256x256", 3.0, {f"{name} #0": 1.0}),
        estimate(name, name, "512x512", 9.0),
        placement(name, name, "256x256", nodes),
    ]
    now = run(*records, facts=facts, planned=[name], command=["pytest", name])
    was = run(*(replace(one, verdict=_passed(one.verdict)) for one in records), facts=facts[1:])
    return rendering.render([now], against=[was])


def _passed(verdict: Verdict) -> Verdict:
    return replace(verdict, outcome=Outcome.PASS)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_tag_no_attribute_and_no_control_character(name: str) -> None:
    plain, hostile = _Reader(_page("plain")), _Reader(_page(name))

    assert [tag for tag, _ in hostile.tags if tag != "wbr"] == [
        tag for tag, _ in plain.tags if tag != "wbr"
    ]
    wanted = {key for _, attributes in plain.tags for key in attributes}
    found = {key for _, attributes in hostile.tags for key in attributes}
    assert found == wanted
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", _page(name))


def test_no_attribute_of_the_page_is_a_script_a_style_or_an_address() -> None:
    attributes = [pair for _, found in _Reader(_page("plain")).tags for pair in found.items()]

    names = {name for name, _ in attributes}
    assert not {name for name in names if name.startswith("on")} & names
    assert not names & {"style", "src", "href", "action", "srcdoc"}


def test_the_policy_names_the_hash_of_each_script_and_style_and_no_unsafe_source() -> None:
    reader = _Reader(_page("plain"))
    (policy,) = (a["content"] for t, a in reader.tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    scripts = [a for t, a in reader.tags if t == "script"]
    texts = [
        text
        for text, attributes in zip(reader.inner["script"], scripts, strict=True)
        if "type" not in attributes
    ]

    for text in (*texts, *reader.inner["style"]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert len(re.findall("'sha256-", policy)) == len(texts) + 1
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")


@pytest.mark.parametrize("name", HOSTILE)
def test_the_data_of_the_page_can_be_read_back(name: str) -> None:
    page = _page(name)

    (cell,) = part(page, "cells")[:1]
    assert cell["outcome"] == "FAIL"


def test_long_data_is_packed_and_can_be_read_back() -> None:
    records = [record(LATENCY, Outcome.PASS, variant=f"v{n}", cause="x" * 900) for n in range(900)]

    page = rendering.render([run(*records)])

    assert len(part(page, "cards")["cards"]) == len(part(page, "cells")) == 900
    assert 'type="application/gzip" id="data-cards"' in page
    assert "x" * 900 not in page


def test_counts_say_what_was_planned_and_never_ran() -> None:
    lost = "test_latency.py::test_it[pixel4:nnapi-unet.fp32-256x256]"

    page = rendering.render([run(record(LATENCY, Outcome.PASS), planned=[lost], ended=False)])

    assert "1 planned test did not run and count as inconclusive" in page
    assert "A run was cut short" in page
    assert f"<code>{lost}</code>" in page


def test_a_fact_whose_fields_are_not_those_of_its_kind_is_named() -> None:
    broken = estimate("a", "fp32", "256x256", 1.0)
    answer = {**broken.answer, "estimate_ms": "fast"}
    fact = type(broken)(**{**vars(broken), "answer": answer})

    with pytest.raises(ConfigError, match="fact time a fp32"):
        rendering.render([run(facts=[fact])])


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(HarnessError, match="cannot be written"):
        rendering.write([run(record(LATENCY, Outcome.PASS))], tmp_path / "file" / "out.html")


def test_a_page_says_first_that_a_shard_of_its_plan_is_lost() -> None:
    kept = run(record(LATENCY, Outcome.PASS))
    plans = [Planned(tests=kept.planned, shard=f"{number}/3", whole="ab") for number in (1, 3)]
    parts = [replace(kept, plans=(plan,)) for plan in plans]

    page = rendering.render(parts)
    failing = rendering.render(
        [replace(parts[0], records=run(record(LATENCY, Outcome.FAIL)).records)]
    )

    assert (
        "<h1>Nothing fails in what is here, but shard 2/3 of the plan did not arrive.</h1>" in page
    )
    assert "<li>Shard 2/3 of the plan did not arrive: what it tests is unknown.</li>" in page
    assert "<li>Shards 2/3, 3/3 of the plan did not arrive: what they test is" in failing
    assert "over budget" in failing.partition("</h1>")[0]
    assert "did not arrive" not in rendering.render([kept])


def test_a_cell_that_may_be_of_a_lost_shard_is_not_called_untested() -> None:
    kept = run(record(LATENCY, Outcome.PASS), record(LATENCY, Outcome.PASS, device="reno3"))
    one = record(LATENCY, Outcome.PASS, variant="fp32")
    whole = replace(kept, records=(*kept.records, one))
    lost = replace(whole, plans=(Planned(tests=whole.planned, shard="1/2", whole="ab"),))

    assert ">not tested</td>" in rendering.render([whole])
    page = rendering.render([lost])
    assert ">not known</td>" in page
    assert ">not tested</td>" not in page


def test_a_page_and_a_summary_say_the_same_of_a_run_that_failed_strictly() -> None:
    kept = run(record(LATENCY, Outcome.INCONCLUSIVE), exit_code=1)
    strict = replace(kept, plans=(replace(kept.plans[0], strict=True),))

    page = rendering.render([strict])

    assert "Verdicts could not be ruled: with --strict, pytest failed." in page
    assert "with --strict, pytest failed" in markdown.summary(strict)
    for said in (rendering.render([kept]), markdown.summary(kept)):
        assert "pytest ended with 1: see its log" in said


def test_a_page_says_what_a_change_loosened_and_that_pytest_failed_elsewhere() -> None:
    kept = run(record(LATENCY, Outcome.PASS))
    plan = replace(kept.plans[0], against="main", loosened=("psnr_db 42 -> 30",), new=("net",))
    plan = replace(plan, tightened=("p95_ms 9 -> 8",), uncompared="run r holds no targets.")
    ended = End(time_utc=kept.run.time_utc, exit_code=1)

    page = rendering.render([replace(kept, plans=(plan,), end=ended)])

    for heading, line in (("easier", "psnr_db 42 -&gt; 30"), ("harder", "p95_ms 9 -&gt; 8")):
        shown = page.partition(f"<p>This change makes it {heading} to pass:</p>")[2]
        assert shown.lstrip().startswith(f"<ul><li>{line}</li></ul>")
    assert '<p class="note">run r holds no targets.</p>' in page
    assert '<p class="note">Against main: every case is judged.</p>' in page
    assert "No verdict fails, but pytest ended with 1: see its log." in page
    assert "net is not in main: new" in page
    assert 'class="cautions"' not in rendering.render([kept])
    assert 'class="effect"' not in rendering.render([kept])
