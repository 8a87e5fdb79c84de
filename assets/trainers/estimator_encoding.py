"""A feature table as any scikit-learn estimator takes it: one matrix of numbers.

Belongs here: the encoding around one's own estimator. Does not belong here: encodings of our own families.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import polars as pl

from assets.contracts import Feature
from assets.trainers.calibration import Floats
from assets.trainers.encoding import CategoryTable, Table, category_texts, names_of, numeric_matrix

MOST_COLUMNS: Final = 32
"""Of a category only so many values, the commonest, get a column of their own: the matrix is dense."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Numbers as they are, then one column per value of each category: missing, any other, and the commonest ones.

    Attributes:
        fill: What stands for a missing number, per numeric feature: the training median, 0 for a feature that training
            never has.
        gaps: Positions of the numeric features whose missing values stay NaN, as the estimator takes them.
        never: Positions of those that training never has; they are 0 in every row.
        tables: Values of each categorical feature with a column of their own.
        owners: For each column the position of its feature.
    """

    fill: list[float]
    gaps: list[int]
    never: list[int]
    tables: list[list[str]]
    owners: list[int]

    @classmethod
    def fit(cls, frame: pl.DataFrame, features: tuple[Feature, ...], minimum_count: int, *, allow_gaps: bool) -> Self:
        """Fit on training rows."""
        values = numeric_matrix(frame, features)
        present = ~np.isnan(values)
        never = [j for j in range(values.shape[1]) if not present[:, j].any()]
        fill = [float(np.median(values[p, j])) if p.any() else 0.0 for j, p in enumerate(present.T)]
        tables = []
        for texts in category_texts(frame, features).values():
            common = Counter(texts).most_common(MOST_COLUMNS)
            tables.append(list(CategoryTable.fit(list(Counter(dict(common)).elements()), minimum_count).known))
        position = {f.name: i for i, f in enumerate(features)}
        owners = [position[n] for n in names_of(features, "numeric")]
        for name, table in zip(names_of(features, "categorical"), tables, strict=True):
            owners += [position[name]] * CategoryTable(tuple(table)).size
        gaps = [j for j in range(values.shape[1]) if j not in never] if allow_gaps else []
        return cls(fill=fill, gaps=gaps, never=never, tables=tables, owners=owners)

    def matrix(self, frame: Table, features: tuple[Feature, ...]) -> Floats:
        """Shape (n, columns)."""
        values = numeric_matrix(frame, features)
        values[:, self.never] = 0.0
        filled = np.where(np.isnan(values), self.fill, values)
        filled[:, self.gaps] = values[:, self.gaps]
        blocks = [filled]
        for table, texts in zip(self.tables, category_texts(frame, features).values(), strict=True):
            codes = CategoryTable(tuple(table))
            blocks.append(np.eye(codes.size)[codes.codes(texts)])
        return np.concatenate(blocks, axis=1)

    def means(self, matrix: Floats) -> Floats:
        """The average row of an encoded table, missing values left out, shape (columns,)."""
        return np.asarray(np.nanmean(matrix, axis=0), dtype=np.float64)
