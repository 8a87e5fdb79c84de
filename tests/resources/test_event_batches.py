"""Events stored in batches tell Dagster's user interface what events stored one by one tell it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster import DagsterEventType
from dagster._core.events import BATCH_WRITABLE_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from tests.support.instance import POOLED, write_instance_file

DAYS = dg.DailyPartitionsDefinition(start_date="2020-01-01", end_date="2020-02-01")
ALWAYS, DATED, LATER = dg.AssetKey("always"), dg.AssetKey("dated"), dg.AssetKey("later")
CHECK = dg.AssetCheckKey(DATED, "holds")
IN_RANGE = {f"2020-01-{day:02}" for day in range(3, 21)}
RANGE = {"dagster/asset_partition_range_start": min(IN_RANGE), "dagster/asset_partition_range_end": max(IN_RANGE)}
STORAGES = {
    "own": ("dagster._core.storage.event_log", "SqliteEventLogStorage"),
    "pooled": POOLED,
}

MakeInstance = Callable[[str], dg.DagsterInstance]


@dg.asset(key=ALWAYS)
def always() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(data_version=dg.DataVersion("p"))


@dg.asset(
    key=DATED,
    deps=[ALWAYS],
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("holds", asset=DATED)],
)
def dated() -> Iterator[dg.MaterializeResult[None]]:
    check = dg.AssetCheckResult(check_name="holds", passed=True)
    yield dg.MaterializeResult(data_version=dg.DataVersion("d"), metadata={"rows": 3}, check_results=[check])


@dg.asset(key=LATER, deps=[DATED], partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def later(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    if "break" in context.run.tags:
        raise RuntimeError("broken on purpose")
    return dg.MaterializeResult(data_version=dg.DataVersion("l"))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[MakeInstance]:
    """Makes an instance with Dagster's own event log, or with ours."""
    with ExitStack() as stack:

        def make(kind: str) -> dg.DagsterInstance:
            folder = tmp_path / kind
            folder.mkdir()
            write_instance_file(folder, STORAGES[kind])
            return stack.enter_context(dg.DagsterInstance.from_config(str(folder)))

        yield make


def run_range(instance: dg.DagsterInstance, **tags: str) -> str:
    job = dg.Definitions(assets=[always, dated, later], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return job.execute_in_process(
        instance=instance, tags={**RANGE, **tags}, run_config=quiet, raise_on_error=False
    ).run_id


def told(instance: dg.DagsterInstance, run_id: str) -> dict[str, object]:
    """What the user interface asks: the log of the run, and each asset's partitions, versions and newest event."""
    run, storage = instance.get_run_by_id(run_id), instance.event_log_storage
    assert run is not None
    log = Counter(entry.dagster_event_type for entry in instance.all_logs(run_id))
    facts: dict[str, object] = {"status": run.status, "log": log}
    for record in instance.get_asset_records([ALWAYS, DATED, LATER]):
        entry, key = record.asset_entry, record.asset_entry.asset_key
        newest = entry.last_materialization_record
        events = instance.fetch_materializations(key, limit=100).records
        tries = storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        versions = storage.get_latest_tags_by_partition(
            key, DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        )
        facts[key.to_user_string()] = {
            "was planned by this run": entry.last_run_id == run_id,
            "has": instance.get_materialized_partitions(key),
            "failed": {partition for partition, (by, _) in tries.items() if by == run_id},
            "versions": {partition: dict(tags) for partition, tags in versions.items()},
            "events": [(event.partition_key, dict(event.asset_materialization.metadata)) for event in events],  # type: ignore[union-attr]
            "newest is the last of these": newest is None or newest.storage_id == events[0].storage_id,
        }
    return facts


@pytest.mark.parametrize("tags", [{}, {"break": "yes"}], ids=["a run that succeeds", "a run that fails"])
def test_a_batch_tells_what_single_events_tell(
    tags: dict[str, str], instance: MakeInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "0")
    own = instance("own")
    expected = told(own, run_range(own, **tags))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "10")  # so that the last batch of a kind is not a full one
    pooled = instance("pooled")
    assert told(pooled, run_range(pooled, **tags)) == expected


def test_partitions_that_a_failed_run_planned_are_shown_as_failed(instance: MakeInstance) -> None:
    made = instance("pooled")
    facts = told(made, run_range(made, **{"break": "yes"}))
    assert {name: facts[name]["failed"] for name in ("dated", "later")} == {"dated": set(), "later": IN_RANGE}  # type: ignore[index]


def test_a_batch_is_one_transaction_per_file(instance: MakeInstance) -> None:
    own, storage = instance("own"), instance("pooled").event_log_storage
    run_id = run_range(own)
    batch = [entry for entry in own.all_logs(run_id) if entry.dagster_event_type in BATCH_WRITABLE_EVENTS]
    assert len(batch) > 5 * len(IN_RANGE)
    assert not storage.get_logs_for_run(run_id)  # makes the file
    commits: list[str] = []

    def committed(connection: sqlalchemy.Connection) -> None:
        commits.append(Path(str(connection.engine.url.database)).stem)

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", committed)
    try:
        storage.store_event_batch(batch)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", committed)
    assert sorted(commits) == sorted(["index", run_id])


def test_a_batch_that_fails_leaves_nothing_and_is_stored_one_by_one(
    instance: MakeInstance, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = instance("pooled")
    storage, single = made.event_log_storage, type(made.event_log_storage)._store_asset_event
    seen: list[int] = []

    def fails_once(self: object, *args: object) -> None:
        if not seen:
            seen.append(1)
            raise OSError("the disk stumbled")
        single(storage, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(type(storage), "_store_asset_event", fails_once)
    run_id = run_range(made)
    assert "the disk stumbled" in capfd.readouterr().err
    planned = [
        e for e in made.all_logs(run_id) if e.dagster_event_type is DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    ]
    assert len(planned) == 3 * len(IN_RANGE)


def test_a_check_of_a_range_is_in_its_history_once(instance: MakeInstance) -> None:
    made = instance("pooled")
    run_range(made)
    history = made.event_log_storage.get_asset_check_execution_history(CHECK, limit=100)
    assert [record.status for record in history] == [AssetCheckExecutionRecordStatus.SUCCEEDED]


def test_a_check_that_was_never_evaluated_is_in_its_history_as_planned(instance: MakeInstance) -> None:
    made = instance("pooled")
    job = dg.Definitions(assets=[always, dated, later], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
    made.create_run_for_job(job, tags=RANGE)  # plans, and runs no step
    history = made.event_log_storage.get_asset_check_execution_history(CHECK, limit=100)
    assert [record.status for record in history] == [AssetCheckExecutionRecordStatus.PLANNED]
