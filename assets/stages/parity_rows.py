"""The features of logged answers once more, from the lake: what the endpoint should have used.

Belongs here: which answers can be compared by now, and both sides of them. Does not belong here: the comparison
(`assets/logic/parity.py`).

An answer is compared once the data of the days it looked at has landed: of the day of its event, or of two days after
its question, if the event lies further ahead. Answers to full feature rows have no side of their own, and personal
inputs are not on record as they were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import orjson
import polars as pl

from assets.checks.leakage import AHEAD
from assets.contracts import PREDICTION_TIME, UseCase
from assets.logic.parity import Parity, compare
from assets.stages.cleaned import cleaned_partitions
from assets.stages.features import load_history
from resources.lake import Lake

MOST_ROWS: Final = 5_000
"""Answers of a partition that are compared. A share of differing rows of 1 % is then known to a third of itself."""
NEEDED: Final = "__needed"


@dataclass(frozen=True, kw_only=True)
class DayParity:
    """How near the answers of a partition were to the lake.

    Attributes:
        parity: Of the answers that were compared.
        by_inputs: Answers that were asked by inputs, compared or not.
        waiting: Of those chosen, how many look at partitions that have not landed.
        waiting_for: Those partitions, in order.
        redacted: Features and inputs that are personal, and so not on record.
    """

    parity: Parity
    by_inputs: int
    waiting: int
    waiting_for: Sequence[str]
    redacted: Sequence[str]


def day_parity(use_case: UseCase, lake: Lake, rows: pl.DataFrame) -> DayParity:
    """Compare answers with the lake.

    Args:
        use_case: The declaration.
        lake: Where the cleaned tables are.
        rows: Of `prediction_log`, shape (n, columns).
    """
    table = use_case.table(use_case.entity_table)
    personal = table.personal("hash") | table.personal("drop")
    features = [name for name in use_case.feature_names if name not in personal]
    asked = rows.filter(pl.col("inputs").is_not_null() & pl.col(PREDICTION_TIME).is_not_null())
    # Ids are random, so the first of them are a fair sample, and the same one each time.
    chosen = asked.sort("prediction_id", "row").head(0 if personal & {*use_case.inputs} else MOST_ROWS)
    needed = _with_needed(use_case, chosen, _typed_inputs(use_case, chosen))
    landed = {*cleaned_partitions(lake, use_case)}
    missing = sorted({key for key in needed[NEEDED] if key not in landed})
    there = needed.filter(~pl.col(NEEDED).is_in(missing))
    online, offline = _sides(use_case, lake, there, features)
    return DayParity(
        parity=compare(online, offline, features),
        by_inputs=len(asked),
        waiting=len(needed) - len(there),
        waiting_for=missing,
        redacted=sorted(personal & {*use_case.inputs, *use_case.feature_names}),
    )


def _sides(
    use_case: UseCase, lake: Lake, rows: pl.DataFrame, features: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the endpoint used and what the lake gives, for the same rows in the same order."""
    used, built = [], []
    for first, last in use_case.partitions.ranges({*rows[NEEDED]}):
        part = rows.filter(pl.col(NEEDED).is_between(pl.lit(first), pl.lit(last)))
        spine = part.select(*use_case.inputs, PREDICTION_TIME)
        history = load_history(lake, use_case, use_case.partitions.between(first, last))
        built.append(use_case.build_features(spine, history).select(features))
        used.append(_typed_features(use_case, part["features"], features))
    if not used:
        empty = _typed_features(use_case, pl.Series([], dtype=pl.String), features)
        return empty, empty
    return pl.concat(used), pl.concat(built, how="vertical_relaxed")


def _with_needed(use_case: UseCase, rows: pl.DataFrame, inputs: pl.DataFrame) -> pl.DataFrame:
    """Inputs, prediction time and features as text, with the partition that has to be there."""
    partitions = use_case.partitions
    seen = pl.min_horizontal(use_case.event_time, pl.col(PREDICTION_TIME) + AHEAD)
    asked = inputs.with_columns(rows[PREDICTION_TIME], rows["features"])
    return asked.with_columns(partitions.keys(partitions.local_day(seen)).alias(NEEDED))


def _typed_inputs(use_case: UseCase, rows: pl.DataFrame) -> pl.DataFrame:
    columns = use_case.table(use_case.entity_table).cleaned_columns
    said = [orjson.loads(text) for text in rows["inputs"]]
    return pl.DataFrame([typed_values(name, said, columns[name].dtype) for name in use_case.inputs])


def _typed_features(use_case: UseCase, texts: pl.Series, features: Sequence[str]) -> pl.DataFrame:
    categorical = {*use_case.categorical}
    said = [orjson.loads(text) for text in texts]
    return pl.DataFrame([typed_values(n, said, pl.String() if n in categorical else pl.Float64()) for n in features])


def typed_values(name: str, said: Sequence[Mapping[str, Any]], dtype: pl.DataType) -> pl.Series:
    """A column of JSON records in its declared type; a value that is not of this type is null, and so differs."""
    values = [record.get(name) for record in said]
    if isinstance(dtype, pl.Datetime):
        return pl.Series(name, [v and datetime.fromisoformat(v) for v in values], dtype=dtype)
    if dtype == pl.Date:
        return pl.Series(name, [v and date.fromisoformat(v) for v in values], dtype=dtype)
    return pl.Series(name, values, dtype=dtype, strict=False)
