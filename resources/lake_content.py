"""Rows about to be written against those of a table: do they fit, and are they the same?

Belongs here: columns, types and content, as pure functions. Does not belong here: where a table is (`lake.py`).
"""

from typing import Final

import polars as pl

from resources.errors import LakeError

PLAIN_TYPES: Final = {
    *(pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64),
    *(pl.String, pl.Binary, pl.Date, pl.Decimal),
}
"""What Delta gives back as it took it. It has no unsigned integers, no categories, no durations, no times of day."""


def refuse_unknown_types(frame: pl.DataFrame, uri: str) -> None:
    """Refuse a column that Delta would give back as another type.

    Raises:
        LakeError: Naming the columns and their types.
    """
    if strange := {name: str(dtype) for name, dtype in frame.schema.items() if not _survives(dtype)}:
        raise LakeError(
            f"{uri}: Delta has no place for {strange}; cast to signed integers, text, or Datetime('us', 'UTC') first"
        )


def fitted(frame: pl.DataFrame, schema: pl.Schema, uri: str) -> pl.DataFrame:
    """`frame` with its columns in the order of the table.

    Raises:
        LakeError: If the columns or their types are not those of `schema`.
    """
    _refuse_other_types(frame, schema, uri)
    new = [name for name in frame.columns if name not in schema]
    missing = [name for name in schema if name not in frame.columns]
    if new or missing:
        raise LakeError(
            f"{uri} has other columns than what is to be written: "
            f"new {new}, missing {missing}; declare schema_evolution if that is meant"
        )
    return frame.select(schema.names())


def evolved(frame: pl.DataFrame, schema: pl.Schema, uri: str) -> pl.DataFrame:
    """`frame` with null for columns that only the table has, and its own new columns at the end.

    Raises:
        LakeError: If a column that both have is of another type.
    """
    _refuse_other_types(frame, schema, uri)
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    new = [name for name in frame.columns if name not in schema]
    return frame.with_columns(missing).select(*schema.names(), *new)


def is_same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """True if both hold exactly the same rows, in whatever order: null equals null, NaN equals NaN.

    Rows are put in order by their hash and then compared value by value, one column at a time, so that no second copy
    of either frame is made (219,000 rows x 30 columns: 0.1 s). Two rows with one hash could at worst be taken for
    different, which costs a commit and no data.
    """
    if one.schema != other.schema or len(one) != len(other):
        return False
    left, right = one.hash_rows(), other.hash_rows()
    one_order, other_order = left.arg_sort(), right.arg_sort()
    if not left.gather(one_order).equals(right.gather(other_order)):
        return False
    return all(one[n].gather(one_order).equals(other[n].gather(other_order), null_equal=True) for n in one.columns)


def _refuse_other_types(frame: pl.DataFrame, schema: pl.Schema, uri: str) -> None:
    changed = [f"{n} is {schema[n]}, not {t}" for n, t in frame.schema.items() if n in schema and schema[n] != t]
    if changed:
        raise LakeError(f"{uri} keeps the types of its columns: {'; '.join(changed)}; cast, or write another table")


def _survives(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.Datetime):
        return dtype.time_unit == "us" and dtype.time_zone in {None, "UTC"}
    if isinstance(dtype, pl.List):
        return isinstance(dtype.inner, pl.DataType) and _survives(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return all(isinstance(f.dtype, pl.DataType) and _survives(f.dtype) for f in dtype.fields)
    return dtype.base_type() in PLAIN_TYPES
