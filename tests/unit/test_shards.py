"""Tests of plans divided among machines."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import cases, profiles, shards, subjects
from harness.errors import ConfigError
from harness.profiles import Target
from harness.shards import Shard
from tests import tiny

COSTS = st.dictionaries(st.text("abc", min_size=1), st.floats(0.1, 1e4), min_size=1, max_size=40)


@given(COSTS, st.integers(1, 8))
def test_parts_hold_each_piece_once(costs_s: dict[str, float], count: int) -> None:
    parts = shards.divide(costs_s.items(), count)

    assert len(parts) == count
    assert sorted(name for part in parts for name in part) == sorted(costs_s)


@given(COSTS, st.integers(1, 8))
def test_no_part_is_longer_than_the_mean_and_the_longest_piece(
    costs_s: dict[str, float], count: int
) -> None:
    longest = max(
        sum(costs_s[name] for name in part) for part in shards.divide(costs_s.items(), count)
    )

    assert longest <= sum(costs_s.values()) / count + max(costs_s.values()) + 1e-6


@given(COSTS, st.integers(1, 8), st.randoms())
def test_the_order_in_which_pieces_are_named_changes_nothing(
    costs_s: dict[str, float], count: int, random: "st.random.Random"
) -> None:
    shuffled = list(costs_s.items())
    random.shuffle(shuffled)

    assert shards.divide(shuffled, count) == shards.divide(costs_s.items(), count)


def test_a_shard_is_written_as_number_and_count() -> None:
    assert Shard.parse("2/4") == Shard(number=2, of=4)
    assert str(Shard.parse("2/4")) == "2/4"


@pytest.mark.parametrize("text", ["", "2", "0/4", "5/4", "-1/4", "1/0", "2/4/6", "a/b", "1/99999"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Shard.parse(text)


def test_shards_know_each_other_by_all_that_a_case_is_judged_by(tmp_path: Path) -> None:
    folder = tiny.subject(tmp_path / "golden", tmp_path / "work")
    (target,) = profiles.select(profiles.load_all([profiles.shipped_folder()]), ["pixel4"])

    def whole(one: Target = target) -> str:
        return shards.whole_of(cases.plan(subjects.load_all(folder.parent), [one]))

    first = whole()
    assert whole() == first
    other = replace(target.profile, android_api_level=30)
    assert whole(replace(target, profile=other)) != first
    (folder / "baselines.json").write_text("[]", encoding="utf-8")
    blessed = whole()
    assert blessed != first
    tiny.edit(folder / "subject.toml", "1000", "900")
    assert whole() != blessed
