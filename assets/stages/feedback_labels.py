"""Late labels as rows of a table, and which of them hold.

Belongs here: from records to rows, whose labels they are, repetitions and restatements. Does not belong here: the
asset (`feedback.py`), and what becomes of a label that the feed has as well (`performance_rows.py`).

A label that says once more what was said last of its row is a repetition, and left out. Another one is a restatement:
both stay on record, and the one that came last holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import polars as pl

from assets.contracts import LABEL_TYPES, PARTITION_KEY, Task, UseCase
from assets.stages.common import table_name
from assets.stages.logged_answers import IDENTITY, UTC_TIME
from assets.stages.parity_rows import typed_values
from assets.stages.segment_days import Taken, taken, with_known
from resources.lake import Lake
from resources.serving.logged import LoggedSegment, instant_of

TABLE: Final = "feedback"
ID: Final = "label_id"
LABEL: Final = "feedback_label"
KNOWN_AT: Final = "feedback_known_at"
ABOUT: Final = "about"
"""Tells apart what labels are about: the entity, or the answer where its entity is not known."""


@dataclass(frozen=True, kw_only=True)
class LabelDay:
    """The labels that came in one partition.

    Attributes:
        rows: Columns of `schema`, in the order in which they came.
        repeated: Labels that said what was said already, and that are left out.
        found: What was met on the way.
    """

    rows: pl.DataFrame
    repeated: int
    found: Taken

    @property
    def unresolved(self) -> int:
        """Labels of answers that are not on record, or that were asked by features alone."""
        return self.rows["entity"].null_count()


def schema(task: Task) -> dict[str, pl.DataType]:
    """Columns of the table; `entity` is a JSON object, null where an answer's is not known."""
    return {
        "received_at": UTC_TIME,
        ID: pl.String(),
        "prediction_id": pl.String(),
        "row": pl.Int64(),
        "entity": pl.String(),
        "label": LABEL_TYPES[task],
        "known_at": UTC_TIME,
        "is_known_at_said": pl.Boolean(),
        "request_id": pl.String(),
        PARTITION_KEY: pl.String(),
    }


def entity_columns(use_case: UseCase) -> tuple[str, ...]:
    """What says which row a label is about; where nothing identifies a row, all that was asked with."""
    return use_case.entity or use_case.inputs


def read_labels(use_case: UseCase, lake: Lake, segments: Sequence[LoggedSegment], key: str) -> LabelDay:
    """The labels of a partition, those that the lake has from segments that are gone included."""
    found = taken(use_case, segments, key, lambda content: _row(use_case.task, content), stamp="received_at")
    rows = pl.DataFrame([{**row, PARTITION_KEY: key} for row in found.rows], schema=schema(use_case.task))
    every = with_known(lake, table_name(use_case, TABLE), key, rows, [ID])
    kept = without_repetitions(_resolved(use_case, lake, every))
    return LabelDay(rows=kept.drop(ABOUT), repeated=len(every) - len(kept), found=found)


def current_labels(use_case: UseCase, lake: Lake, first: str) -> pl.DataFrame | None:
    """The label that holds of each entity, of those that came since a partition; None if there are none.

    Returns:
        The columns of the entity in their types, `LABEL` and `KNOWN_AT`, one row per entity.
    """
    table, columns = table_name(use_case, TABLE), use_case.table(use_case.entity_table)
    names = entity_columns(use_case)
    if lake.version(table) is None or (columns.personal("hash") | columns.personal("drop")) & {*names}:
        return None  # of personal values the journal has a hash or nothing, and the feature table has no such column
    rows = lake.scan(table).filter((pl.col(PARTITION_KEY) >= first) & pl.col("entity").is_not_null()).collect()
    held = without_repetitions(rows.with_columns(pl.col("entity").alias(ABOUT))).unique(ABOUT, keep="last")
    if held.is_empty():
        return None
    said = [orjson.loads(text) for text in held["entity"]]
    entity = pl.DataFrame([typed_values(name, said, columns.cleaned_columns[name].dtype) for name in names])
    return entity.with_columns(held["label"].alias(LABEL), held["known_at"].alias(KNOWN_AT))


def without_repetitions(rows: pl.DataFrame) -> pl.DataFrame:
    """Labels in the order in which they came, without those that say no more than the one before of the same row."""
    ordered = rows.sort("received_at", ID)
    before = {name: pl.col(name).shift().over(ABOUT) for name in ("label", "known_at")}
    is_first = pl.int_range(pl.len()).over(ABOUT) == 0
    says_more = (pl.col("label") != before["label"]) | (
        pl.col("is_known_at_said") & (pl.col("known_at") != before["known_at"])
    )
    return ordered.filter(is_first | says_more)


def _resolved(use_case: UseCase, lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    """The same labels with the entities of the answers that are on record, and `ABOUT`."""
    ids = rows.filter(pl.col("entity").is_null())["prediction_id"].unique().to_list()
    log = table_name(use_case, "prediction_log")
    known = pl.DataFrame(schema={"prediction_id": pl.String, "row": pl.Int64, "__inputs": pl.String})
    if ids and lake.version(log) is not None:
        wanted = lake.scan(log).filter(pl.col("prediction_id").is_in(ids) & pl.col("inputs").is_not_null())
        known = wanted.select(*IDENTITY, pl.col("inputs").alias("__inputs")).collect()
    entities = [_entity(use_case, orjson.loads(text)) for text in known["__inputs"]]
    named = known.drop("__inputs").with_columns(pl.Series("__entity", entities, dtype=pl.String))
    joined = rows.join(named.unique(IDENTITY, keep="any"), on=IDENTITY, how="left", maintain_order="left")
    answer = pl.format("{}/{}", "prediction_id", "row")
    return (
        joined.with_columns(pl.col("entity").fill_null(pl.col("__entity")))
        .drop("__entity")
        .with_columns(pl.col("entity").fill_null(answer).alias(ABOUT))
    )


def _entity(use_case: UseCase, said: dict[str, Any]) -> str:
    """Entities as text, the same for the same one."""
    return orjson.dumps({name: said.get(name) for name in entity_columns(use_case)}).decode()


def _row(task: Task, content: bytes) -> dict[str, Any] | None:
    """A record as a row, without its partition; None if it does not say when, of what, and what."""
    try:
        said = orjson.loads(content)
        received_at, known_at = instant_of(said["received_at"]), said["known_at"]
        entity = said["entity"]
        row = {
            "received_at": received_at,
            ID: str(said[ID]),
            "prediction_id": said["prediction_id"],
            "row": None if entity is not None else int(said["row"]),
            "entity": None if entity is None else orjson.dumps(entity).decode(),
            "label": _label(task, said["label"]),
            "known_at": received_at if known_at is None else instant_of(known_at),
            "is_known_at_said": known_at is not None,
            "request_id": said["request_id"],
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return None if row["received_at"] is None or row["known_at"] is None else row


def _label(task: Task, label: Any) -> int | float | str:
    if task == "multiclass":
        return str(label)
    return float(label) if task == "regression" else int(label)
