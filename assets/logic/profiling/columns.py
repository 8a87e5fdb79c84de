"""How a column is profiled: its kind, gaps, range and oddities, from its different values and how often each occurs.

Belongs here: reading one column. Does not belong here: what comes of it (`column_profile.py`), and columns together
(`keys.py`).
"""

import re
from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl

from assets.logic.profiling.column_profile import FEW_ROWS, LISTED, UNIQUE, ColumnKind, ColumnProfile
from assets.logic.profiling.values import is_null_text, to_booleans, to_numbers, without_null_texts

IsTime = Callable[[pl.Series], bool]

QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MOSTLY: Final = 0.8
"""From this share on a column is one of numbers with misfits; below, it is text that happens to hold numbers."""
EXAMPLES: Final = 5
ID_NAME: Final = re.compile(r"(?:^|[_\W])(?:id|ids|uuid|guid|key|nr|no|num|number|code|pk|hash|token|index|idx)$", re.I)
CAMEL_ID: Final = re.compile(r"[a-z](?:Id|ID|Key|Nr|No)$")


def profile_column(column: pl.Series, *, decimal_comma: bool = False, is_time: IsTime | None = None) -> ColumnProfile:
    """What the column holds. Never fails on odd values: they are counted and named.

    Args:
        column: Text or any other type, shape (n,), in the order of the file.
        decimal_comma: Numbers in text are written as `1.234,5`.
        is_time: Whether a text column holds times; None: text never does.
    """
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        return ColumnProfile(name=column.name, kind="text", rows=len(column), missing=column.null_count(), distinct=0)
    counts = column.drop_nulls().alias("value").value_counts(name="rows").sort("value")
    texts, rows = counts["value"].cast(pl.String), counts["rows"].cast(pl.Int64)
    stripped = texts.str.strip_chars()
    void = is_null_text(stripped)
    values, nulls = pl.DataFrame([stripped, rows]), pl.DataFrame([texts, rows])
    values, nulls = (values.filter(~void), nulls.filter(void)) if void.any() else (values, nulls.clear())
    if not stripped.equals(texts):
        values = values.group_by("value", maintain_order=True).agg(pl.col("rows").sum())
    # The most frequent first; equally frequent ones in their own order.
    if len(values) < len(column):
        values = values.sort("rows", descending=True, maintain_order=True)
    return _profiled(column, values, nulls, decimal_comma, is_time)


def _profiled(
    column: pl.Series, values: pl.DataFrame, nulls: pl.DataFrame, decimal_comma: bool, is_time: IsTime | None
) -> ColumnProfile:
    filled = int(values["rows"].sum())
    texts = values["value"]
    is_text = column.dtype == pl.String
    numbers = _numbers(column, texts, decimal_comma)
    # NumPy here and below: a filter by polars costs more than all else where thousands of columns are short.
    fits = numbers.is_not_null().to_numpy()
    is_numeric = filled > 0 and float(np.dot(fits, values["rows"].to_numpy())) >= MOSTLY * filled
    zeros = is_text and bool(texts.str.contains(r"^0\d+$").any())
    kind: ColumnKind
    if not filled:
        kind = "empty"
    elif column.dtype.is_temporal():
        kind = "time"
    elif _is_boolean(texts):
        kind = "boolean"
    elif is_text and not (is_numeric and not zeros) and is_time is not None and is_time(column):
        kind = "time"
    elif is_numeric and not zeros:
        kind = (
            "integer" if _is_whole(column.dtype, texts if fits.all() else texts.filter(pl.Series(fits))) else "number"
        )
    else:
        kind = _kind_of_text(column.name, values, filled)
    is_counter = kind == "integer" and bool(fits.all()) and _counts_up(column, decimal_comma, filled)
    if kind == "integer" and (is_counter or _names_rows(column.name, len(values), filled)):
        kind = "identifier"
    return _described(column, values, nulls, numbers, kind, is_counter=is_counter, has_leading_zeros=zeros)


def _described(
    column: pl.Series,
    values: pl.DataFrame,
    nulls: pl.DataFrame,
    numbers: pl.Series,
    kind: ColumnKind,
    *,
    is_counter: bool,
    has_leading_zeros: bool,
) -> ColumnProfile:
    counts = values["rows"]
    held = kind in ("integer", "number") or (kind == "identifier" and numbers.null_count() == 0)
    misfits = values.filter(numbers.is_null()) if held and numbers.has_nulls() else values.clear()
    listed = values.head(LISTED) if kind in ("category", "boolean") and len(values) <= LISTED else values.clear()
    low: float | str | None = None
    high: float | str | None = None
    quantiles: dict[float, float] = {}
    if held:
        quantiles, low, high = _spread(numbers, counts)
    elif column.dtype.is_temporal() and kind == "time":
        low, high = str(column.min()), str(column.max())
    lengths = None
    if column.dtype == pl.String and len(values):
        chars = values["value"].str.len_chars().to_numpy()
        lengths = (int(chars.min()), float(np.average(chars, weights=counts.to_numpy())), int(chars.max()))
    return ColumnProfile(
        name=column.name,
        kind=kind,
        rows=len(column),
        missing=len(column) - int(counts.sum()),
        distinct=len(values),
        null_texts=dict(nulls.sort("value").rows()),
        examples=tuple(values["value"].head(EXAMPLES)),
        categories=dict(listed.rows()),
        minimum=low,
        maximum=high,
        quantiles=quantiles,
        lengths=lengths,
        misfits=dict(misfits.head(EXAMPLES).rows()),
        misfit_rows=int(misfits["rows"].sum()),
        has_leading_zeros=has_leading_zeros,
        is_counter=is_counter,
    )


def _spread(numbers: pl.Series, counts: pl.Series) -> tuple[dict[float, float], float, float]:
    """Quantiles, minimum and maximum of numbers that occur so often each; nulls do not count."""
    order = numbers.to_numpy().argsort()[: len(numbers) - numbers.null_count()]
    x, reached = numbers.to_numpy()[order], counts.to_numpy()[order].cumsum()
    at = np.searchsorted(reached, np.array(QUANTILES) * reached[-1])
    return dict(zip(QUANTILES, x[at].tolist(), strict=True)), float(x[0]), float(x[-1])


def _numbers(column: pl.Series, texts: pl.Series, decimal_comma: bool) -> pl.Series:
    """The different values as numbers, null where they are none; all null for types that are no numbers."""
    if column.dtype == pl.String:
        return to_numbers(texts, decimal_comma=decimal_comma)
    return to_numbers(texts) if column.dtype.is_numeric() else pl.Series([None] * len(texts), dtype=pl.Float64)


def _is_whole(dtype: pl.DataType, texts: pl.Series) -> bool:
    """Whether every number reads as an integer as it stands: `3.0` does not, so that a declared integer parses."""
    return not dtype.is_float() and texts.cast(pl.Int64, strict=False).null_count() == 0


def _is_boolean(texts: pl.Series) -> bool:
    spelled = to_booleans(texts) if len(texts) <= 2 * EXAMPLES else None
    return spelled is not None and not spelled.has_nulls() and spelled.n_unique() == 2


def _counts_up(column: pl.Series, decimal_comma: bool, filled: int) -> bool:
    """Whether whole numbers differ in every row and never fall in the order of the file."""
    if filled < FEW_ROWS:
        return False
    steps = to_numbers(without_null_texts(column), decimal_comma=decimal_comma).drop_nulls().diff().drop_nulls()
    return bool((steps > 0).all())


def _names_rows(name: str, distinct: int, filled: int) -> bool:
    """A name of an identifier over values that seldom repeat: more different ones than a category has."""
    named = bool(ID_NAME.search(name) or CAMEL_ID.search(name))
    return named and distinct > LISTED and distinct >= 0.01 * filled


def _kind_of_text(name: str, values: pl.DataFrame, filled: int) -> ColumnKind:
    counts, texts = values["rows"], values["value"]
    words = float(((texts.str.count_matches(r"\s+") + 1) * counts).sum() / filled)
    length = float((texts.str.len_chars() * counts).sum() / filled)
    varied = len(values) / filled
    if varied > 0.3 and filled >= FEW_ROWS and (words >= 3 or (words >= 2 and length >= 30)):
        return "text"
    if filled >= FEW_ROWS and varied >= UNIQUE and words < 2:
        return "identifier"
    return "identifier" if _names_rows(name, len(values), filled) and words < 2 else "category"
