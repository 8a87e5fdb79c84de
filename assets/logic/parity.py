"""Train/serve skew as numbers: the features an answer was given by beside those the lake gives for the same question.

Belongs here: the comparison, feature by feature. Does not belong here: how either side came about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

TOLERANCE: Final = 1e-9
"""Relative to the larger of both values and 1. Sums of the same numbers in another order differ by about 1e-15 for
every number summed; a value that is really another one differs by far more."""


@dataclass(frozen=True, kw_only=True)
class FeatureParity:
    """One feature.

    Attributes:
        differing: Rows in which it is not the same: another value, or a value on one side only.
        one_sided: Those of them with a value on one side only.
        largest: Largest absolute difference where both sides have a number; None for text, or without such a row.
    """

    differing: int
    one_sided: int
    largest: float | None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """All features over the same rows.

    Attributes:
        rows: Rows compared.
        differing: Rows in which any feature is not the same.
        features: By name, those that differ in most rows first.
    """

    rows: int
    differing: int
    features: Mapping[str, FeatureParity]

    @property
    def share(self) -> float | None:
        """Share of rows with any difference; None if no row was compared."""
        return self.differing / self.rows if self.rows else None

    @property
    def worst(self) -> dict[str, FeatureParity]:
        """Those that differ at all, in the order of `features`."""
        return {name: found for name, found in self.features.items() if found.differing}


def compare(online: pl.DataFrame, offline: pl.DataFrame, features: Sequence[str]) -> Parity:
    """Compare two sides row by row. Null equals only null; NaN counts as null, which is what JSON makes of it.

    Args:
        online: What the endpoint used, shape (n, >= features).
        offline: What the lake gives, shape (n, >= features), rows as in `online`.
        features: Names to compare.

    Raises:
        ValueError: If the sides have different numbers of rows.
    """
    if len(online) != len(offline):
        raise ValueError(f"{len(online)} rows of the endpoint cannot be compared with {len(offline)} of the lake")
    any_differs = pl.repeat(False, len(online), dtype=pl.Boolean, eager=True)
    found = {}
    for name in features:
        left, right = _comparable(online[name], offline[name])
        one_sided = left.is_null() != right.is_null()
        apart, largest = _apart(left, right)
        differs = one_sided | apart
        any_differs = any_differs | differs
        found[name] = FeatureParity(differing=int(differs.sum()), one_sided=int(one_sided.sum()), largest=largest)
    ordered = dict(sorted(found.items(), key=lambda item: -item[1].differing))
    return Parity(rows=len(online), differing=int(any_differs.sum()), features=ordered)


def _comparable(online: pl.Series, offline: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Both as numbers, or both as text."""
    if pl.String in (online.dtype, offline.dtype):
        return online.cast(pl.String), offline.cast(pl.String)
    return online.cast(pl.Float64).fill_nan(None), offline.cast(pl.Float64).fill_nan(None)


def _apart(left: pl.Series, right: pl.Series) -> tuple[pl.Series, float | None]:
    """Rows in which both have a value, and not the same; and the largest difference of numbers."""
    if left.dtype == pl.String:
        return (left != right).fill_null(False), None
    difference = (left - right).abs()
    scale = pl.select(pl.max_horizontal(left.abs(), right.abs(), pl.lit(1.0))).to_series()
    near = (left == right) | ((difference <= TOLERANCE * scale) & difference.is_finite())
    apart = ~near.fill_null(True)
    return apart, None if (largest := difference.filter(apart).max()) is None else float(str(largest))
