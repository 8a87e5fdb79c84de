"""The run launcher of the laptop form: Dagster's own, which can also tell whether the process of a run still lives.

Belongs here: that one question. Does not belong here: what follows from the answer; Dagster's run monitoring ends on
record the run of a process that was killed, and without an answer it would wait hours for it.
"""

from typing import Any

import psutil
from dagster import DagsterEventType, DagsterRun, DefaultRunLauncher
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

START_TOLERANCE_S = 1.0
"""The start of a process is computed from the time of boot, which moves a little when the clock is set."""


class WatchedRunLauncher(DefaultRunLauncher):
    """Launches each run in a process of its own on this machine, and knows which one that is."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: run monitoring then asks."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> Any:
        """Whether the process that started the run lives; unknown while the run has not said which one that is.

        A pid that the system has given to a younger process since does not count.
        """
        started = self._instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_START)
        event = started[-1].dagster_event if started else None
        if event is None or event.pid is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the run has not said which process it is in")
        if _lives(event.pid, started[-1].timestamp):
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=str(event.pid))
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {event.pid} is gone; it was killed")


def _lives(pid: int, since: float) -> bool:
    """Whether a process runs that was there at `since` (seconds since 1970)."""
    try:
        process = psutil.Process(pid)
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        return not is_zombie and process.create_time() <= since + START_TOLERANCE_S
    except psutil.NoSuchProcess:
        return False
