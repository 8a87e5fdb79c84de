"""Which segments of the endpoint are in the lake: what is to be read next, and what may be taken away.

Belongs here: the ledgers of what was read, of answers and of late labels, and both questions to them. Does not belong
here: reading (`segment_days.py`), and doing it (the assets, and maintenance).

A segment may go once each of its lines is in the lake: the partitions that read it when it was as long as it is now
have taken all of them, but for those that no partition ever takes. An open one never goes, nor one that grew since.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.stages.cleaned import cleaned_partitions
from assets.stages.common import table_name
from assets.stages.parity_rows import DayParity
from assets.stages.segment_days import SegmentShare
from resources.lake import Commit, Lake
from resources.serving.logged import LoggedSegment

SEGMENTS: Final = "prediction_log_segments"
LABEL_SEGMENTS: Final = "feedback_segments"
DAYS: Final = "prediction_log_days"
KEEP: Final = timedelta(days=7)
"""How long a segment stays though all of it is in the lake: a week to look at the very bytes, should anybody doubt."""
SHARES: Final = {
    "segment": pl.String(),
    "size": pl.Int64(),
    "lines": pl.Int64(),
    "taken": pl.Int64(),
    "lost": pl.Int64(),
    PARTITION_KEY: pl.String(),
}


def note_read(
    use_case: UseCase, lake: Lake, key: str, shares: Sequence[SegmentShare], found: DayParity, commit: Commit
) -> None:
    """Put on record what a partition of answers was made from, and what of it could be compared."""
    note_shares(use_case, lake, SEGMENTS, key, shares, commit)
    day = {
        "rows_compared": found.parity.rows,
        "rows_differing": found.parity.differing,
        "rows_waiting": found.waiting,
        "waiting_for": ",".join(found.waiting_for),
        PARTITION_KEY: key,
    }
    lake.write(table_name(use_case, DAYS), pl.DataFrame([day]), partitions=[key], commit=commit)


def note_shares(
    use_case: UseCase, lake: Lake, ledger: str, key: str, shares: Sequence[SegmentShare], commit: Commit
) -> None:
    """Put on record what a partition was made from; what was read from segments that are gone stays on record."""
    rows = pl.DataFrame([asdict(share) | {PARTITION_KEY: key} for share in shares], schema=SHARES)
    gone = _shares(use_case, lake, ledger, [key]).filter(~pl.col("segment").is_in(rows["segment"].to_list()))
    lake.write(table_name(use_case, ledger), pl.concat([gone, rows]), partitions=[key], commit=commit)


def due(use_case: UseCase, lake: Lake, segments: Sequence[LoggedSegment], before: datetime) -> list[str]:
    """Partitions of answers to read, in order: those that ended and are `unread`, or can be compared by now."""
    landed = {*cleaned_partitions(lake, use_case)}
    waiting = _days(use_case, lake).filter(pl.col("rows_waiting") > 0)
    comparable = {k for k, keys in waiting.select(PARTITION_KEY, "waiting_for").rows() if landed & {*keys.split(",")}}
    ended = {key for key in comparable if key < _key_at(use_case, before)}
    return sorted({*unread(use_case, lake, segments, before), *ended})


def unread(
    use_case: UseCase, lake: Lake, segments: Sequence[LoggedSegment], before: datetime, ledger: str = SEGMENTS
) -> list[str]:
    """Partitions that ended and have lines the lake lacks, in order.

    Args:
        use_case: The declaration.
        lake: Where the ledger is.
        segments: Of the endpoint.
        before: Partitions that end after this instant wait.
        ledger: What was read of such segments.
    """
    partitions, shares = use_case.partitions, _shares(use_case, lake, ledger)
    known = {(row["segment"], row[PARTITION_KEY]): row["size"] for row in shares.iter_rows(named=True)}
    today = _key_at(use_case, before)
    wanted = {
        key
        for segment in segments
        if segment.first is not None and segment.last is not None
        for key in partitions.between(*sorted((_key_at(use_case, segment.first), _key_at(use_case, segment.last))))
        if known.get((segment.name, key)) != segment.size
    }
    return sorted(key for key in wanted if partitions.holds(key) and key < today)


def shipped(
    use_case: UseCase, lake: Lake, segments: Sequence[LoggedSegment], before: datetime, ledger: str = SEGMENTS
) -> list[LoggedSegment]:
    """Segments that may be taken away: sealed, their last record before an instant, and all of them in the lake."""
    shares = _shares(use_case, lake, ledger)
    found = []
    for segment in segments:
        rows = shares.filter((pl.col("segment") == segment.name) & (pl.col("size") == segment.size))
        is_old = segment.is_sealed and segment.last is not None and segment.last < before
        if is_old and len(rows) and int(rows["taken"].sum()) + rows["lost"][0] >= rows["lines"][0]:
            found.append(segment)
    return found


def outside(use_case: UseCase, segments: Sequence[LoggedSegment]) -> int:
    """How many segments hold answers of days that are no partitions, before the first or after the last one."""
    instants = [at for segment in segments for at in (segment.first, segment.last) if at is not None]
    strange = {at for at in instants if not use_case.partitions.holds(_key_at(use_case, at))}
    return sum(segment.first in strange or segment.last in strange for segment in segments)


def _key_at(use_case: UseCase, instant: datetime) -> str:
    partitions = use_case.partitions
    return str(pl.select(partitions.keys(partitions.local_day(pl.lit(instant)))).item())


def _shares(use_case: UseCase, lake: Lake, ledger: str, keys: Sequence[str] | None = None) -> pl.DataFrame:
    table = table_name(use_case, ledger)
    if lake.version(table) is None:
        return pl.DataFrame(schema=SHARES)
    return lake.scan(table, partitions=keys).select(*SHARES).collect()


def _days(use_case: UseCase, lake: Lake) -> pl.DataFrame:
    table = table_name(use_case, DAYS)
    if lake.version(table) is None:
        schema = {PARTITION_KEY: pl.String(), "waiting_for": pl.String(), "rows_waiting": pl.Int64()}
        return pl.DataFrame(schema=schema)
    return lake.scan(table).collect()
