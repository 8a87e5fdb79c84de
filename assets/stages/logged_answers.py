"""Records of the endpoint's log as rows of a table, partition by partition.

Belongs here: which records count, and the columns they become. Does not belong here: the segments
(`resources/serving`), and what the asset says of them (`prediction_log.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import polars as pl

from assets.contracts import PARTITION_KEY, PREDICTION_TIME, Task, UseCase
from assets.stages.segment_days import SegmentShare, taken
from resources.serving.client import SMOKE_TEST
from resources.serving.logged import LoggedSegment, instant_of
from resources.serving.segment_reading import Damage

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


def read_day(use_case: UseCase, segments: Sequence[LoggedSegment], key: str) -> LoggedDay:
    """All answers of a partition that the segments hold."""
    found = taken(use_case, segments, key, lambda content: _row(use_case.task, content), stamp="answered_at")
    asked = [row for row in found.rows if row["purpose"] != SMOKE_TEST]
    rows = _frame(use_case, asked, key).sort("answered_at", *IDENTITY, "worker").unique(IDENTITY, keep="first")
    return LoggedDay(
        rows=rows.sort("answered_at", *IDENTITY),
        smoke_tests=len(found.rows) - len(asked),
        repeated=len(asked) - len(rows),
        damage=found.damage,
        shares=found.shares,
    )


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
