"""What the network sees of a feature table: category codes, standardised numbers, indicators of gaps.

Belongs here: scales and category tables, fitted on training rows. Does not belong here: embeddings; they are weights.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from assets.contracts import Feature
from assets.trainers.encoding import CategoryTable, Table, category_texts, numeric_matrix
from assets.trainers.network import Codes, Floats

_LARGEST_DEVIATION: Final = 5.0
"""Standardised numbers are cut here: a value beyond all training must not carry the score out of its known range."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Numbers standardised and cut, 0 (the mean) where missing, then one indicator per column that had gaps.

    Attributes:
        mean, scale: Of the values present in training, per numeric feature.
        gaps: Positions of the numeric features with gaps in training; only their indicators were ever fitted.
        tables: Category table of each categorical feature.
        shares: Share of each code in training, per table.
        number_means: Training means of the encoded numbers.
    """

    mean: list[float]
    scale: list[float]
    gaps: list[int]
    tables: list[list[str]]
    shares: list[list[float]]
    number_means: list[float]

    @classmethod
    def fit(cls, frame: pl.DataFrame, features: tuple[Feature, ...], minimum_count: int) -> "Encoder":
        """Fit on training rows."""
        values = numeric_matrix(frame, features)
        present = ~np.isnan(values)
        count = np.maximum(present.sum(axis=0), 1)
        mean = np.where(present, values, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(present, values - mean, 0.0) ** 2).sum(axis=0) / count)
        gaps = np.flatnonzero(~present.all(axis=0)).astype(np.int64)
        texts = category_texts(frame, features)
        tables = [CategoryTable.fit(t, minimum_count) for t in texts.values()]
        codes = [t.codes(v) for t, v in zip(tables, texts.values(), strict=True)]
        scale = np.where(spread > 0, spread, 1.0)
        numbers = _numbers(values, mean, scale, gaps)
        return cls(
            mean=mean.tolist(),
            scale=scale.tolist(),
            gaps=gaps.tolist(),
            tables=[list(t.known) for t in tables],
            shares=[(np.bincount(c, minlength=t.size) / len(c)).tolist() for c, t in zip(codes, tables, strict=True)],
            number_means=numbers.mean(axis=0).tolist(),
        )

    @property
    def table_sizes(self) -> list[int]:
        """Number of codes per categorical feature."""
        return [CategoryTable(tuple(known)).size for known in self.tables]

    def encode(self, frame: Table, features: tuple[Feature, ...]) -> tuple[Codes, Floats]:
        """Category codes, shape (n, n_categorical), and numbers, shape (n, n_numeric + number of gaps)."""
        codes = np.zeros((frame.height, len(self.tables)), dtype=np.int64)
        for j, texts in enumerate(category_texts(frame, features).values()):
            codes[:, j] = CategoryTable(tuple(self.tables[j])).codes(texts)
        mean, scale = np.array(self.mean), np.array(self.scale)
        return codes, _numbers(numeric_matrix(frame, features), mean, scale, np.array(self.gaps, dtype=np.int64))


def _numbers(values: Floats, mean: Floats, scale: Floats, gaps: Codes) -> Floats:
    standard = np.clip(np.nan_to_num((values - mean) / scale, nan=0.0), -_LARGEST_DEVIATION, _LARGEST_DEVIATION)
    return np.concatenate([standard, np.isnan(values[:, gaps]).astype(np.float64)], axis=1)
