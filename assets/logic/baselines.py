"""Naive predictions that any model has to beat: a constant, a constant per group, and features that are one themselves.

Belongs here: what is learnt from training labels by groups at most, in the shape of the task's predictions. Does not
belong here: anything that looks at more than groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import polars as pl

from assets.logic.baseline_tasks import Finish, Naive, naive_of
from assets.logic.metrics import Floats, Labels, task_metrics

SMOOTHING: Final = 50.0
"""Pseudo-rows of all rows together added to each group: a group of 50 rows is believed by half."""


class Baseline(Protocol):
    """A prediction without a model."""

    @property
    def title(self) -> str:
        """What it is, in the words of a report."""
        ...

    def predict(self, rows: pl.DataFrame) -> Floats:
        """In the shape of the task's predictions, shape (n,) or (n, width)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """The smoothed value of each group seen in training; that of all rows for a group never seen.

    Attributes:
        by: Columns whose combinations are the groups; none: all rows are one.
        groups: Columns `by` and one per part, one row per group; a missing value is a group value of its own.
        overall: Value of all training rows together, shape (parts,).
    """

    title: str
    by: tuple[str, ...]
    groups: pl.DataFrame
    overall: Floats
    finish: Finish

    def predict(self, rows: pl.DataFrame) -> Floats:
        """The value of each row's group, same order, shape (n,) or (n, width).

        Args:
            rows: At least the columns `by`.
        """
        return self.finish(known_of(rows, self.by, self.groups, self.overall))


@dataclass(frozen=True, kw_only=True)
class AsItStands:
    """A feature that is a prediction itself; a constant where it is missing."""

    title: str
    feature: str
    constant: float
    finish: Finish

    def predict(self, rows: pl.DataFrame) -> Floats:
        """The feature with an interval around it, shape (n, 3).

        Args:
            rows: At least the feature.
        """
        return self.finish(rows[self.feature].cast(pl.Float64).fill_nan(None).fill_null(self.constant).to_numpy())


def fit_baselines(
    task: str,
    rows: pl.DataFrame,
    label: Labels,
    *,
    by: Sequence[str],
    naive: Mapping[str, str],
    classes: Sequence[str] = (),
    smoothing: float = SMOOTHING,
) -> dict[str, Baseline]:
    """The baselines of a use case by name; the names are those of `baseline_names`.

    Args:
        task: Kind of task.
        rows: Training rows, at least the columns of `by` and `naive`, shape (n, columns).
        label: Their labels as in `score`, shape (n,).
        by: Columns whose combinations are the groups; none: no groups.
        naive: Name of a baseline to the numeric column that is its prediction, for quantities and counts.
        classes: Of a multiclass task, those that are told apart; all others are one more.
        smoothing: Pseudo-rows of all rows together per group.

    Raises:
        ValueError: If there are no rows, the smoothing is not positive, or only one class occurs: a certain prediction
            would be infinitely wrong once.
    """
    if not len(label) or smoothing <= 0:
        raise ValueError(f"baselines need training rows and a positive smoothing, got {len(label)} and {smoothing}")
    way, known = naive_of(task), task_metrics(task).width
    if known != 3 and len(np.unique(label)) < 2:
        raise ValueError(f"all {len(label)} training rows are of one class; two classes are needed")
    parts = pl.DataFrame(way.parts(label, len(classes) + 1), orient="row")
    total = parts.select(way.total(pl.all())).row(0)
    overall = np.array(total, dtype=np.float64) / len(label)

    def grouped(columns: tuple[str, ...], title: str) -> Grouped:
        groups = _groups(rows, columns, parts, way, overall, smoothing)
        finish = way.finish(label, known_of(rows, columns, groups, overall))
        return Grouped(title=title, by=columns, groups=groups, overall=overall, finish=finish)

    name, title, _ = way.constant
    fitted: dict[str, Baseline] = {name: grouped((), title)}
    if by:
        name, title, _ = way.group
        fitted[name] = grouped(tuple(by), title.format(by=" and ".join(by).replace("_", " ")))
    for name, feature in naive.items():
        fitted[name] = _as_it_stands(name, feature, rows, label, float(overall[0]), way)
    return fitted


def baseline_names(task: str, by: Sequence[str], naive: Mapping[str, str]) -> dict[str, str]:
    """What `fit_baselines` will fit, by name, with the sentence that is true when a model beats it.

    Raises:
        ValueError: If the task has no naive predictions.
    """
    way = naive_of(task)
    named = {name: sentence for name, _, sentence in (way.constant, *((way.group,) if by else ()))}
    return named | {name: f"Better than the {name.replace('_', ' ')}, paired by day." for name in naive}


def known_of(rows: pl.DataFrame, by: Sequence[str], groups: pl.DataFrame, overall: Floats) -> Floats:
    """What is known of each row's group, same order, shape (n, parts)."""
    if not by:
        return np.tile(overall, (len(rows), 1))
    joined = rows.select(by).join(groups, on=list(by), how="left", nulls_equal=True, maintain_order="left")
    columns = [name for name in groups.columns if name not in by]
    filled = [joined[name].fill_null(float(value)) for name, value in zip(columns, overall, strict=True)]
    return np.column_stack([column.to_numpy() for column in filled])


def _groups(
    rows: pl.DataFrame, by: tuple[str, ...], parts: pl.DataFrame, way: Naive, overall: Floats, smoothing: float
) -> pl.DataFrame:
    """Values of groups, drawn towards that of all rows as if each had `smoothing` more rows of it."""
    if not by:
        return pl.DataFrame()
    # The names of the parts must not meet those of the groups.
    parts = parts.rename({column: f"part {j}" for j, column in enumerate(parts.columns)})
    smoothed = [
        ((way.total(pl.col(column)) + smoothing * float(value)) / (pl.len() + smoothing)).alias(column)
        for column, value in zip(parts.columns, overall, strict=True)
    ]
    return pl.concat([rows.select(by), parts], how="horizontal").group_by(by).agg(smoothed).sort(by)


def _as_it_stands(
    name: str, feature: str, rows: pl.DataFrame, label: Labels, constant: float, way: Naive
) -> AsItStands:
    points = rows[feature].cast(pl.Float64).fill_nan(None)
    there = points.is_not_null().to_numpy()
    seen = there if there.any() else np.ones(len(label), dtype=bool)
    known = points.fill_null(constant).to_numpy()[seen, None]
    finish = way.finish(label[seen], known)
    return AsItStands(
        title=name.replace("_", " "), feature=feature, constant=constant, finish=lambda p: finish(p[:, None])
    )
