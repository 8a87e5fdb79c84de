"""Feature tables as the model families need them: checked columns, number matrices, category codes.

Belongs here: the step from a Polars frame with declared features to arrays, the same in training and in serving.
Does not belong here: what a family fits on those arrays (scaling, imputation); that is its own module.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import Feature

if TYPE_CHECKING:
    import pandas as pd

MISSING: Final = "<missing>"
"""What a null category is called where a family needs text. No feed is expected to send it as a value."""
MISSING_CODE: Final = 0
UNKNOWN_CODE: Final = 1
_FIRST_CODE: Final = 2


class FeatureError(ValueError):
    """A table that lacks a declared feature or holds another kind of column; the message names the columns."""


def names_of(features: Sequence[Feature], kind: str) -> list[str]:
    """Names of the features of one kind (`numeric`, `categorical`), in the declared order."""
    return [f.name for f in features if f.kind == kind]


@dataclass(frozen=True, kw_only=True)
class FeatureRows:
    """A few rows as an endpoint holds them, encoded without a data frame, which costs more than the model for one row.

    Attributes:
        numbers: The numeric features in the declared order, shape (n, n_numeric), NaN where missing.
        texts: The categorical features by name, each of length n, `MISSING` where null.
    """

    numbers: npt.NDArray[np.float64]
    texts: Mapping[str, list[str]]

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.numbers)


Table: TypeAlias = "pl.DataFrame | FeatureRows"
"""What a family encodes."""


class RowReader:
    """Makes `FeatureRows` of rows of plain values."""

    def __init__(self, features: Sequence[Feature]) -> None:
        """Take the features, in the order in which the values of a row come."""
        numeric = [i for i, f in enumerate(features) if f.kind == "numeric"]
        # One call for all numbers of a row; of fewer than two it would give no tuple.
        self._numbers = itemgetter(*numeric) if len(numeric) > 1 else lambda row: [row[i] for i in numeric]
        self._width = len(numeric)
        self._categorical = [(i, f.name) for i, f in enumerate(features) if f.kind == "categorical"]

    def read(self, rows: Sequence[Sequence[Any]]) -> FeatureRows:
        """The same rows: numbers (or None) for numeric features, texts (or None) for categories.

        Raises:
            FeatureError: If a number is infinite.
        """
        numbers = np.array([self._numbers(row) for row in rows], dtype=np.float64)  # None becomes NaN
        if np.isinf(numbers).any():
            raise FeatureError("infinite values in feature rows")
        texts = {n: [MISSING if row[i] is None else row[i] for row in rows] for i, n in self._categorical}
        return FeatureRows(numbers=numbers.reshape(len(rows), self._width), texts=texts)


def check_features(frame: pl.DataFrame, features: Sequence[Feature]) -> None:
    """Refuse a frame that cannot be encoded. Other columns and any order are fine.

    Numeric features may be any number or Boolean, categories any text type; a column of nulls only is both.

    Raises:
        FeatureError: If a feature is absent or of another kind, naming all of them.
    """
    schema = frame.schema
    if absent := [f.name for f in features if f.name not in schema]:
        raise FeatureError(f"the table lacks the features {absent}; it has {len(schema)} other columns")
    wrong = [f"{f.name} ({f.kind}, but {schema[f.name]})" for f in features if not _fits(schema[f.name], f)]
    if wrong:
        raise FeatureError(f"these features hold another kind of value than declared: {', '.join(wrong)}")


def _fits(dtype: pl.DataType, feature: Feature) -> bool:
    if dtype == pl.Null:
        return True
    if feature.kind == "numeric":
        return dtype.is_numeric() or dtype == pl.Boolean
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def numeric_matrix(frame: Table, features: Sequence[Feature]) -> npt.NDArray[np.float64]:
    """The numeric features in the declared order, shape (n, n_numeric), NaN where missing.

    Raises:
        FeatureError: If a value is infinite: it comes from a division by zero upstream and no family can use it.
    """
    if isinstance(frame, FeatureRows):
        return frame.numbers
    names = names_of(features, "numeric")
    matrix = np.empty((frame.height, len(names)), dtype=np.float64)
    for j, name in enumerate(names):
        matrix[:, j] = frame.get_column(name).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if np.isinf(matrix).any():
        raise FeatureError(f"infinite values in {[n for j, n in enumerate(names) if np.isinf(matrix[:, j]).any()]}")
    return matrix


def category_texts(frame: Table, features: Sequence[Feature]) -> Mapping[str, list[str]]:
    """The categorical features as text by name, each of length n, `MISSING` where null."""
    if isinstance(frame, FeatureRows):
        return frame.texts
    names = names_of(features, "categorical")
    return {n: frame.get_column(n).cast(pl.String).fill_null(MISSING).to_list() for n in names}


def to_pandas(frame: pl.DataFrame, features: Sequence[Feature]) -> "pd.DataFrame":
    """Numeric features as float64 (NaN where missing), then categories as text, shape (n, n_features)."""
    import pandas as pd

    numbers = pd.DataFrame(numeric_matrix(frame, features), columns=names_of(features, "numeric"))
    texts = pd.DataFrame(category_texts(frame, features), index=numbers.index, dtype=object)
    return pd.concat([numbers, texts], axis=1)


@dataclass(frozen=True)
class CategoryTable:
    """The categories of one feature that training saw often enough; each has a code of its own from 2 upwards.

    Code 0 is a missing value, code 1 every other value: rare ones in training, never seen ones later. Because rare
    values train code 1, an unseen value meets weights that were fitted, not the random ones of an untouched row.
    """

    known: tuple[str, ...]

    @classmethod
    def fit(cls, texts: Sequence[str], minimum_count: int) -> "CategoryTable":
        """Keep the values that occur at least `minimum_count` times, in alphabetical order."""
        counts = Counter(texts)
        return cls(tuple(sorted(t for t, n in counts.items() if n >= minimum_count and t != MISSING)))

    @property
    def size(self) -> int:
        """Number of codes, missing and unknown included."""
        return len(self.known) + _FIRST_CODE

    def codes(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """The code of each value, shape (n,)."""
        table: Mapping[str, int] = {t: i for i, t in enumerate(self.known, start=_FIRST_CODE)} | {MISSING: MISSING_CODE}
        return np.fromiter((table.get(t, UNKNOWN_CODE) for t in texts), dtype=np.int64, count=len(texts))
