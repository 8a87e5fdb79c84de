"""Delivery: a table from its origin into the landing zone, one Parquet file per partition.

Belongs here: cutting rows into partitions, and writing only what differs. Does not belong here: where rows come from
(`origins.py`), what a partition key means (the caller's expression), and taking rows in (`assets/stages/raw.py`).
"""

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from resources.delivery_spool import Progress, Resume, partitions, spooled
from resources.objects import ObjectStore
from resources.origins import Origin
from resources.sources import PLACEHOLDER, Arrival, FileSource

__all__ = ["Delivered", "Progress", "Resume", "deliver", "delivered"]

ENDING: Final = ".parquet"
WHOLE: Final = ""
"""The one partition of a table that has none."""


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What a delivery did; partitions by key, in order.

    Attributes:
        written: Partitions that are new, or differ from what lay there.
        unchanged: Partitions that hold these rows already, in any order; their files were not touched.
        withdrawn: Partitions that lie in the landing zone and have no row in the origin any more. They stay, unless
            the delivery was asked to prune.
        rows: Rows delivered, unchanged ones included.
        undated: Rows among them whose key was null.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    withdrawn: tuple[str, ...]
    rows: int
    undated: int


def deliver(
    origin: Origin,
    landing: ObjectStore,
    pattern: str,
    key: pl.Expr | None,
    *,
    resume: Resume | None = None,
    prune: bool = False,
    progress: Progress = lambda _: None,
    scratch: Path | None = None,
) -> Delivered:
    """Bring the rows of an origin into the landing zone; afterwards it holds them, each in its partition.

    Rows keep the order of the origin within a partition. A row whose key is null goes with the row above it, and with
    the row below at the very start, so that none is lost; what to make of it is decided later, in the open. A
    partition that holds the same rows already is not written, so delivering twice changes nothing. Each file is whole
    or absent; nothing is written unless the origin could be read to its end. Memory: one batch of the origin, then
    `GROUP_BYTES` or the largest partition, a few times over.

    Args:
        origin: Where the rows are.
        landing: Where they go.
        pattern: Path of a partition, such as `sales/orders_{partition}.parquet`; without `{partition}`, of the whole.
        key: Partition key of a row as text, from its own values only; None for a table without partitions.
        resume: Deliver only from this partition on; None delivers everything.
        prune: Take away the files of partitions that have vanished from the origin.
        progress: Called with one sentence now and then.
        scratch: Folder for temporary files, about as large as the origin's rows; None is the system's.

    Raises:
        InputError: If the origin cannot be read, has no rows, or the key of every row is null.
        StoreError: If the landing zone cannot be read or written.
        ValueError: If the pattern does not end with `.parquet`, or does not fit the key.
    """
    _check(pattern, key)
    lying = FileSource(pattern=pattern).arrivals(landing)
    written: list[str] = []
    unchanged: list[str] = []
    with tempfile.TemporaryDirectory(prefix="throughline-deliver-", dir=scratch) as folder:
        spool = spooled(origin, pl.lit(WHOLE) if key is None else key, Path(folder), resume, progress)
        for partition, rows in partitions(spool):
            path = pattern.replace(PLACEHOLDER, partition)
            is_new = _put(landing, path, rows, lying.get(partition or None))
            (written if is_new else unchanged).append(partition)
        progress(f"{len(written)} partitions written, {len(unchanged)} unchanged")
    vanished = [k for k in lying if k is not None and k not in spool.rows and (resume is None or k >= resume.partition)]
    for partition in vanished if prune else []:
        landing.delete(pattern.replace(PLACEHOLDER, partition))
    return Delivered(
        written=tuple(written),
        unchanged=tuple(unchanged),
        withdrawn=tuple(sorted(vanished)),
        rows=spool.rows.total(),
        undated=spool.undated,
    )


def delivered(landing: ObjectStore, pattern: str) -> list[str]:
    """Keys of the partitions that lie in the landing zone, in order; from the last one, a caller makes a `Resume`.

    Raises:
        StoreError: If the landing zone cannot be listed.
    """
    return sorted(key for key in FileSource(pattern=pattern).arrivals(landing) if key is not None)


def _check(pattern: str, key: pl.Expr | None) -> None:
    if not pattern.endswith(ENDING):
        raise ValueError(f"field pattern: {pattern!r} does not end with {ENDING}, the one format of deliveries")
    if (PLACEHOLDER in pattern) != (key is not None):
        raise ValueError(f"field pattern: {pattern!r} holds {PLACEHOLDER} exactly if there is a partition key")


def _put(landing: ObjectStore, path: str, rows: pl.DataFrame, lying: Arrival | None) -> bool:
    """Write one partition unless its rows lie there already; true if it was written."""
    buffer = io.BytesIO()
    rows.rechunk().write_parquet(buffer, compression="zstd")
    data = buffer.getvalue()
    if lying is not None:
        before = landing.read(lying.path)
        if before == data or _holds(before, rows):
            return False
    landing.write(path, data)
    return True


def _holds(data: bytes, rows: pl.DataFrame) -> bool:
    """True if a file holds exactly these rows, in any order; another release of Polars may write other bytes."""
    try:
        before = pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError:
        return False  # damaged: what is written now mends it
    if before.schema != rows.schema or len(before) != len(rows):
        return False
    if any(dtype.is_nested() or dtype == pl.Object for dtype in rows.dtypes):
        return before.equals(rows)  # lists have no order to sort by
    return before.sort(pl.all()).equals(rows.sort(pl.all()))
