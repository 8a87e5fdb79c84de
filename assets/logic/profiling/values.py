"""What a text in a landed table means: nothing, a number, yes or no, or just a text.

Belongs here: reading single values, the same for profiles and for the search for leaks. Does not belong here: times
(`assets/logic/times.py`), and what follows from a whole column (`columns.py`).
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

NULL_TEXTS: Final = frozenset(
    {"", "na", "n/a", "#n/a", "#na", "<na>", "null", "(null)", "nan", "none", "nil", "missing", "-", "--", "?", "\\n"}
)
"""Texts that stand for "no value" in files, in lower case."""
BOOLEANS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(["true", "t", "yes", "y", "1", "1.0", "on", "ja", "oui", "si", "sí"], True),
    **dict.fromkeys(["false", "f", "no", "n", "0", "0.0", "off", "nein", "non"], False),
}
"""Spellings of yes and no, in lower case."""


def without_null_texts(column: pl.Series) -> pl.Series:
    """The column with null where it holds nothing: null texts in text columns, not a number in numeric ones.

    Text comes back without spaces around it. Other types come back as they are. Shape (n,).
    """
    if column.dtype.is_float():
        return column.set(~column.is_finite(), None)
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        return column
    numbers = column.cast(pl.Float64, strict=False)
    # Most columns of a wide table are clean numbers, and then comparing every text would be most of the work.
    if numbers.null_count() == column.null_count() and not numbers.is_nan().any():
        return column
    stripped = column.str.strip_chars()
    return stripped.set(is_null_text(stripped), None)


def is_null_text(texts: pl.Series) -> pl.Series:
    """True where a stripped text stands for nothing; null where it is null. Shape (n,)."""
    return texts.str.to_lowercase().is_in(list(NULL_TEXTS))


def to_numbers(column: pl.Series, *, decimal_comma: bool = False) -> pl.Series:
    """The column as Float64, null where a value is no finite number. Shape (n,).

    Args:
        column: Text or a typed column. Booleans become 0 and 1, times are no numbers.
        decimal_comma: Text is written as `1.234,5`.
    """
    if column.dtype == pl.String:
        if decimal_comma:
            column = column.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric() or column.dtype == pl.Boolean:
        numbers = column.cast(pl.Float64, strict=False)
    else:
        numbers = pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    return numbers.set(~numbers.is_finite(), None)


def to_booleans(texts: pl.Series) -> pl.Series:
    """Yes or no by spelling, null where a text is neither. Shape (n,)."""
    return texts.cast(pl.String).str.to_lowercase().replace_strict(BOOLEANS, default=None, return_dtype=pl.Boolean)


def quoted(values: object, limit: int = 3) -> str:
    """Values as people read them in a sentence: `'a', 'b' and 4 more`."""
    listed = [repr(v) for v in values] if isinstance(values, list | tuple) else [repr(values)]
    more = len(listed) - limit
    return ", ".join(listed[:limit]) + (f" and {more} more" if more > 0 else "")
