"""What Dagster's runs said: old logs are taken away, while what the runs made stays on record.

Belongs here: finding and removing them. Does not belong here: how long they are kept, and of which runs
(`pipelines/maintenance.py`).

Runs are never deleted: which partitions exist, by which code, and which ingestion was cut short is all read off them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import dagster as dg

from resources.event_log import PooledSqliteEventLogStorage

FINISHED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True, kw_only=True)
class RunLogs:
    """Size in bytes of the log of each run that ended long enough ago, by run id, and how many younger ones there are.

    Attributes:
        is_supported: False if the storage keeps what runs said beside what they made; then all are kept.
    """

    old: dict[str, int]
    kept: int
    is_supported: bool


def logs_before(instance: dg.DagsterInstance, before: datetime, is_meant: Callable[[dg.DagsterRun], bool]) -> RunLogs:
    """The logs of the runs `is_meant` chooses, parted by whether they ended before an instant (UTC)."""
    storage = instance.event_log_storage
    ended = instance.get_run_records(filters=dg.RunsFilter(statuses=list(FINISHED)))
    meant = [record for record in ended if is_meant(record.dagster_run)]
    if not isinstance(storage, PooledSqliteEventLogStorage):
        return RunLogs(old={}, kept=len(meant), is_supported=False)
    sizes = {r.dagster_run.run_id: _bytes(storage, r.dagster_run.run_id) for r in meant}
    last = {r.dagster_run.run_id: r.end_time or r.update_timestamp.timestamp() for r in meant}
    old = {run_id: size for run_id, size in sizes.items() if size and last[run_id] < before.timestamp()}
    return RunLogs(old=old, kept=sum(size > 0 for size in sizes.values()) - len(old), is_supported=True)


def forget_log(instance: dg.DagsterInstance, run_id: str) -> None:
    """Take away all that a run said, the output of its steps included; the run, and what it made, stay on record."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, PooledSqliteEventLogStorage):
        storage.forget_log(run_id)


def _bytes(storage: PooledSqliteEventLogStorage, run_id: str) -> int:
    return sum(file.stat().st_size for file in storage.log_files(run_id))
