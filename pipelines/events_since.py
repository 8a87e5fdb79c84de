"""What Dagster's event log says of one use case since a place in it.

Belongs here: finding runs that came to their end, and what they said, by a number that only grows. Does not belong
here: what of it deserves a notice (`alerts.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from assets.contracts import UseCase

MOST: Final = 50
"""Events that one look takes; the next look takes the rest. Reading one run costs 3 to 10 ms."""
ENDED: Final = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_CANCELED)
WILL_RETRY: Final = "dagster/will_retry"
"""Tag that Dagster gives a failed run right after it put the failure on record."""
TAG_AFTER: Final = timedelta(minutes=1)
"""By then the tag is there, or whoever should have given it was killed."""
SAID: Final = {
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """A run that came to its end, whichever.

    Attributes:
        is_final: Whether it failed and is not about to be tried again.
        faults: Why it failed, as `step: reason`; those that only say that a check failed are left out.
        checks: The last evaluation of each check; a run over a range may evaluate one for every partition.
    """

    number: int
    run: dg.DagsterRun
    is_final: bool
    faults: tuple[str, ...]
    checks: tuple[dg.AssetCheckEvaluation, ...]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A materialisation that was asked for by name; `metadata` as plain values."""

    number: int
    asset: str
    run_id: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Since:
    """What happened, in order, and the place up to which it was read."""

    ended: Sequence[EndedRun]
    made: Sequence[Made]
    reached: int


def newest(instance: dg.DagsterInstance) -> int:
    """The place after everything that is on record."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def events_since(
    instance: dg.DagsterInstance, use_case: UseCase, jobs: Collection[str], assets: Sequence[dg.AssetKey], after: int
) -> Since:
    """What happened after a place in the log: ends of runs, and materialisations of `assets`.

    `jobs` are the names of the use case's own; runs of its assets that were started without a job count as well.
    """
    found = sorted([*_ends(instance, after), *_materialisations(instance, assets, after)], key=lambda r: r.storage_id)
    ended, made, reached = [], [], after
    runs = _runs(instance, [record.run_id for record in found[:MOST]])
    for record in found[:MOST]:
        event = record.event_log_entry.get_dagster_event()
        if event.is_step_materialization:
            made.append(_made(record))
        elif (run := runs.get(record.run_id)) is not None and _is_ours(run, use_case, jobs):
            if _is_undecided(instance, run, record):
                break
            ended.append(_ended(instance, run, record.storage_id))
        reached = record.storage_id
    return Since(ended=ended, made=made, reached=reached)


def _ends(instance: dg.DagsterInstance, after: int) -> list[dg.EventLogRecord]:
    found: list[dg.EventLogRecord] = []
    for kind in ENDED:
        wanted = dg.RunStatusChangeRecordsFilter(event_type=kind, after_storage_id=after)
        found += instance.fetch_run_status_changes(wanted, limit=MOST, ascending=True).records
    return found


def _materialisations(
    instance: dg.DagsterInstance, assets: Sequence[dg.AssetKey], after: int
) -> list[dg.EventLogRecord]:
    found: list[dg.EventLogRecord] = []
    for key in assets:
        wanted = dg.AssetRecordsFilter(asset_key=key, after_storage_id=after)
        found += instance.fetch_materializations(wanted, limit=MOST, ascending=True).records
    return found


def _runs(instance: dg.DagsterInstance, run_ids: list[str]) -> dict[str, dg.DagsterRun]:
    if not run_ids:
        return {}
    return {run.run_id: run for run in instance.get_runs(filters=dg.RunsFilter(run_ids=list(set(run_ids))))}


def _is_ours(run: dg.DagsterRun, use_case: UseCase, jobs: Collection[str]) -> bool:
    # Dagster's job for assets without one has the same name in every code location.
    return run.job_name in jobs or any(key.path[0] == use_case.name for key in run.asset_selection or ())


def _is_undecided(instance: dg.DagsterInstance, run: dg.DagsterRun, record: dg.EventLogRecord) -> bool:
    """Whether it cannot be said yet if a failed run is tried again."""
    if not (run.is_failure and instance.run_retries_enabled) or WILL_RETRY in run.tags:
        return False
    return datetime.now(UTC) - datetime.fromtimestamp(record.timestamp, UTC) < TAG_AFTER


def _ended(instance: dg.DagsterInstance, run: dg.DagsterRun, number: int) -> EndedRun:
    faults, checks, last_words = [], {}, "no message"
    for entry in instance.all_logs(run.run_id, of_type=SAID):
        event = entry.get_dagster_event()
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            checks[evaluation.asset_check_key] = evaluation
        elif event.is_step_failure:
            faults += _fault(event)
        else:
            last_words = event.message or last_words
    if run.is_failure and not faults and not any(_stops(check) for check in checks.values()):
        faults.append(last_words)
    return EndedRun(
        number=number,
        run=run,
        is_final=run.is_failure and run.tags.get(WILL_RETRY) != "true",
        faults=tuple(faults),
        checks=tuple(checks.values()),
    )


def _stops(check: dg.AssetCheckEvaluation) -> bool:
    return bool(check.blocking) and not check.passed and check.severity is dg.AssetCheckSeverity.ERROR


def _fault(event: dg.DagsterEvent) -> list[str]:
    failure = event.step_failure_data
    told, error = failure.user_failure_data, failure.error
    if told is not None and told.description:
        return [f"{event.step_key}: {told.description}"]
    if error is None:
        return [f"{event.step_key}: no message"]
    if error.cls_name == "DagsterAssetCheckFailedError":
        return []
    cause = error.cause or error
    return [f"{event.step_key}: {' '.join(cause.message.split())}"]


def _made(record: dg.EventLogRecord) -> Made:
    made = record.asset_materialization
    if made is None:
        raise TypeError(f"event {record.storage_id} is no materialisation")
    plain = {name: value.value for name, value in made.metadata.items()}
    return Made(number=record.storage_id, asset=made.asset_key.path[-1], run_id=record.run_id, metadata=plain)
