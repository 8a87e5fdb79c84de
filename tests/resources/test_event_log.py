"""The event log keeps what Dagster's own keeps, in the same files, also when the process that writes is killed."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage

from resources.event_log import PooledSqliteEventLogStorage
from tests.support.instance import write_instance_file

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.asset
def bread() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"loaves": 12})


@contextmanager
def instance_in(home: Path) -> Iterator[dg.DagsterInstance]:
    home.mkdir(exist_ok=True)
    write_instance_file(home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        yield instance


def bake(instance: dg.DagsterInstance) -> str:
    job = dg.Definitions(assets=[bread], jobs=[dg.define_asset_job("bake")]).resolve_job_def("bake")
    return job.execute_in_process(instance=instance, run_config=QUIET).run_id


def loaves(instance: dg.DagsterInstance) -> list[object]:
    events = instance.fetch_materializations(bread.key, limit=100).records
    return [e.asset_materialization.metadata["loaves"].value for e in events if e.asset_materialization]


def test_dagsters_own_storage_reads_what_this_one_wrote(tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    with instance_in(home) as instance:
        run_id = bake(instance)
        told = [entry.message for entry in instance.all_logs(run_id)]
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
        assert [entry.message for entry in instance.all_logs(run_id)] == told
        assert loaves(instance) == [12]


def test_what_one_process_wrote_the_next_one_reads(tmp_path: Path) -> None:
    with instance_in(tmp_path / "dagster") as instance:
        run_id = bake(instance)
    with instance_in(tmp_path / "dagster") as instance:
        assert loaves(instance) == [12]
        assert instance.all_logs(run_id)


def test_events_are_on_disk_when_the_process_that_wrote_them_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.resources.test_event_log import bake, instance_in\n"
        "with instance_in(Path(sys.argv[1])) as instance:\n"
        "    print(bake(instance), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "dagster")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with instance_in(tmp_path / "dagster") as instance:
        run = instance.get_run_by_id(killed.stdout.strip())
        assert run is not None
        assert run.is_success
        assert loaves(instance) == [12]


def test_files_of_old_runs_are_closed_and_opened_again_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.event_log.OPEN_SHARDS", 2)
    with instance_in(tmp_path / "dagster") as instance:
        runs = [bake(instance) for _ in range(3)]
        storage = instance.event_log_storage
        assert isinstance(storage, PooledSqliteEventLogStorage)
        assert len(storage._engines) == 2
        assert all(instance.all_logs(run_id) for run_id in runs)
        assert len(storage._engines) == 2


def test_readers_in_other_threads_see_whole_runs_while_one_is_written(tmp_path: Path) -> None:
    with instance_in(tmp_path / "dagster") as instance:
        first, seen, is_done = bake(instance), [], []
        expected = len(instance.all_logs(first))

        def read() -> None:
            while not is_done:
                seen.append(len(instance.all_logs(first)))

        readers = [Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        bake(instance)
        is_done.append(True)
        for reader in readers:
            reader.join()
    assert set(seen) == {expected}


def test_the_files_can_be_read_by_any_sqlite_while_they_are_open(tmp_path: Path) -> None:
    with instance_in(tmp_path / "dagster") as instance:
        bake(instance)
        index = tmp_path / "dagster" / "history" / "runs" / "index.db"
        with sqlite3.connect(index) as connection:
            modes = connection.execute("PRAGMA journal_mode").fetchone()
            keys = connection.execute("SELECT asset_key FROM asset_keys").fetchall()
        connection.close()
    assert modes == ("wal",)
    assert keys == [('["bread"]',)]


def test_the_laptop_form_uses_this_log() -> None:
    file = Path(__file__).parents[2] / "infra" / "dagster" / "dagster.yaml"
    storage = yaml.safe_load(file.read_text(encoding="utf-8"))["event_log_storage"]
    assert (storage["module"], storage["class"]) == ("resources.event_log", "PooledSqliteEventLogStorage")
