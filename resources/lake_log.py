"""What the log of a lake table says of its rows: a few requests, where a scan on S3 would take one for every file.

Belongs here: figures by partition that Delta keeps with each file. Does not belong here: rows, and the history of
commits (`lake.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import deltalake
import polars as pl
from deltalake.exceptions import DeltaError, TableNotFoundError

from resources.errors import LakeError
from resources.lake import PARTITION_KEY, Lake

PRECISION: Final = "1ms"
"""Of an instant in the log."""
_KEY: Final = f"partition.{PARTITION_KEY}"


def as_kept(instant: datetime) -> datetime:
    """An instant as `newest` tells it: without its last microseconds."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def row_counts(lake: Lake, table: str) -> dict[str | None, int]:
    """Rows by partition (None: all of an unpartitioned table); partitions without rows are left out.

    No table is a table without rows.

    Raises:
        LakeError: If the store fails.
    """
    with _named(lake, table):
        delta = _opened(lake, table)
        if delta is None:
            return {}
        counted = _files(delta).group_by(_KEY).agg(pl.col("num_records").sum(), unknown=_is_unknown("num_records"))
    if counted["unknown"].any():
        raise LakeError(f"{lake.uri(table)}: another tool wrote files of which the log counts no rows")
    return {key: int(rows) for key, rows in counted.select(_KEY, "num_records").iter_rows() if rows}


def newest(lake: Lake, table: str, column: str) -> dict[str | None, datetime]:
    """The last instant of a column by partition (None: of an unpartitioned table), cut to the millisecond.

    Delta keeps it for the first 32 columns of a table; of the others the column is read. No table is a table without
    rows; a partition without any value is left out.

    Raises:
        LakeError: If the store fails, or there is no such column.
    """
    with _named(lake, table):
        delta = _opened(lake, table)
        if delta is None:
            return {}
        kept = f"max.{column}"
        files = _files(delta)
        if kept not in files.columns:
            files = files.with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias(kept))
        found = files.group_by(_KEY).agg(pl.col(kept).max(), unknown=_is_unknown(kept))
        told = found.filter(~pl.col("unknown")).select(_KEY, pl.col(kept).dt.truncate(PRECISION))
        silent = found.filter("unknown")[_KEY].to_list()
        read = _read(lake, table, column, silent, delta.version()) if silent else {}
    return {**dict(told.iter_rows()), **read}


def _read(lake: Lake, table: str, column: str, keys: list[str | None], version: int) -> dict[str | None, datetime]:
    """The same for some partitions, by their rows."""
    is_whole = keys == [None]
    rows = lake.scan(table, version=version, partitions=None if is_whole else [str(key) for key in keys])
    key = pl.lit(None, pl.String) if is_whole else pl.col(PARTITION_KEY)
    last = rows.group_by(key.alias(_KEY)).agg(pl.col(column).max().dt.truncate(PRECISION)).collect()
    return {key: at for key, at in last.iter_rows() if at is not None}


def _files(delta: deltalake.DeltaTable) -> pl.DataFrame:
    """A row per file of the current version, with its partition and figures; the key of no partition is null."""
    files = pl.DataFrame(delta.get_add_actions(flatten=True))
    return files if _KEY in files.columns else files.with_columns(pl.lit(None, pl.String).alias(_KEY))


def _is_unknown(figure: str) -> pl.Expr:
    return pl.col(figure).is_null().any()


def _opened(lake: Lake, table: str) -> deltalake.DeltaTable | None:
    try:
        return deltalake.DeltaTable(lake.uri(table), storage_options=lake.options)
    except TableNotFoundError:
        return None


@contextmanager
def _named(lake: Lake, table: str) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(f"cannot read the log of {table} in the lake at {lake.root}: {error}") from error
