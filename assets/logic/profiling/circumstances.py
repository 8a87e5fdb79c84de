"""What gives the outcome away beside the values: gaps, times, and the order of the rows.

Belongs here: evidence that does not depend on what a column says. Does not belong here: what its values say
(`leaks.py`).
"""

from collections.abc import Iterator, Mapping
from math import log
from typing import Final

import numpy as np
import polars as pl

from assets.logic.profiling.codes import Codes, as_utc, gaps, views
from assets.logic.profiling.scoring import CHANCE, Floats, Score, Yardstick
from assets.logic.profiling.suspicions import TELLING_GAPS, LeakWarning, in_words, is_sure, sort_of, strength

LATER_SHARE: Final = 0.01
"""Times later than the question in fewer rows are typing errors."""
PURE: Final = 0.98
COMMON: Final = 0.8
PURE_ROWS: Final = 5
"""Filled (or empty) rows tell if `PURE` of them have an outcome that at most `COMMON` of all rows have, and there are
some, both earlier and later; how many more chance could not make is computed."""
ENOUGH: Final = 20
"""Rows without a label, and rows with one, that a comparison of both needs."""
TOGETHER: Final = 0.75
"""How much more often a column is empty where the label is missing than elsewhere, if both come from one record."""
ORDERED: Final = 0.95
"""From this rank correlation on one order is the other."""


def telling_gaps(frame: pl.DataFrame, measure: Yardstick) -> Iterator[LeakWarning]:
    """Columns whose being filled predicts the target.

    Args:
        frame: The rows of the yardstick, shape (n, columns).
        measure: Its yardstick.
    """
    for column in frame.get_columns():
        view = gaps(column)
        if not 0 < view.codes.sum() < len(view.codes):
            continue
        score = measure.score(view)
        found = None
        if score is not None and score.best >= TELLING_GAPS[sort_of(measure)]:
            value, words = in_words(score, measure)
            found = value, strength(score, measure), f"whether it is filled predicts the target ({words})"
        found = found or _pure(view.codes, measure, frame.width)
        if found:
            value, power, words = found
            sentence = (
                f"{column.name!r} looks as if it were filled in after the event: {words}. "
                "Check when it is entered; if that is after prediction time, declare it known later."
            )
            yield LeakWarning(
                column=column.name, kind="filled_after", evidence=value, strength=power, sentence=sentence
            )


def _pure(empty: Codes, measure: Yardstick, columns: int) -> tuple[float, float, str] | None:
    """Filled (or empty) rows that have one outcome only, in the earlier and in the later rows."""
    if not measure.classes:
        return None
    names, outcome = measure.classes, measure.outcome
    if measure.rest:
        names, outcome = (*names, measure.rest), np.column_stack([outcome, 1 - outcome])
    for state, word in ((0, "filled"), (1, "empty")):
        for part in (slice(measure.cut), slice(measure.cut, None)):
            rows = outcome[part][empty[part] == state]
            base = outcome[part].mean(axis=0)
            if len(rows) < PURE_ROWS:
                break
            shares = rows.mean(axis=0)
            best = int(shares.argmax())
            is_chance = len(rows) * log(max(base[best], 1e-9)) > log(CHANCE / (8 * columns))
            if shares[best] < PURE or base[best] > COMMON or is_chance:
                break
        else:
            share = float(shares[best])
            told = f"where it is {word}, the outcome is {names[best]!r} in {share:.1%} of the later rows"
            return share, share * len(rows) / max(float(outcome[measure.cut :, best].sum()), len(rows)), told
    return None


def filled_with_target(frame: pl.DataFrame, values: pl.Series) -> Iterator[LeakWarning]:
    """Columns that are empty where the label is missing, and else filled: they seem to come with it.

    Rows in which most columns are missing are an outage of the source, and say nothing.

    Args:
        frame: All rows, shape (n, columns).
        values: The labels, null where missing, shape (n,).
    """
    unknown = values.is_null().to_numpy()
    if unknown.sum() < ENOUGH or (~unknown).sum() < ENOUGH:
        return
    differences = {}
    for column in frame.get_columns():
        empty = gaps(column).codes
        differences[column.name] = float(empty[unknown].mean() - empty[~unknown].mean())
    found = {name: d for name, d in differences.items() if d >= TOGETHER}
    if len(found) > 1 and 2 * len(found) > frame.width:
        return
    for name, difference in found.items():
        sentence = (
            f"{name!r} is empty where the target is, {difference:.0%} more often than elsewhere, so both seem to come "
            "from one record. Check whether it is known before the outcome."
        )
        yield LeakWarning(
            column=name, kind="filled_with_target", evidence=difference, strength=0.5 * difference, sentence=sentence
        )


def later_times(times: Mapping[str, pl.Series], asked_at: pl.Series) -> Iterator[LeakWarning]:
    """Columns of times that lie after the question.

    Args:
        times: By name, each of shape (n,).
        asked_at: The instant of the question (UTC), shape (n,).
    """
    for name, stamps in times.items():
        later = (as_utc(stamps) > as_utc(asked_at)).drop_nulls()
        share = float(later.mean() or 0) if len(later) else 0.0  # type: ignore[arg-type]
        if share < LATER_SHARE:
            continue
        sentence = (
            f"{name!r} is later than the prediction time in {share:.1%} of the rows. Unless it is a plan known in "
            "advance (a due date), it is known only then: declare it known later."
        )
        yield LeakWarning(
            column=name, kind="later_than_question", evidence=share, strength=0.8 * share, sentence=sentence
        )


def row_order(measure: Yardstick, event_time: pl.Series) -> Iterator[LeakWarning]:
    """A warning if the position in the file predicts the target, though the file is not ordered by time."""
    position = pl.Series(measure.rows).cast(pl.Float64)
    scores: list[Score] = []
    for view in views(position, event_time):
        score = None if follows(view.codes, np.arange(len(measure.rows))) else measure.score(view)
        scores += [score] if score is not None and is_sure(score, measure) else []
    if scores:
        best = max(scores, key=lambda s: s.overall)
        value, words = in_words(best, measure)
        sentence = (
            f"The order of the rows predicts the target ({words}): the file seems sorted by outcome. Running numbers "
            "and ids given in that order know it too, so leave them out."
        )
        yield LeakWarning(
            column="", kind="row_order", evidence=value, strength=0.9 * strength(best, measure), sentence=sentence
        )


def follows(codes: Codes | Floats, order: Codes) -> bool:
    """Whether codes rise (or fall) with an order, both of shape (n,); empty rows (-1) do not count."""
    return correlation(codes, order) >= ORDERED


def correlation(codes: Codes | Floats, other: Codes | Floats) -> float:
    """Absolute correlation over the filled rows, 0 to 1; 0 where one of them does not vary."""
    filled = codes >= 0
    a, b = codes[filled].astype(np.float64), other[filled].astype(np.float64)
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return 0.0
    return abs(float(np.corrcoef(a, b)[0, 1]))
