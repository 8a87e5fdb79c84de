"""The lake tables of `drift_report`: a row per window and group of columns, and one per window and column.

Belongs here: their columns, and writing them. Does not belong here: judging (`assets/logic/drift.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.logic.drift import Judgement
from assets.stages.common import table_name
from assets.stages.drift_windows import JudgedPartition
from resources.lake import Commit, Lake, TableVersion

WINDOWS: Final = "drift_windows"
COLUMNS: Final = "drift_columns"
WINDOWS_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    PARTITION_KEY: pl.String(),
    "window_start": pl.Date(),
    "window_end": pl.Date(),
    "group": pl.String(),
    "score": pl.Float64(),
    "is_drifted": pl.Boolean(),
    "worst_column": pl.String(),
    "rows": pl.Int64(),
    "reference": pl.String(),
    "model_version": pl.String(),
    "note": pl.String(),
}
COLUMNS_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    PARTITION_KEY: pl.String(),
    "group": pl.String(),
    "column": pl.String(),
    "distance": pl.Float64(),
    "limit": pl.Float64(),
    "usage": pl.Float64(),
    "finding": pl.String(),
}
ALL: Final = "all"
"""Group of the one row of a window that has no reference, and so no groups."""
UNKNOWN: Final = "not in the reference"
"""Finding about a feature that was declared after the model was trained."""


def window_table(judged: Sequence[JudgedPartition]) -> pl.DataFrame:
    """Rows of `drift_windows`: one per partition and group, or one that says why there are no groups."""
    rows: list[dict[str, Any]] = []
    for one in judged:
        about = {
            PARTITION_KEY: one.key,
            "window_start": one.start,
            "window_end": one.end,
            "reference": one.version if one.judgement else None,
            "model_version": one.version,
        }
        if one.judgement is None:
            rows.append({**about, "group": ALL, "is_drifted": False, "rows": 0, "note": one.note})
            continue
        rows += [
            {
                **about,
                "group": group.name,
                "score": group.score,
                "is_drifted": group.is_drifted,
                "worst_column": group.worst,
                "rows": one.rows[group.name],
                "note": group.note,
            }
            for group in one.judgement.groups
        ]
    return pl.DataFrame(rows, schema=dict(WINDOWS_SCHEMA))


def column_table_of(use_case: UseCase, judged: Sequence[JudgedPartition]) -> pl.DataFrame:
    """Rows of `drift_columns`: one per partition and column, features that the model does not know among them."""
    rows: list[dict[str, Any]] = []
    for one in (j for j in judged if j.judgement is not None):
        judgement: Judgement = one.judgement  # type: ignore[assignment]  # the others were left out
        for column in judgement.columns:
            facts = asdict(column)
            rows.append({PARTITION_KEY: one.key, "column": facts.pop("name"), **facts})
        known = {column.name for column in judgement.columns}
        rows += [
            {
                PARTITION_KEY: one.key,
                "group": f.group,
                "column": f.name,
                "usage": 0.0,
                "finding": "not in the reference",
            }
            for f in use_case.features
            if f.name not in known
        ]
    return pl.DataFrame(rows, schema=dict(COLUMNS_SCHEMA))


def write_tables(use_case: UseCase, judged: Sequence[JudgedPartition], lake: Lake, commit: Commit) -> TableVersion:
    """Replace the partitions of both tables; the columns first, so that a verdict never stands without them."""
    keys = [one.key for one in judged]
    lake.write(table_name(use_case, COLUMNS), column_table_of(use_case, judged), partitions=keys, commit=commit)
    return lake.write(table_name(use_case, WINDOWS), window_table(judged), partitions=keys, commit=commit)
