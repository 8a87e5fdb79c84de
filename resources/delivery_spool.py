"""Rows of an origin on disk, by partition key: what lets a delivery cut more rows than memory holds.

Belongs here: keying rows, and finding those of a partition again in their order. Does not belong here: the landing
zone (`delivery.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from resources.errors import SourceError
from resources.origins import Origin

KEY: Final = "__throughline_partition"
"""Column of the spool that holds the partition key; the origin's own columns may be called `partition_key`."""
UNDATED: Final = "__throughline_undated"
"""Column that says, while a batch is keyed, whether its own key was null."""
GROUP_BYTES: Final = 256 << 20
"""Partitions are made for this much of the origin's rows at a time, bytes in memory; one partition may be larger."""
SPOOLED_ROWS: Final = 20_000
"""Rows of a row group of the spool: how finely partitions are found in it."""

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Resume:
    """Deliver again only from one partition on.

    Attributes:
        partition: Key of the first partition to deliver; those before it stay as they are.
        since: An instant (UTC) at or before the start of that partition; earlier rows need not be read. Where the
            origin's clock is in doubt, a day earlier costs little: rows of earlier partitions are left out anyway.
    """

    partition: str
    since: datetime


@dataclass(kw_only=True)
class Spool:
    """The rows of an origin, each batch in a file of its own and sorted by key.

    Attributes:
        files: In the order of the origin, with the keys in each; None among them stands for rows above `first`.
        rows: How many rows each partition has.
        n_bytes: Size of all rows in memory.
        undated: How many rows had no key of their own.
        first: Key of the first row that has one.
    """

    files: list[tuple[Path, frozenset[str | None]]] = field(default_factory=list)
    rows: Counter[str | None] = field(default_factory=Counter)
    n_bytes: int = 0
    undated: int = 0
    first: str | None = None


def spooled(origin: Origin, key: pl.Expr, folder: Path, resume: Resume | None, progress: Progress) -> Spool:
    """Read the origin to its end; every row then has its key, save those above the first row that has one."""
    spool, seen = Spool(), 0
    last = None
    for number, batch in enumerate(origin.batches(None if resume is None else resume.since)):
        keyed = batch.with_columns(key.cast(pl.String).alias(KEY)).with_columns(pl.col(KEY).is_null().alias(UNDATED))
        filled = keyed.with_columns(pl.col(KEY).forward_fill().fill_null(pl.lit(last, pl.String)))
        if spool.first is None:
            spool.first = _text(filled[KEY].drop_nulls().first())
        last = _text(filled[KEY].last()) if len(filled) else last
        seen += len(batch)
        if resume is not None:
            filled = filled.filter(pl.col(KEY).is_null() | (pl.col(KEY) >= resume.partition))
        if len(filled):
            _add(spool, filled, folder / f"{number:06}.parquet")
        progress(f"{seen:,} rows read from {origin.describe()}")
    if resume is None and not seen:
        raise SourceError(f"{origin.describe()} has no rows; nothing was delivered")
    if seen and spool.first is None:
        raise SourceError(
            f"{origin.describe()}: none of its {seen:,} rows has a time that can be read, so there is no partition for "
            "them; check the time column and its format"
        )
    _settle(spool, resume)
    return spool


def _text(key: object) -> str | None:
    return None if key is None else str(key)


def _add(spool: Spool, rows: pl.DataFrame, file: Path) -> None:
    counted = rows.group_by(KEY).agg(pl.len(), pl.col(UNDATED).sum()).rows()
    spool.rows.update({key: n for key, n, _ in counted})
    spool.undated += sum(undated for key, _, undated in counted if key is not None)
    spool.n_bytes += int(rows.estimated_size())
    spool.files.append((file, frozenset(key for key, _, _ in counted)))
    ordered = rows.drop(UNDATED).sort(KEY, maintain_order=True)
    ordered.write_parquet(file, compression="lz4", row_group_size=SPOOLED_ROWS)


def _settle(spool: Spool, resume: Resume | None) -> None:
    """Rows above the first one with a key go with it, or are left out with its partition."""
    leading = spool.rows.pop(None, 0)
    if leading and spool.first is not None and (resume is None or spool.first >= resume.partition):
        spool.rows[spool.first] += leading
        spool.undated += leading


def partitions(spool: Spool) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each partition once, by key, with its rows in the order of the origin."""
    for group in _groups(spool):
        wanted: set[str | None] = {*group}
        chosen = pl.col(KEY).is_between(pl.lit(group[0]), pl.lit(group[-1]))
        if spool.first in wanted:
            wanted.add(None)
            chosen |= pl.col(KEY).is_null()
        rows = pl.concat(
            [pl.scan_parquet(file).filter(chosen) for file, keys in spool.files if keys & wanted]
        ).collect()
        filled = rows.with_columns(pl.col(KEY).fill_null(pl.lit(spool.first, pl.String)))
        cut = filled.partition_by(KEY, maintain_order=True, include_key=False, as_dict=True)
        yield from sorted((str(key), frame) for (key,), frame in cut.items())


def _groups(spool: Spool) -> Iterator[list[str]]:
    """Runs of consecutive partitions that are made together."""
    row_bytes = spool.n_bytes / max(1, spool.rows.total())
    group: list[str] = []
    size = 0.0
    for key in sorted(k for k in spool.rows if k is not None):
        if group and size + spool.rows[key] * row_bytes > GROUP_BYTES:
            yield group
            group, size = [], 0.0
        group.append(key)
        size += spool.rows[key] * row_bytes
    if group:
        yield group
