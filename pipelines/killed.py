"""Runs that are open when a line begins: those whose process was killed, and those that go on in another process.

Belongs here: ending the former on record, in Dagster and in MLflow, and waiting for the latter. Does not belong here:
making the work of killed ones good, which the next line does anyway (`backlog.py`).
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import dagster as dg
from dagster._core.launcher import WorkerStatus

from pipelines.jobs import PURPOSES, job_name
from pipelines.silence import DAEMON, silent_daemons
from resources.registry import MlflowModelRegistry

LAUNCHED_BY: Final = "throughline/launched_by"
"""Tag of a Dagster run that says who started it."""
LINE: Final = "line"
POLL_SECONDS: Final = 2.0
OPEN: Final = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)
TO_COME: Final = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING)
"""Of a run without a process yet."""
UNDER_WAY: Final = (*TO_COME, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


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


def wait_for_others(instance: dg.DagsterInstance, use_case: str, echo: Callable[[str], None]) -> None:
    """Wait for runs of a use case that sensors or people asked for and whose process lives, or is to come.

    Sensors start none while a line runs; two that write the same tables at once would each see half of the other.
    """
    told: set[str] = set()
    while others := [run for run in _open_runs(instance, use_case) if _lives(instance, run)]:
        for run in (run for run in others if run.run_id not in told):
            echo(f"Waiting for {run.job_name} (Dagster run {run.run_id}), which goes on in another process ...")
            told.add(run.run_id)
        time.sleep(POLL_SECONDS)


def _open_runs(instance: dg.DagsterInstance, use_case: str) -> list[dg.DagsterRun]:
    jobs = {job_name(use_case, purpose) for purpose in PURPOSES}
    found = instance.get_runs(filters=dg.RunsFilter(statuses=list(UNDER_WAY)))
    of_use_case = (run for run in found if any(key.path[0] == use_case for key in run.asset_selection or ()))
    return [*(run for run in found if run.job_name in jobs), *(run for run in of_use_case if run.job_name not in jobs)]


def _lives(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if run.status in TO_COME:  # the daemon starts its process, or ends it on record if none comes; without one neither
        return all(silent.about != DAEMON for silent in silent_daemons(instance, datetime.now(UTC)))
    launcher = instance.run_launcher
    if not launcher.supports_check_run_worker_health:
        return False  # an instance of a test, which has no other processes
    return launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
