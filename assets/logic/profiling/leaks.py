"""Columns that know the outcome: found by what they give away, named with the number and with what to check.

Belongs here: the search over all columns and what their values say. Does not belong here: how a single column is scored
(`scoring.py`), and what a suspicion means for the declaration (`suggestions.py`). A warning is a question to a person,
not a verdict.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from assets.logic.profiling.circumstances import (
    correlation,
    filled_with_target,
    follows,
    later_times,
    row_order,
    telling_gaps,
)
from assets.logic.profiling.codes import View, views
from assets.logic.profiling.column_profile import FEW_ROWS, UNIQUE
from assets.logic.profiling.labels import labels
from assets.logic.profiling.scoring import Score, Yardstick, yardstick
from assets.logic.profiling.suspicions import (
    OUTSTANDING,
    LeakKind,
    LeakWarning,
    in_words,
    is_sure,
    outstanding,
    sort_of,
    strength,
)
from assets.logic.profiling.values import without_null_texts
from assets.policies import Task

CELLS: Final = 60_000_000
MOST_ROWS: Final = 50_000
FEWEST_ROWS: Final = 2_000
"""Rows that are looked at: 50,000, or fewer if the table is so wide that they would hold more than `CELLS` values."""
STEADY: Final = 0.5
"""From this R2 with the row before on, an earlier value of the target is a strong and honest feature."""
TELLING: Final[tuple[LeakKind, ...]] = (
    "filled_after",
    "later_than_question",
    "predicts_target",
    "filled_with_target",
    "row_order",
)
"""Kinds by how well they explain: of several against one column, the first is told."""


def find_leaks(
    frame: pl.DataFrame,
    target: str,
    task: Task,
    event_time: pl.Series,
    *,
    times: Mapping[str, pl.Series] | None = None,
    asked_at: pl.Series | None = None,
    except_for: Collection[str] = (),
    decimal_comma: bool = False,
    seed: int = 0,
) -> list[LeakWarning]:
    """At most one warning for each column that may know the outcome, the strongest first.

    Columns are judged one by one: two that give the target away only together are not found. What only follows the
    clock (a running number in a file by time) is not suspected because the target has a trend.

    Args:
        frame: The landed rows in the order of the file, shape (n, columns).
        target: Column to predict.
        task: Its kind of task.
        event_time: When each row happened (UTC), shape (n,), null where unknown.
        times: Other columns of times by name, parsed (UTC), each of shape (n,).
        asked_at: When the question of each row is asked (UTC), shape (n,); None: at `event_time`.
        except_for: Columns not to be judged, such as those that make up the event time.
        decimal_comma: Numbers in text are written as `1.234,5`.
        seed: For the draw of rows from a long table.

    Raises:
        TargetError: As `labels`.
    """
    values = labels(frame, target, decimal_comma=decimal_comma)
    parsed = [s.alias(name) for name, s in (times or {}).items() if name in frame.columns]
    judged = frame.with_columns(parsed).select(pl.exclude(target, *except_for))
    judged = pl.DataFrame([without_null_texts(c) for c in judged.get_columns()])
    stamps = {c.name: c for c in judged.get_columns() if isinstance(c.dtype, pl.Datetime | pl.Date)}
    found = list(later_times(stamps, event_time if asked_at is None else asked_at))
    found += filled_with_target(judged, values)
    most_rows = int(np.clip(CELLS // max(judged.width, 1), FEWEST_ROWS, MOST_ROWS))
    measure = yardstick(values, task, event_time, judged.width, most_rows, seed)
    if len(measure.rows):
        taken, taken_time = judged[measure.rows], event_time.gather(measure.rows)
        found += telling_gaps(taken, measure)
        found += _telling_values(taken, taken_time, measure, target, decimal_comma)
        found += row_order(measure, taken_time)
    return _one_per_column(found)


def _one_per_column(found: Sequence[LeakWarning]) -> list[LeakWarning]:
    kept: dict[str, LeakWarning] = {}
    for warning in sorted(found, key=lambda w: TELLING.index(w.kind)):
        known = kept.setdefault(warning.column, warning)
        kept[warning.column] = replace(known, strength=max(known.strength, warning.strength))
    return sorted(kept.values(), key=lambda w: (-w.strength, w.column))


def _telling_values(
    frame: pl.DataFrame, event_time: pl.Series, measure: Yardstick, target: str, decimal_comma: bool
) -> Iterator[LeakWarning]:
    """Columns whose values alone predict the target too well. The frame holds the rows of the yardstick."""
    scores: dict[str, Score] = {}
    for column in frame.get_columns():
        tried = [_score(v, measure) for v in views(column, event_time, decimal_comma=decimal_comma)]
        if reached := [s for s in tried if s is not None]:
            scores[column.name] = max(reached, key=lambda s: (strength(s, measure), s.overall))
    # With fewer columns there is no second best to be far ahead of.
    ahead = outstanding(scores, measure) if frame.width >= 3 else []
    for name, score in scores.items():
        if name in ahead or is_sure(score, measure):
            yield _warning(frame[name], score, measure, target)


def _score(view: View, measure: Yardstick) -> Score | None:
    """The score of one form of a column; None if it is one of the clock's."""
    score = measure.score(view)
    if score is None or (score.overall < OUTSTANDING[sort_of(measure)] and not is_sure(score, measure)):
        return score
    clock = np.arange(len(measure.rows))
    if not follows(view.codes, clock):
        return score
    # A copy of a target with a trend follows the target even more closely than the clock.
    is_copy = not measure.classes and correlation(view.codes, measure.outcome[:, 0]) > correlation(view.codes, clock)
    return score if is_copy else None


def _warning(column: pl.Series, score: Score, measure: Yardstick, target: str) -> LeakWarning:
    value, words = in_words(score, measure)
    check = "Check that it is known at prediction time and not made from the outcome"
    if _names_rows(column):
        check = "It differs in nearly every row, so check whether rows were numbered or sorted after the outcome"
    elif not measure.classes and _steadiness(measure) >= STEADY:
        check += "; an earlier value of the target is honest, and here it would predict nearly as well"
    else:
        check += "; a group that always ends alike is honest"
    sentence = f"{column.name!r} alone predicts {target!r} in later rows ({words}). {check}."
    return LeakWarning(
        column=column.name,
        kind="predicts_target",
        evidence=value,
        strength=strength(score, measure),
        sentence=sentence,
    )


def _names_rows(column: pl.Series) -> bool:
    """Whether whole numbers or texts hardly ever repeat."""
    is_able = column.dtype.is_integer() or (column.dtype == pl.String and not column.str.contains(r"[.,\s]").any())
    return is_able and column.count() >= FEW_ROWS and column.n_unique() >= UNIQUE * len(column)


def _steadiness(measure: Yardstick) -> float:
    """R2 of the target's rank with that of the row before it in time, 0 to 1."""
    ranks = measure.outcome[:, 0]
    return correlation(ranks[:-1], ranks[1:]) ** 2
