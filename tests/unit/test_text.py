"""Tests of text that others wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import text


@given(st.text(st.characters()))
def test_a_line_is_printable_and_bounded_and_stays_as_it_is(given_text: str) -> None:
    line = text.line(given_text, 100)

    assert line.isprintable()
    assert len(line) < 10 * 200
    assert text.line(line) == line


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("déjà 720p 漢字", "déjà 720p 漢字"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("a\r\nPASS fidelity", r"a\r\nPASS fidelity"),
        ("a\x85b\u2028c", r"a\x85b\u2028c"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066x\u2069\u200b", r"\u2066x\u2069\u200b"),
        ("\x9b31m", r"\x9b31m"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_is_not_printable_is_written_out(given_text: str, shown: str) -> None:
    assert text.line(given_text) == shown


def test_a_long_line_keeps_its_beginning_and_its_end() -> None:
    line = text.line("what happened " + "x" * 1_800_000 + " what to do")

    assert line.startswith("what happened xxx")
    assert line.endswith("xxx what to do")
    assert "characters left out" in line
    assert len(line) < text.LINE + 50


def test_lines_are_bounded_in_number_and_only_line_feeds_end_one() -> None:
    shown = text.lines("a\r\nb\n" * 1000)

    assert shown.startswith("a\\r\nb\na\\r\n")
    assert len(shown.split("\n")) < 1000
    assert shown.endswith("lines left out]")


def test_a_markdown_cell_stays_one_cell_without_links_or_tags() -> None:
    shown = text.markdown("a|b\n[x](http://y) <img> `c`")

    assert shown == r"a\|b\\n\[x\](http://y) \<img\> \`c\`"


@pytest.mark.parametrize(
    ("wrote", "said"),
    [
        ("latency", ""),
        ("psnr", "; did you mean 'psnr_db'?"),
        ("PSNR_DB", "; did you mean 'psnr_db'?"),
        ("relativ_l2", "; did you mean 'relative_l2'?"),
        ("", ""),
    ],
)
def test_a_name_that_is_close_to_a_known_one_is_suggested(wrote: str, said: str) -> None:
    assert text.meant(wrote, ["psnr_db", "relative_l2"]) == said
