"""What a suspicion of a leak is, and from which score on there is one.

Belongs here: the warning, its kinds and the levels. Does not belong here: how columns are searched (`leaks.py`,
`circumstances.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from assets.logic.profiling.scoring import Score, Yardstick

LeakKind = Literal["filled_after", "later_than_question", "predicts_target", "row_order", "filled_with_target"]

SURE: Final = {"classes": 0.95, "quantity": 0.9}
"""A single column reaches such a score (AUC over all classes; R2 of ranks) hardly ever honestly."""
SURE_FOR_ONE_CLASS: Final = 0.98
"""One class of several is told apart by honest columns more often than all of them are."""
OUTSTANDING: Final = {"classes": 0.9, "quantity": 0.8}
"""Already suspicious if no other column comes near: see `AHEAD`."""
AHEAD: Final = 3.0
"""So many times more is left to a perfect score for the best unsuspicious column than for an outstanding one."""
TELLING_GAPS: Final = {"classes": 0.8, "quantity": 0.5}
"""Whether a value is missing says so much only where it is filled in after the event."""


@dataclass(frozen=True, kw_only=True)
class LeakWarning:
    """One column that may know the outcome.

    Attributes:
        column: Its name; empty for the order of the rows.
        evidence: The number that speaks against it: AUC, R2, or a share of rows, as the sentence says.
        strength: 0 to 1, comparable between kinds; warnings are ordered by it.
        sentence: What was seen, and what to check.
    """

    column: str
    kind: LeakKind
    evidence: float
    strength: float
    sentence: str


def sort_of(measure: Yardstick) -> str:
    """Which of the levels hold: `classes` or `quantity`."""
    return "classes" if measure.classes else "quantity"


def is_sure(score: Score, measure: Yardstick) -> bool:
    """Whether the score alone is suspicious, whatever the other columns reach."""
    is_one_class = len(measure.classes) > 1 and score.best >= SURE_FOR_ONE_CLASS
    return score.overall >= SURE[sort_of(measure)] or is_one_class


def outstanding(scores: Mapping[str, Score], measure: Yardstick) -> list[str]:
    """Columns that are high and far ahead of the next one below; with fewer than 3 columns there is no telling."""
    sort, ranked = sort_of(measure), sorted(scores, key=lambda name: -scores[name].overall)
    chance = 0.5 if measure.classes else 0.0
    below = [*(scores[name].overall for name in ranked[1:]), chance]
    for count in range(len(ranked), 0, -1):
        best, rest = scores[ranked[count - 1]].overall, below[count - 1]
        if best >= OUTSTANDING[sort] and 1 - rest >= AHEAD * (1 - best):
            return ranked[:count]
    return []


def strength(score: Score, measure: Yardstick) -> float:
    """How much of the outcome a column gives away, 0 to 1; one class of several counts a little less than all."""
    if not measure.classes:
        return score.overall
    return max(2 * score.overall - 1, 0.95 * (2 * score.best - 1))


def in_words(score: Score, measure: Yardstick) -> tuple[float, str]:
    """The number that speaks against a column, and that number as people read it."""
    is_one_class = score.best_class is not None and len(measure.classes) > 1 and score.overall < SURE["classes"]
    value = score.best if is_one_class else score.overall
    whose = f" for {score.best_class!r} against the rest" if is_one_class else ""
    if not measure.classes:
        return value, f"R2 of the ranks {value:.3f}"
    return value, f"AUC {value:.3f}{whose}; 0.5 is chance"
