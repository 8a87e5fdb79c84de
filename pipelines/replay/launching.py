"""Carrying out what sensors and schedules ask for, in this process, as Dagster's daemon would have it carried out.

Belongs here: run keys, partitions, retries, and what becomes of a run. Does not belong here: who asks (`ticking.py`).
"""

import io
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    MAX_RETRIES_TAG,
    PARENT_RUN_ID_TAG,
    RETRY_NUMBER_TAG,
    ROOT_RUN_ID_TAG,
    RUN_KEY_TAG,
)

from pipelines.attempts import WORK
from pipelines.killed import LAUNCHED_BY, OPEN
from pipelines.replay.folder import ReplayError
from pipelines.replay.world import World
from pipelines.retraining_runs import DECISION

REPLAY: Final = "replay"
RUN_TAKES: Final = timedelta(minutes=1)
"""By the clock of the replay: what follows from a run comes after it, and the same replay has the same times."""
ASKED: Final = (RUN_KEY_TAG, WORK, DECISION)
"""Tags by which Dagster and the line know what has been asked for."""
CUT_SHORT: Final = "cut short: "
"""Stands before the values of `ASKED` of a run that the replay was stopped in: nobody knows it by them any more."""
QUIET: Final[dict[str, Any]] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, kw_only=True)
class Launched:
    """One run.

    Attributes:
        by: The sensor or schedule that asked for it.
        at: The clock of the replay when it began, as ISO text.
        seconds: Real ones.
        tags: Those of the run, but not Dagster's own; its partitions too.
        why: Why it failed; None if it did not.
    """

    job: str
    run_id: str
    by: str
    at: str
    seconds: float
    tags: Mapping[str, str]
    why: str | None


def launch(world: World, request: dg.RunRequest, by: str, target: str | None) -> Iterator[Launched]:
    """Run what is asked for; if it fails, again as often as its tags allow; nothing if its run key is known.

    Dagster's daemon tries again from the failed step on, a replay from the beginning. Each run is told of before the
    next one begins.

    Args:
        world: The replay.
        request: What a sensor or schedule returned, with its tags resolved.
        by: Who asked, as Dagster tags it (tag and name).
        target: The job, if the request names none.

    Raises:
        ReplayError: If a replay cannot carry such a request out.
    """
    name = request.job_name or target
    if name is None or request.asset_graph_subset is not None:
        raise ReplayError(f"{by} asks for a backfill, which a replay cannot carry out; ask for runs of a job")
    tags = {**request.tags, LAUNCHED_BY: REPLAY}
    if request.run_key is not None:
        if _is_known(world, tags, request.run_key):
            return
        tags[RUN_KEY_TAG] = request.run_key
    runs = [_run(world, name, request, by, tags)]
    yield runs[-1]
    retries = int(tags.get(MAX_RETRIES_TAG, "0")) if world.instance.run_retries_enabled else 0
    while runs[-1].why is not None and len(runs) <= retries:
        again = {RETRY_NUMBER_TAG: str(len(runs)), ROOT_RUN_ID_TAG: runs[0].run_id, PARENT_RUN_ID_TAG: runs[-1].run_id}
        runs.append(_run(world, name, request, by, {**tags, **again}))
        world.instance.add_run_tags(runs[-2].run_id, {AUTO_RETRY_RUN_ID_TAG: runs[-1].run_id})
        yield runs[-1]


def end_open_runs(world: World) -> list[str]:
    """End on record what a killed replay left open, to be asked for again; the ids of the runs.

    Nobody else may run in this replay: what a sensor had in hand, nobody has any more.
    """
    left = world.instance.get_runs(filters=dg.RunsFilter(statuses=list(OPEN)))
    for run in left:
        world.instance.report_run_failed(run, "The process of this run was killed; the replay took its work up.")
    _forget(world, left)
    (world.folder.root / "run" / f"{world.use_case.name}_retraining.json").unlink(missing_ok=True)
    return [run.run_id for run in left]


def _forget(world: World, runs: Iterable[dg.DagsterRun]) -> None:
    """Have runs that were cut short, and those they tried again, count as never asked for.

    Dagster launches a run key once, and the line takes a training that ended for one that failed. Neither would ask
    again, and a replay that was stopped would come to something else than one that was not.
    """
    for run in runs:
        world.registry.abandon(world.use_case.name, "dagster.run_id", run.run_id)
        root = run.tags.get(ROOT_RUN_ID_TAG, run.run_id)
        chain = (dg.RunsFilter(run_ids=[root]), dg.RunsFilter(tags={ROOT_RUN_ID_TAG: root}))
        for one in (one for filters in chain for one in world.instance.get_runs(filters=filters)):
            world.instance.add_run_tags(one.run_id, {t: CUT_SHORT + one.tags[t] for t in ASKED if t in one.tags})


def _is_known(world: World, tags: Mapping[str, str], run_key: str) -> bool:
    """Whether this sensor or schedule has asked for a run under this key before: Dagster starts none twice."""
    asked = {tag: tags[tag] for tag in ("dagster/sensor_name", "dagster/schedule_name") if tag in tags}
    found = world.instance.get_runs(filters=dg.RunsFilter(tags={**asked, RUN_KEY_TAG: run_key}), limit=1)
    return bool(found)


def _run(world: World, name: str, request: dg.RunRequest, by: str, tags: Mapping[str, str]) -> Launched:
    job = world.repository.get_job(name)
    wanted, made = set(request.asset_selection or ()), world.made(job)
    chosen = [key for key in made if not wanted or key in wanted]
    # No selection where nothing is left out: a run of all assets of a job must look like one.
    is_whole = not wanted and len(made) == len(job.asset_layer.selected_asset_keys)
    run_id, began, at = str(uuid.uuid4()), time.monotonic(), world.clock.now()
    with _unheard(job) as quiet:
        result = job.execute_in_process(
            instance=world.instance,
            run_id=run_id,
            run_config={**quiet, **(request.run_config or {})},
            partition_key=request.partition_key,
            asset_selection=None if is_whole else chosen,
            tags=dict(tags),
            raise_on_error=False,
        )
    if any(_was_interrupted(event) for event in result.all_events):
        _forget(world, world.instance.get_runs(filters=dg.RunsFilter(run_ids=[run_id])))
        raise KeyboardInterrupt(f"{name} was interrupted")  # Dagster puts it on record, and would have us go on
    world.advance(at + RUN_TAKES)
    return Launched(
        job=name,
        run_id=run_id,
        by=by,
        at=at.isoformat(),
        seconds=time.monotonic() - began,
        tags={k: v for k, v in tags.items() if not k.startswith((".dagster/", "dagster/")) or "partition" in k},
        why=None if result.success else _why(result),
    )


def _was_interrupted(event: dg.DagsterEvent) -> bool:
    is_failure = event.event_type is dg.DagsterEventType.RUN_FAILURE
    return is_failure and event.job_failure_data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION


@contextmanager
def _unheard(job: dg.JobDefinition) -> Iterator[dict[str, Any]]:
    """Keep a run from printing each of its events, also where a job has a form of configuration of its own."""
    if job.config_mapping is None:
        yield QUIET
        return
    with redirect_stderr(io.StringIO()):  # what failed is on record in the run
        yield {}


def _why(result: dg.ExecuteInProcessResult) -> str:
    """What the failed steps said, their causes included, in one line."""
    texts = []
    for event in (e for e in result.all_events if e.is_step_failure):
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        told = event.step_failure_data.user_failure_data
        said = told.description if told is not None and told.description else error.message if error else "no message"
        texts.append(f"{event.step_key}: {said}")
    return " ".join(" | ".join(texts).split()) or "no step said why"
