"""Old logs of runs go; the runs, and what they made, stay, for Dagster and for whoever decides by them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from resources.run_logs import forget_log, logs_before
from tests.support.instance import write_instance_file

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LATER = datetime.now(UTC) + timedelta(days=1)
DAYS = dg.StaticPartitionsDefinition(["monday", "tuesday"])


@dg.asset(code_version="3", partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("is_baked", asset="bread")])
def bread(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
    context.log.info("kneading")
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="is_baked", passed=True)])


DEFS = dg.Definitions(assets=[bread], jobs=[dg.define_asset_job("bake"), dg.define_asset_job("bake_more")])


@contextmanager
def instance_in(home: Path) -> Iterator[dg.DagsterInstance]:
    home.mkdir(exist_ok=True)
    write_instance_file(home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def bake(instance: dg.DagsterInstance, day: str = "monday", job: str = "bake") -> str:
    made = DEFS.resolve_job_def(job).execute_in_process(instance=instance, run_config=QUIET, partition_key=day)
    return made.run_id


def known(instance: dg.DagsterInstance) -> object:
    """What automation reads of the past."""
    check = dg.AssetCheckKey(bread.key, "is_baked")
    checked = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
    runs = [(r.run_id, r.status, r.job_name, sorted(r.tags.items())) for r in instance.get_runs()]
    made = instance.get_latest_materialization_event(bread.key)
    assert made is not None
    return (
        runs,
        made.run_id,
        instance.get_materialized_partitions(bread.key),
        instance.get_latest_materialization_code_versions([bread.key]),
        [r.partition_key for r in instance.fetch_materializations(bread.key, limit=9).records],
        (checked.run_id, checked.status),
    )


def test_a_forgotten_log_is_gone_and_nothing_that_the_run_made(tmp_path: Path) -> None:
    with instance_in(tmp_path / "dagster") as instance:
        runs = [bake(instance, day) for day in ("monday", "tuesday")]
        before = known(instance)
        for run_id in runs:
            forget_log(instance, run_id)
        assert known(instance) == before
        assert logs_before(instance, LATER, lambda _: True).old == {}
    left = [p.name for p in (tmp_path / "dagster").rglob("*") if any(run_id in str(p) for run_id in runs)]
    assert left == []


def test_a_page_of_a_forgotten_run_is_empty_and_no_error(tmp_path: Path) -> None:
    with instance_in(tmp_path / "dagster") as reader, instance_in(tmp_path / "dagster") as instance:
        run_id = bake(instance)
        assert any(entry.user_message == "kneading" for entry in reader.all_logs(run_id))
        forget_log(instance, run_id)
        assert instance.all_logs(run_id) == []
        for day in ["monday", "tuesday"] * 5:  # more than a storage keeps open
            reader.all_logs(bake(instance, day))
        assert reader.all_logs(run_id) == []


def test_only_logs_of_runs_that_are_meant_and_ended_long_ago_are_old(tmp_path: Path) -> None:
    with instance_in(tmp_path / "dagster") as instance:
        meant, other = bake(instance), bake(instance, job="bake_more")
        instance.create_run_for_job(DEFS.resolve_job_def("bake"), status=dg.DagsterRunStatus.STARTED)
        found = logs_before(instance, LATER, lambda run: run.job_name == "bake")
        assert [*found.old] == [meant]
        assert found.old[meant] > 1000
        assert other in logs_before(instance, LATER, lambda _: True).old
        young = logs_before(instance, datetime.now(UTC) - timedelta(hours=1), lambda _: True)
        assert (young.old, young.kept) == ({}, 2)


def test_a_storage_that_does_not_part_them_keeps_all_and_says_so() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        bake(instance)
        found = logs_before(instance, LATER, lambda _: True)
    assert (found.old, found.kept, found.is_supported) == ({}, 1, False)
