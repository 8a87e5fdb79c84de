"""How well one column alone predicts the target in the later rows, having seen the earlier ones.

Belongs here: the tiny model of a single column and its score. Does not belong here: when a score is suspicious
(`leaks.py`).

Every score comes from two tables, label sums per code in the earlier and in the later rows, so thousands of columns
cost seconds. A column is judged on the rows in which it is filled; whether it is filled is a question of its own.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.logic.profiling.codes import Codes, View
from assets.logic.profiling.labels import as_classes
from assets.policies import Task

Floats: TypeAlias = npt.NDArray[np.float64]

TRAIN_SHARE: Final = 0.7
"""The earliest rows, from which the mean of each code is learnt; the rest scores them."""
PRIOR_ROWS: Final = 2.0
"""A mean is drawn to the overall one as if so many rows more had it: a code seen once says little."""
JUDGED_CLASSES: Final = 30
"""The most frequent classes are each held against the rest; the others only count as "rest"."""
CHANCE: Final = 0.01
"""Probability that any of the columns of a table reaches a score by chance and is taken for one that predicts."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a column predicts alone.

    Attributes:
        overall: 0.5 to 1, the AUC of a class against the rest, classes weighted by their rows; or 0 to 1, R2 of the
            target's ranks.
        best: The same for the class it tells apart best; equal to `overall` where there is one thing to tell.
        best_class: That class, None for quantities.
    """

    overall: float
    best: float
    best_class: str | None = None


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """The labelled rows in time order, ready to score any column.

    Attributes:
        rows: Positions of the labelled rows in the table, earliest first, shape (n,).
        outcome: Shape (n, k): one indicator per judged class, or the rank of the quantity, 0 to 1.
        classes: Names of the judged classes, empty for a quantity.
        rest: Name of the other class where only one of two is judged.
        limit: Standard deviations from chance that a score needs, from `CHANCE` and the number of columns.
    """

    rows: Codes
    outcome: Floats
    classes: tuple[str, ...]
    rest: str = ""
    limit: float

    @property
    def cut(self) -> int:
        """How many of the rows are the earlier ones."""
        return int(TRAIN_SHARE * len(self.rows))

    def score(self, view: View) -> Score | None:
        """The score of a column in this form, None where chance could have made it or too few rows are filled.

        Args:
            view: Codes of the rows of the yardstick, shape (n,).
        """
        filled = view.codes >= 0
        early, late = filled.copy(), filled.copy()
        early[self.cut :] = False
        late[: self.cut] = False
        if early.sum() < 5 or late.sum() < 5:
            return None
        outcome, codes = self.outcome, view.codes
        seen = _sums(codes[early], outcome[early], view.size)
        asked = _sums(codes[late], outcome[late], view.size)
        if self.classes:
            return self._class_score(seen, asked, view.is_ordered)
        squares = float((outcome[late] ** 2).sum())
        return self._quantity_score(seen, asked, squares, view.is_ordered)

    def _class_score(self, seen: Floats, asked: Floats, is_ordered: bool) -> Score | None:
        scored = []
        for k, name in enumerate(self.classes):
            positives, total = asked[:, 1 + k], asked[:, 0]
            yes, no = positives.sum(), total.sum() - positives.sum()
            if not yes or not no:
                continue
            if is_ordered:
                area = _auc(np.arange(len(total), dtype=np.float64), positives, total - positives)
                area = max(area, 1 - area)
            else:
                area = _auc(_means(seen, 1 + k), positives, total - positives)
            # Source: the variance of the Mann-Whitney statistic under chance.
            deviations = (area - 0.5) / np.sqrt((yes + no + 1) / (12 * yes * no))
            scored.append((area if deviations >= self.limit else 0.5, yes, name))
        if not scored or max(s[0] for s in scored) <= 0.5:
            return None
        best, _, name = max(scored)
        overall = float(np.average([s[0] for s in scored], weights=[s[1] for s in scored]))
        return Score(overall=overall, best=best, best_class=name)

    def _quantity_score(self, seen: Floats, asked: Floats, squares: float, is_ordered: bool) -> Score | None:
        rows, sums = asked[:, 0], asked[:, 1]
        n, mean = rows.sum(), sums.sum() / rows.sum()
        spread = squares - n * mean**2
        if n < 10 or spread <= 0:
            return None
        if is_ordered:
            ranks = np.cumsum(rows) - rows / 2
            middle = (rows * ranks).sum() / n
            width = (rows * (ranks - middle) ** 2).sum()
            if width <= 0:
                return None
            r2 = float(((sums - rows * mean) * (ranks - middle)).sum() ** 2 / (width * spread))
        else:
            guess = _means(seen, 1)
            r2 = float(1 - (squares - 2 * (guess * sums).sum() + (rows * guess**2).sum()) / spread)
        # Source: Fisher's transformation of a correlation.
        is_chance = r2 <= 0 or np.arctanh(min(np.sqrt(r2), 1 - 1e-9)) * np.sqrt(n - 3) < self.limit
        return None if is_chance else Score(overall=r2, best=r2)


def yardstick(values: pl.Series, task: Task, time: pl.Series, columns: int, most_rows: int, seed: int) -> Yardstick:
    """The labelled rows in time order; at most `most_rows` of them, drawn by chance.

    Args:
        values: Labels as `labels` returns them, shape (n,).
        task: The kind of task.
        time: When each row happened, shape (n,); rows without are left out, unless none has one.
        columns: How many columns will be scored.
        most_rows: Upper limit of the rows.
        seed: For the draw.
    """
    known = values.is_not_null() & (
        time.is_not_null() if time.count() else pl.Series([True]).new_from_index(0, len(time))
    )
    rows = known.arg_true().to_numpy().astype(np.int64)
    if len(rows) > most_rows:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most_rows, replace=False))
    rows = rows[time.gather(rows).arg_sort().to_numpy()] if time.count() else rows
    taken = values.gather(rows)
    limit = NormalDist().inv_cdf(1 - CHANCE / (8 * max(columns, 1)))
    if task in ("regression", "count"):
        ranks = taken.rank("average").to_numpy().astype(np.float64) / max(len(rows), 1)
        return Yardstick(rows=rows, outcome=ranks[:, None], classes=(), limit=limit)
    texts = as_classes(taken)
    frequent = texts.alias("value").value_counts(sort=True)["value"].head(JUDGED_CLASSES).to_list()
    # Two classes are one question: the AUC of either is that of the other.
    names = sorted(frequent)
    rest = names.pop() if texts.n_unique() == 2 else ""
    outcome = np.column_stack([(texts == name).to_numpy() for name in names]) if names else np.zeros((0, 0))
    return Yardstick(rows=rows, outcome=outcome.astype(np.float64), classes=tuple(names), rest=rest, limit=limit)


def _sums(codes: Codes, outcome: Floats, size: int) -> Floats:
    """Rows and outcome sums per code, shape (size, 1 + k)."""
    sums = [np.bincount(codes, weights=outcome[:, k], minlength=size) for k in range(outcome.shape[1])]
    return np.column_stack([np.bincount(codes, minlength=size).astype(np.float64), *sums])


def _means(seen: Floats, column: int) -> Floats:
    """Mean outcome of each code in the earlier rows, drawn to the overall mean, shape (size,)."""
    prior = seen[:, column].sum() / seen[:, 0].sum()
    means: Floats = (seen[:, column] + PRIOR_ROWS * prior) / (seen[:, 0] + PRIOR_ROWS)
    return means


def _auc(guess: Floats, yes: Floats, no: Floats) -> float:
    """Area under the ROC curve of codes with a guess each, from how many rows of either kind have the code."""
    _, group = np.unique(guess, return_inverse=True)
    positives, negatives = np.bincount(group, weights=yes), np.bincount(group, weights=no)
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum() / (positives.sum() * negatives.sum()))
