"""The lake tables of `drift_report`: a row per window and group of columns, and one per window and column.

Belongs here: their columns, and writing them. Does not belong here: judging (`assets/logic/drift.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.logic.drift import JudgedGroup, Judgement
from assets.stages.common import table_name
from assets.stages.drift_windows import JudgedPartition
from resources.lake import Commit, Lake, TableVersion

WINDOWS: Final = "drift_windows"
COLUMNS: Final = "drift_columns"
DAYS: Final = ("window_start", "window_end")
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
            "reference": one.version if one.judgement else None,
            "model_version": one.version,
        }
        if one.judgement is None:
            days = dict(zip(DAYS, one.days_of(ALL), strict=True))
            rows.append({**about, **days, "group": ALL, "is_drifted": False, "rows": 0, "note": one.note})
            continue
        rows += [
            {
                **about,
                **dict(zip(DAYS, one.days_of(group.name), strict=True)),
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


def newest_window(use_case: UseCase, lake: Lake) -> JudgedPartition:
    """The newest window on record, with its groups and without its columns; there must be one."""
    table = table_name(use_case, WINDOWS)
    key = max(lake.partitions(table))
    found = lake.scan(table, partitions=[key]).collect().to_dicts()
    groups = tuple(
        JudgedGroup(
            name=row["group"],
            score=row["score"],
            is_drifted=row["is_drifted"],
            worst=row["worst_column"],
            note=row["note"],
        )
        for row in found
    )
    is_judged = found[0]["group"] != ALL
    return JudgedPartition(
        key=key,
        start=max(row[DAYS[0]] for row in found),
        end=max(row[DAYS[1]] for row in found),
        version=found[0]["model_version"],
        rows={row["group"]: row["rows"] for row in found},
        judgement=Judgement(groups=groups, columns=()) if is_judged else None,
        note=None if is_judged else found[0]["note"],
    )


def write_tables(use_case: UseCase, judged: Sequence[JudgedPartition], lake: Lake, commit: Commit) -> TableVersion:
    """Replace the partitions of both tables; the columns first, so that a verdict never stands without them."""
    keys = [one.key for one in judged]
    lake.write(table_name(use_case, COLUMNS), column_table_of(use_case, judged), partitions=keys, commit=commit)
    return lake.write(table_name(use_case, WINDOWS), window_table(judged), partitions=keys, commit=commit)
