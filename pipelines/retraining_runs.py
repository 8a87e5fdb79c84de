"""What became of the trainings that were asked for, and whether one is under way.

Belongs here: reading that off Dagster's runs. Does not belong here: asking for a training (`retraining.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from assets.contracts import UseCase
from assets.logic.retraining_values import RunStatus
from assets.stages.common import asset_key
from pipelines.jobs import job_name

DECISION: Final = "throughline/decision"
"""Tag of a run: the decision that asked for it. The runs of automatic retries carry it too."""
MAX_RETRIES: Final = "dagster/max_retries"
"""Tag of a run: how often Dagster's daemon runs it again when it fails, from the failed step on."""
WILL_RETRY: Final = "dagster/will_retry"
"""Tag that Dagster sets when a run fails and retries are on: whether the daemon is to run it again."""
RETRIED_BY: Final = "dagster/auto_retry_run_id"
"""Tag that the daemon sets on a failed run: the run that tries again."""
TAGGED_WITHIN: Final = timedelta(minutes=1)
"""Dagster writes that a run failed, and `WILL_RETRY` a moment later."""
GIVEN_UP_AFTER: Final = timedelta(hours=1)
"""A run that was made and not launched, or failed and not retried, for so long has nobody who would do that any more:
the daemon does either within seconds, once it is up."""
LOOKED_AT: Final = 50
"""Newest runs of the training job; the fate of older ones has been read before."""
FINISHED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """Trainings on record in Dagster.

    Attributes:
        of_decisions: What became of each decision that has a run, by its id.
        by_others: Id of an unfinished training that no decision asked for: by hand, or by the command line.
    """

    of_decisions: Mapping[str, RunStatus]
    by_others: str | None


def trainings(use_case: UseCase, instance: dg.DagsterInstance) -> Trainings:
    """The trainings of a use case, whoever began them.

    Ages of runs are by the clock of the machine, which is the one Dagster stamps them with, in a replay too.
    """
    now = datetime.now(UTC)
    job = job_name(use_case.name, "train")
    newest = instance.get_run_records(filters=dg.RunsFilter(job_name=job), limit=LOOKED_AT)
    unfinished = [status for status in dg.DagsterRunStatus if status not in FINISHED]
    others = instance.get_run_records(filters=dg.RunsFilter(statuses=unfinished))
    found: dict[str, list[RunStatus]] = {}
    by_others = None
    for record in {r.dagster_run.run_id: r for r in [*newest, *others]}.values():
        run = record.dagster_run
        if not _is_training(run, use_case, job):
            continue
        status = _status(record, instance, now)
        if decision := run.tags.get(DECISION):
            found.setdefault(decision, []).append(status)
        elif status == "in_flight":
            by_others = run.run_id
    return Trainings(of_decisions={name: _over_all(states) for name, states in found.items()}, by_others=by_others)


def _is_training(run: dg.DagsterRun, use_case: UseCase, job: str) -> bool:
    """Whether a run makes a training set or a champion; the training job is also used for the endpoint alone."""
    if not run.asset_selection:
        return run.job_name == job
    made = {asset_key(use_case, name) for name in ("training_set", "evaluation_report", "champion")}
    return bool(made & run.asset_selection)


def _over_all(states: list[RunStatus]) -> RunStatus:
    """Of a run and its retries together."""
    order: tuple[RunStatus, ...] = ("in_flight", "succeeded", "failed")
    return next(status for status in order if status in states)


def _status(record: dg.RunRecord, instance: dg.DagsterInstance, now: datetime) -> RunStatus:
    run = record.dagster_run
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return "succeeded"
    if run.status == dg.DagsterRunStatus.NOT_STARTED:
        return "in_flight" if now - _aware(record.create_timestamp) < GIVEN_UP_AFTER else "failed"
    if run.status not in FINISHED:
        return "in_flight"
    is_pending = run.status == dg.DagsterRunStatus.FAILURE and _is_retry_pending(record, instance, now)
    return "in_flight" if is_pending else "failed"


def _is_retry_pending(record: dg.RunRecord, instance: dg.DagsterInstance, now: datetime) -> bool:
    """Whether the daemon is still to run a failed run again."""
    tags, since = record.dagster_run.tags, now - _aware(record.update_timestamp)
    if not instance.run_retries_enabled or RETRIED_BY in tags:
        return False
    if WILL_RETRY not in tags:
        return since < TAGGED_WITHIN
    return tags[WILL_RETRY] == "true" and since < GIVEN_UP_AFTER


def _aware(instant: datetime) -> datetime:
    """Dagster gives UTC, with some storages without saying so."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
