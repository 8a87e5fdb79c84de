"""Two naive predictions that any model has to beat: the overall rate, and the rate of a few groups.

Belongs here: rates learnt from training labels. Does not belong here: anything that looks at more than groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import polars as pl

from assets.logic.metrics import Floats, Labels

SMOOTHING: Final = 50.0
"""Pseudo-rows of the overall rate added to each group: a group of 50 rows is believed by half."""


class Baseline(Protocol):
    """A prediction without a model."""

    @property
    def title(self) -> str:
        """What it is, in the words of a report."""
        ...

    def predict(self, rows: pl.DataFrame) -> Floats:
        """Probability of the positive class, shape (n,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class BaseRate:
    """The same probability for every row."""

    rate: float

    @property
    def title(self) -> str:
        """What it is, in the words of a report."""
        return "base rate of the training rows"

    def predict(self, rows: pl.DataFrame) -> Floats:
        """The base rate for each row, shape (n,)."""
        return np.full(len(rows), self.rate)


@dataclass(frozen=True, kw_only=True)
class GroupRate:
    """The smoothed rate of each group seen in training; the base rate for a group never seen.

    Attributes:
        rates: Columns `by` and rate, one row per group; a missing value is a group value of its own.
    """

    by: tuple[str, ...]
    base: BaseRate
    rates: pl.DataFrame

    @property
    def title(self) -> str:
        """What it is, in the words of a report."""
        return f"rate by {' and '.join(self.by)}".replace("_", " ")

    def predict(self, rows: pl.DataFrame) -> Floats:
        """The rate of each row's group, shape (n,), same order.

        Args:
            rows: At least the columns `by`.
        """
        joined = rows.select(self.by).join(
            self.rates, on=list(self.by), how="left", nulls_equal=True, maintain_order="left"
        )
        return joined["rate"].fill_null(self.base.rate).to_numpy()


def base_rate(label: Labels) -> BaseRate:
    """The share of label 1.

    Args:
        label: Training labels 0 or 1, shape (n,).

    Raises:
        ValueError: If there is no row or only one class: a certain prediction would be infinitely wrong once.
    """
    classes = np.unique(label)
    if len(classes) < 2:
        raise ValueError(f"the training rows hold {len(label)} labels of {len(classes)} class; both classes are needed")
    return BaseRate(rate=float(np.mean(label)))


def group_rate(groups: pl.DataFrame, label: Labels, *, by: Sequence[str], smoothing: float = SMOOTHING) -> GroupRate:
    """Rates of groups, drawn towards the base rate as if each had `smoothing` more rows of it.

    Args:
        groups: At least the columns `by`, shape (n, >= len(by)).
        label: Training labels 0 or 1, shape (n,).
        by: Columns whose combinations are the groups.
        smoothing: Pseudo-rows of the base rate per group.

    Raises:
        ValueError: If `by` is empty, `smoothing` not positive, or the labels have one class.
    """
    if not by or smoothing <= 0:
        raise ValueError(
            f"a group rate needs columns to group by and a positive smoothing, got {list(by)}, {smoothing}"
        )
    base = base_rate(label)
    rates = (
        groups.select(by)
        .with_columns(label=pl.Series(label).cast(pl.Float64))
        .group_by(by)
        .agg(rate=(pl.col("label").sum() + smoothing * base.rate) / (pl.len() + smoothing))
        .sort(by)
    )
    return GroupRate(by=tuple(by), base=base, rates=rates)


def fit_baselines(groups: pl.DataFrame, label: Labels, *, by: Sequence[str]) -> dict[str, Baseline]:
    """The baselines of a use case by name: `base_rate`, and `group_rate` if it names columns.

    Raises:
        ValueError: If the training labels have only one class.
    """
    baselines: dict[str, Baseline] = {"base_rate": base_rate(label)}
    if by:
        baselines["group_rate"] = group_rate(groups, label, by=by)
    return baselines
