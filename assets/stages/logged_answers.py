"""Records of the endpoint's log as rows of a table, partition by partition.

Belongs here: which records count, and the columns they become. Does not belong here: the segments
(`resources/serving`), and what the asset says of them (`prediction_log.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
import polars as pl

from assets.contracts import PARTITION_KEY, PREDICTION_TIME, Task, UseCase
from resources.serving.client import SMOKE_TEST
from resources.serving.logged import LoggedSegment, instant_of
from resources.serving.segment_reading import Damage, SegmentReader

UTC_TIME: Final = pl.Datetime("us", "UTC")
IDENTITY: Final = ("prediction_id", "row")
COLUMNS: Final[Mapping[str, pl.DataType]] = {
    "answered_at": UTC_TIME,
    "prediction_id": pl.String(),
    "row": pl.Int64(),
    "request_id": pl.String(),
    "purpose": pl.String(),
    "mode": pl.String(),
    "version": pl.Int64(),
    "family": pl.String(),
    "worker": pl.String(),
    "latency_ms": pl.Float64(),
    PREDICTION_TIME: UTC_TIME,
    "inputs": pl.String(),
    "features": pl.String(),
}
"""Of every row; `inputs` and `features` are JSON objects: what a model sees changes from version to version, and the
columns of a table must not."""
SCORES: Final[Mapping[Task, Mapping[str, pl.DataType]]] = {
    "binary": {"probability": pl.Float64()},
    "multiclass": {"class": pl.String(), "probability": pl.Float64(), "probabilities": pl.String()},
    "regression": {name: pl.Float64() for name in ("prediction", "lower", "upper")},
    "count": {name: pl.Float64() for name in ("prediction", "lower", "upper")},
}
"""What was answered, by task; the probabilities of all classes are a JSON object."""


@dataclass(frozen=True, kw_only=True)
class SegmentShare:
    """What a partition took from a segment.

    Attributes:
        size: Bytes of the segment when it was read.
        lines: Whole lines in it.
        taken: Lines that belong to the partition, smoke tests and repetitions included.
        lost: Lines that belong to none: damaged, or of a day that is no partition.
    """

    segment: str
    size: int
    lines: int
    taken: int
    lost: int


@dataclass(kw_only=True)
class LoggedDay:
    """The answers of one partition, and what was met on the way.

    Attributes:
        rows: Shape (n, `COLUMNS` + `SCORES` + partition key), each answer once, in order of time.
        smoke_tests: Lines that nobody acted on, and that are left out.
        repeated: Lines that told of a row once more.
        damage: Lines that could not be read, in all segments that were looked into.
        shares: What came from which segment.
    """

    rows: pl.DataFrame
    smoke_tests: int = 0
    repeated: int = 0
    damage: list[Damage] = field(default_factory=list)
    shares: list[SegmentShare] = field(default_factory=list)

    @property
    def torn(self) -> int:
        """Last lines that were never written to their end."""
        return sum(damage.is_torn for damage in self.damage)


def bounds(use_case: UseCase, key: str) -> tuple[datetime, datetime]:
    """The instants [begin, end) of a partition (UTC)."""
    zone = ZoneInfo(use_case.partitions.timezone)
    days = (datetime.fromisoformat(key).date(), use_case.partitions.last_day(key) + timedelta(days=1))
    begin, end = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in days)
    return begin, end


def read_day(use_case: UseCase, segments: Sequence[LoggedSegment], key: str) -> LoggedDay:
    """All answers of a partition that the segments hold."""
    begin, end = bounds(use_case, key)
    zone, found, day = ZoneInfo(use_case.partitions.timezone), [], LoggedDay(rows=_frame(use_case, [], key))
    for segment in (s for s in segments if s.may_hold(begin, end)):
        reader, taken, lost = SegmentReader(segment.path), 0, 0
        for number, content in enumerate(reader.records(), 2):
            row = _row(use_case.task, content)
            if row is None:
                day.damage.append(Damage(segment=segment.name, line=number, reason="it is no record of an answer"))
                lost += 1
            elif not begin <= row["answered_at"] < end:
                local = row["answered_at"].astimezone(zone).date()
                lost += not use_case.partitions.holds(use_case.partitions.key(local))
            else:
                taken += 1
                found.append(row)
        day.damage += reader.damage
        lost += sum(not damage.is_torn and damage.line > 1 for damage in reader.damage)
        share = SegmentShare(segment=segment.name, size=segment.size, lines=reader.lines, taken=taken, lost=lost)
        day.shares.append(share)
    asked = [row for row in found if row["purpose"] != SMOKE_TEST]
    day.smoke_tests = len(found) - len(asked)
    day.rows = _frame(use_case, asked, key).sort("answered_at", *IDENTITY, "worker").unique(IDENTITY, keep="first")
    day.rows = day.rows.sort("answered_at", *IDENTITY)
    day.repeated = len(asked) - len(day.rows)
    return day


def _frame(use_case: UseCase, rows: Sequence[Mapping[str, Any]], key: str) -> pl.DataFrame:
    schema = {**COLUMNS, **SCORES[use_case.task]}
    return pl.DataFrame(rows, schema=schema).with_columns(pl.lit(key).alias(PARTITION_KEY))


def _row(task: Task, content: bytes) -> dict[str, Any] | None:
    """A record as a row; None if it does not say when, which, by which version and what."""
    try:
        said = orjson.loads(content)
        row = {name: said.get(name) for name in COLUMNS}
        row |= {"answered_at": instant_of(said["answered_at"]), PREDICTION_TIME: instant_of(said["prediction_time"])}
        row |= {"row": int(said["row"]), "version": int(said["version"]), **_scores(task, said["score"])}
        row |= {name: None if said[name] is None else _text(said[name]) for name in ("inputs", "features")}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    is_whole = row["answered_at"] is not None and isinstance(row["prediction_id"], str)
    return row if is_whole else None


def _scores(task: Task, score: Any) -> dict[str, Any]:
    if task == "binary":
        return {"probability": float(score)}
    if task == "multiclass":
        best = max(score, key=score.__getitem__)
        return {"class": best, "probability": float(score[best]), "probabilities": _text(score)}
    return {name: float(score[name]) for name in SCORES[task]}


def _text(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()
