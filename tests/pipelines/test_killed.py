"""Runs that are open when a line begins: which it waits for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat

from pipelines import killed
from pipelines.jobs import job_name
from pipelines.killed import wait_for_others
from pipelines.services import INSTANCE

STATUS = dg.DagsterRunStatus


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance of the laptop form, whose launcher knows the processes of runs."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_bytes(INSTANCE.read_bytes())
    with dg.DagsterInstance.get() as made:
        yield made


def hear_daemon(instance: dg.DagsterInstance, ago: timedelta = timedelta(0)) -> None:
    for kind in instance.get_required_daemon_types():
        stamp = (datetime.now(UTC) - ago).timestamp()
        instance.add_daemon_heartbeat(DaemonHeartbeat(stamp, kind, "one", []))


def waited_for(instance: dg.DagsterInstance, status: STATUS, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told while a run has that status; it has ended by the next look."""
    name = job_name("parcels", "ingest")
    location = InProcessCodeLocationOrigin(loadable_target_origin=LoadableTargetOrigin(module_name="parcels"))
    origin = RemoteRepositoryOrigin(location, "__repository__").get_job_origin(name)
    run = instance.add_run(dg.DagsterRun(job_name=name, status=status, remote_job_origin=origin))
    monkeypatch.setattr(killed.time, "sleep", lambda _: instance.report_run_canceled(run))
    told: list[str] = []
    wait_for_others(instance, "parcels", told.append)
    return told


@pytest.mark.parametrize("status", [STATUS.QUEUED, STATUS.STARTING, STATUS.STARTED])
def test_a_run_that_is_to_come_is_waited_for(
    instance: dg.DagsterInstance, status: STATUS, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_daemon(instance)
    (told,) = waited_for(instance, status, monkeypatch)
    assert told.startswith("Waiting for parcels_ingest_job")


def test_a_run_that_nobody_is_there_to_start_is_not_waited_for(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_daemon(instance, ago=timedelta(hours=1))
    assert waited_for(instance, STATUS.QUEUED, monkeypatch) == []
