"""The fitted encoding of a linear model as plain arrays, for a few rows at a time.

Belongs here: what scikit-learn's fitted pipeline does with a row, without the data frames it needs for it. Does not
belong here: fitting (`linear.py`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from assets.trainers.calibration import Floats
from assets.trainers.encoding import MISSING, FeatureRows

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


class LinearRows:
    """Coefficient sums of encoded rows: equal to those of the pipeline to the last few bits."""

    def __init__(
        self,
        numeric: "tuple[Floats, list[int], Floats, Floats] | None",
        categories: Mapping[str, tuple[Mapping[str, int | None], int | None]],
    ) -> None:
        """Take medians, positions of the columns with gaps, means and scales; and by category the columns of values."""
        self._numeric, self._categories = numeric, categories

    @classmethod
    def of(cls, pipeline: "Pipeline", common: Mapping[str, Sequence[str]], rare: str) -> Self:
        """Read a fitted pipeline.

        Args:
            pipeline: Of `linear.py`.
            common: Of some categories the values that were kept; all others went as `rare`.
            rare: What they were called.
        """
        blocks = pipeline[0].named_transformers_
        numeric, width = None, 0
        if "numeric" in blocks:
            impute, scale = blocks["numeric"]
            numeric = (impute.statistics_, list(impute.indicator_.features_), scale.mean_, scale.scale_)
            width = len(scale.mean_)
        categories: dict[str, tuple[dict[str, int | None], int | None]] = {}
        for name, known, infrequent in _categories(blocks.get("categorical")):
            frequent = [v for v in known if v not in infrequent]
            column: dict[str, int | None] = {value: width + i for i, value in enumerate(frequent)}
            width += len(frequent)
            other = width if infrequent else None
            width += bool(infrequent)
            # What was common enough to keep its name and is now any other value goes the way of `rare`.
            unknown = column.get(rare, other) if name in common else other
            column.setdefault(MISSING, other)
            categories[name] = (column, unknown)
        return cls(numeric, categories)

    def scores(self, rows: FeatureRows, coefficients: Floats, intercept: Floats) -> Floats:
        """Shape (n, width): `coefficients` has shape (width, columns), `intercept` (width,)."""
        total = np.tile(intercept, (rows.height, 1))
        if self._numeric is not None:
            fill, gaps, mean, scale = self._numeric
            missing = np.isnan(rows.numbers)
            filled = np.where(missing, fill, rows.numbers)
            encoded = np.concatenate([filled, missing[:, gaps].astype(np.float64)], axis=1)
            total += (encoded - mean) / scale @ coefficients[:, : len(mean)].T
        for name, (column, unknown) in self._categories.items():
            for row, text in enumerate(rows.texts[name]):
                place = column.get(text, unknown)
                if place is not None:
                    total[row] += coefficients[:, place]
        return total


def _categories(encoder: Any) -> list[tuple[str, list[str], set[str]]]:
    """Name, known values and those of them that share a column, of each category of a fitted one-hot encoder."""
    if encoder is None:
        return []
    rare = [set() if values is None else set(values) for values in encoder.infrequent_categories_]
    return [
        (str(name), list(known), infrequent)
        for name, known, infrequent in zip(encoder.feature_names_in_, encoder.categories_, rare, strict=True)
    ]
