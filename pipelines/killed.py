"""Runs whose process was killed: they cannot say so themselves, and would seem to go on for ever.

Belongs here: ending them on record, in Dagster and in MLflow. Does not belong here: making their work good, which the
next line does anyway (`backlog.py`).
"""

from typing import Final

import dagster as dg

from pipelines.jobs import PURPOSES, job_name
from resources.registry import MlflowModelRegistry

LAUNCHED_BY: Final = "throughline/launched_by"
"""Tag of a Dagster run that says who started it."""
LINE: Final = "line"
OPEN: Final = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)


def end_killed_runs(instance: dg.DagsterInstance, registry: MlflowModelRegistry, use_case: str) -> list[str]:
    """End what a killed line left open of one use case; the ids of its Dagster runs.

    To be called by who is the only line in this state folder: then no open run of a line has a process.
    """
    jobs = {job_name(use_case, purpose) for purpose in PURPOSES}
    launched = instance.get_runs(filters=dg.RunsFilter(tags={LAUNCHED_BY: LINE}, statuses=list(OPEN)))
    left = [run for run in launched if run.job_name in jobs]
    for run in left:
        registry.abandon(use_case, "dagster.run_id", run.run_id)
        instance.report_run_failed(run, "The process of this run was killed; the next line took its work up.")
    return [run.run_id for run in left]
