"""How old an asset may become before Dagster shows it as stale.

Belongs here: the windows, by stage and period of the partitions. Does not belong here: telling people of it
(`pipelines/silence.py`).

What counts is when an asset was last materialised, not which days it holds: data of long ago that arrives daily is
fresh.
"""

from typing import Final, Literal

import dagster as dg

from assets.contracts import UseCase

Watched = Literal["raw", "features", "drift_report", "performance_report"]
WARN_AFTER: Final = 1.5
"""Periods. The file of a day lands some time during the next; half a day more is late."""
FAIL_AFTER: Final = 3.0
"""Periods. Two deliveries are missing."""
LATER: Final[dict[Watched, float]] = {"raw": 0.0, "features": 0.0, "drift_report": 0.5, "performance_report": 0.5}
"""Periods more. Features follow their data at once; monitors at the latest the next morning."""


def freshness(use_case: UseCase, stage: Watched) -> dg.FreshnessPolicy:
    """The policy of a stage's partitioned assets."""
    period, later = use_case.partitions.longest, LATER[stage]
    return dg.FreshnessPolicy.time_window(
        warn_window=(WARN_AFTER + later) * period, fail_window=(FAIL_AFTER + later) * period
    )
