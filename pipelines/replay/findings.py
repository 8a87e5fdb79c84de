"""What the line itself put on record during a replay: alarms, decisions, promotions.

Belongs here: reading its tables. Does not belong here: judging anything again. A table that is not there has no rows:
what writes it has not run yet.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.stages.champion import LEDGER
from assets.stages.common import table_name
from resources.lake import Lake

DRIFT: Final = "drift_windows"
PERFORMANCE: Final = "performance_windows"
DECISIONS: Final = "retraining_decisions"


def alarms_of(use_case: UseCase, lake: Lake, partitions: Sequence[str]) -> list[dict[str, Any]]:
    """Alarms of the monitors about some partitions: which monitor, the partition, and what it says."""
    found = []
    drift = _rows(use_case, lake, DRIFT, partitions)
    if drift is not None:
        for row in drift.filter(pl.col("is_drifted")).sort(PARTITION_KEY, "group").iter_rows(named=True):
            worst = f", most of all {row['worst_column']}" if row["worst_column"] else ""
            said = f"{row['group']} drifted: {row['score']:.2f} times its limit{worst}"
            found.append({"monitor": "drift", "partition": row[PARTITION_KEY], "what": said})
    performance = _rows(use_case, lake, PERFORMANCE, partitions)
    if performance is not None:
        for row in performance.filter(pl.col("is_out_of_control")).sort(PARTITION_KEY).iter_rows(named=True):
            charts = ", ".join(row["chart_alarms"] or ()) or "its charts"
            said = f"the loss is out of control by {charts}"
            found.append({"monitor": "performance", "partition": row[PARTITION_KEY], "what": said})
    return found


def decisions_between(use_case: UseCase, lake: Lake, after: datetime, until: datetime) -> list[dict[str, Any]]:
    """Decisions about retraining in a span of time (UTC; its end not included), as the ledger has them."""
    return _between(use_case, lake, DECISIONS, after, until)


def promotions_between(use_case: UseCase, lake: Lake, after: datetime, until: datetime) -> list[dict[str, Any]]:
    """Promotions, and decisions against one, in a span of time (UTC; its end not included)."""
    return _between(use_case, lake, LEDGER, after, until)


def _between(use_case: UseCase, lake: Lake, name: str, after: datetime, until: datetime) -> list[dict[str, Any]]:
    found = _rows(use_case, lake, name)
    if found is None:
        return []
    decided = pl.col("decided_at")
    return found.filter((decided >= after) & (decided < until)).sort("decided_at").to_dicts()


def _rows(use_case: UseCase, lake: Lake, name: str, partitions: Sequence[str] | None = None) -> pl.DataFrame | None:
    table = table_name(use_case, name)
    if lake.version(table) is None:
        return None
    return lake.scan(table, partitions=partitions).collect()
