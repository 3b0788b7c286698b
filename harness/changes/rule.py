"""The limits that decide what is a change."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The limits that decide what is a change.

    Attributes:
        share: Relative distance of the new level from the old that makes a change.
        off_share: Relative distance from the level beyond which a night is off it. Nights
            between this and `share` are doubtful.
        level_nights: Nights whose median is the level.
        sure_nights: Nights off the level in a row that make a change.
        doubtful_nights: As many where something speaks for chance.
        noise: A shift below this many times the mean distance from the level is doubtful.
        spread: Nights that differ among themselves by more than this share of the shift are
            doubtful.
        known_share: A new level this near to an earlier night is a return to it, and doubtful.
        past_nights: How far back an earlier night counts.
        restless_jumps: Jumps in the past nights that make a shift doubtful.
        bimodal_jumps: Jumps in the past nights from which a return must last two nights
            longer for each further jump: the series has two levels, and hops.
        longest_nights: Nights that are enough for any return.
        group_least: Series of a phone below which nothing is said to be shared.
        group_share: Share of them that must move the same way.
        group_odds: How many times more must move that way than the other.
        group_move: Relative distance from its level from which a series has moved, where
            something recorded about the phone changed; elsewhere it is `off_share`.
        warmer_c: Difference of temperature that is named as a possible cause.

    Source: docs/regressions.md; share, level_nights, known_share and the limits of a group are
    those of a study of 512 series of published latencies, the rest was chosen on half of them.
    """

    share: float = 0.08
    off_share: float = 0.05
    level_nights: int = 5
    sure_nights: int = 2
    doubtful_nights: int = 3
    noise: float = 4.0
    spread: float = 0.3
    known_share: float = 0.04
    past_nights: int = 20
    restless_jumps: int = 2
    bimodal_jumps: int = 5
    longest_nights: int = 9
    group_least: int = 8
    group_share: float = 0.5
    group_odds: float = 4.0
    group_move: float = 0.03
    warmer_c: float = 5.0
