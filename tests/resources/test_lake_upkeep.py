"""Compaction and vacuum: what is needed stays readable to the row, what is not goes, whatever is killed in between."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import deltalake
import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError

from resources import lake_upkeep
from resources.errors import LakeError
from resources.lake import Commit, Lake
from resources.lake_upkeep import compact, tables, vacuum

TABLE = "parcels/features"
LEDGER = "parcels/ledger"
NOW = timedelta(0)
ON_DISK = pytest.mark.parametrize("lake", ["local"], indirect=True)
DAYS = ["2020-01-01", "2020-01-02", "2020-01-03"]


def rows(value: int, *days: str) -> pl.DataFrame:
    return pl.DataFrame({"x": [value + n for n in range(50) for _ in days], "partition_key": [*days] * 50})


@pytest.fixture
def history(lake: Lake, commit: Commit) -> dict[int, pl.DataFrame]:
    """The rows of each version of a table of three days, of which two are written anew three times."""
    versions = {}
    for value, days in enumerate([DAYS, DAYS[:1], DAYS[1:2], DAYS[:1], DAYS[1:2], DAYS[:2]]):
        written = lake.write(TABLE, rows(100 * value, *days), partitions=days, commit=commit)
        versions[written.number] = whole(lake, written.number)
    return versions


def whole(lake: Lake, version: int | None = None) -> pl.DataFrame:
    return lake.scan(TABLE, version=version).collect().sort("partition_key", "x")


def readable(lake: Lake, history: dict[int, pl.DataFrame]) -> set[int]:
    """Versions that give the rows they were written with; the others must give an error, and no other rows."""
    found = set()
    for version, expected in history.items():
        try:
            read = whole(lake, version)
        except (LakeError, OSError, pl.exceptions.ComputeError):
            continue
        assert read.equals(expected)
        found.add(version)
    return found


def test_the_current_version_and_those_to_keep_stay_and_the_others_go(
    lake: Lake, history: dict[int, pl.DataFrame]
) -> None:
    oldest, *_, current = history
    done = vacuum(lake, TABLE, keep=[oldest], older_than=NOW)
    assert readable(lake, history) == {oldest, current}
    assert (done.removed_files, done.kept_files) == (4, 5)
    assert done.removed_bytes > 0


@ON_DISK
def test_what_was_current_within_the_retention_stays(lake: Lake, history: dict[int, pl.DataFrame]) -> None:
    assert vacuum(lake, TABLE, keep=[], older_than=timedelta(days=1)).removed_files == 0
    assert readable(lake, history) == {*history}


def test_a_vacuum_is_no_new_version_and_a_second_takes_nothing(lake: Lake, history: dict[int, pl.DataFrame]) -> None:
    first = vacuum(lake, TABLE, keep=[], older_than=NOW)
    second = vacuum(lake, TABLE, keep=[], older_than=NOW)
    assert lake.version(TABLE) == max(history)
    assert (second.removed_files, second.kept_files, second.kept_bytes) == (0, first.kept_files, first.kept_bytes)


@ON_DISK
def test_a_dry_run_says_what_would_go_and_takes_nothing(lake: Lake, history: dict[int, pl.DataFrame]) -> None:
    said = vacuum(lake, TABLE, keep=[], older_than=NOW, dry_run=True)
    assert readable(lake, history) == {*history}
    assert vacuum(lake, TABLE, keep=[], older_than=NOW) == said


@ON_DISK
def test_a_version_to_keep_that_does_not_exist_is_refused_and_nothing_goes(
    lake: Lake, history: dict[int, pl.DataFrame]
) -> None:
    with pytest.raises(LakeError, match=r"cannot vacuum at .*parcels/features"):
        vacuum(lake, TABLE, keep=[max(history) + 1], older_than=NOW)
    assert readable(lake, history) == {*history}


def test_a_vacuum_killed_half_way_leaves_whole_versions_and_the_next_takes_the_rest(
    lake: Lake, history: dict[int, pl.DataFrame]
) -> None:
    oldest, *_, current = history
    script = """
import json, os, signal, sys
from datetime import timedelta
from pyarrow.fs import PyFileSystem
from resources import lake_upkeep
from resources.lake import Lake
root, options, table, keep = json.loads(sys.argv[1])
left, files = [2], lake_upkeep._files
class Dying:
    def __init__(self, store):
        self.store = store
    def get_file_info(self, what):
        return self.store.get_file_info(what)
    def delete_file(self, path):
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop() if left == [1] else left.__setitem__(0, 1)
        self.store.delete_file(path)
lake_upkeep._files = lambda lake, uri: Dying(files(lake, uri))
lake_upkeep.vacuum(Lake(root=root, storage_options=options), table, keep=keep, older_than=timedelta(0))
"""
    told = json.dumps([lake.root, lake.storage_options, TABLE, [oldest]])
    killed = subprocess.run([sys.executable, "-c", script, told], check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert {oldest, current} <= readable(lake, history)
    assert vacuum(lake, TABLE, keep=[oldest], older_than=NOW).removed_files == 2
    assert readable(lake, history) == {oldest, current}


@ON_DISK
def test_a_young_file_of_a_writer_that_has_not_committed_stays(lake: Lake, history: dict[int, pl.DataFrame]) -> None:
    file = Path(lake.uri(TABLE), "partition_key=2020-01-01", "part-00009-of-a-writer.zstd.parquet")
    file.write_bytes(b"half a file")
    vacuum(lake, TABLE, keep=[], older_than=NOW)
    vacuum(lake, TABLE, keep=[], older_than=timedelta(days=1))
    assert file.is_file()


@ON_DISK
def test_an_old_file_of_a_writer_that_was_killed_goes(lake: Lake, history: dict[int, pl.DataFrame]) -> None:
    file = Path(lake.uri(TABLE), "partition_key=2020-01-01", "part-00009-of-a-writer.zstd.parquet")
    file.write_bytes(b"half a file")
    old = time.time() - timedelta(days=2).total_seconds()
    os.utime(file, (old, old))
    assert vacuum(lake, TABLE, keep=[], older_than=timedelta(days=1)).removed_files == 1
    assert not file.exists()
    assert readable(lake, history) == {*history}


@ON_DISK
def test_a_table_with_a_file_per_partition_is_not_touched_by_compaction(
    lake: Lake, history: dict[int, pl.DataFrame], commit: Commit
) -> None:
    assert compact(lake, TABLE, commit) == 0
    assert lake.version(TABLE) == max(history)


@pytest.fixture
def ledger(lake: Lake, commit: Commit) -> pl.DataFrame:
    """A ledger of four entries, each in a file of its own."""
    for n in range(4):
        lake.append(LEDGER, pl.DataFrame({"n": [n], "why": [f"reason {n}"]}), commit)
    return lake.scan(LEDGER).collect()


def test_the_entries_of_a_ledger_are_put_into_one_file_and_stay_as_they_are(
    lake: Lake, ledger: pl.DataFrame, commit: Commit
) -> None:
    assert compact(lake, LEDGER, commit, dry_run=True) == 3
    assert compact(lake, LEDGER, commit) == 4
    assert lake.scan(LEDGER).collect().sort("n").equals(ledger.sort("n"))
    vacuum(lake, LEDGER, keep=[], older_than=NOW)
    assert vacuum(lake, LEDGER, keep=[], older_than=NOW).kept_files == 1
    assert lake.history(LEDGER)[0].commit == commit


@ON_DISK
def test_rows_that_were_put_together_are_the_same_to_a_writer(lake: Lake, ledger: pl.DataFrame, commit: Commit) -> None:
    compact(lake, LEDGER, commit)
    before = lake.version(LEDGER)
    assert lake.write(LEDGER, ledger, partitions=None, commit=commit).number == before


def test_a_writer_and_a_compaction_at_the_same_time_both_succeed(
    lake: Lake, ledger: pl.DataFrame, commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer replaces what is being put together, just before the compaction commits."""
    tries: list[int] = []

    def overtaken(delta: deltalake.DeltaTable) -> list[dict[str, object]]:
        found = [*real(delta)]
        tries.append(len(found))
        if len(tries) == 1:
            lake.write(LEDGER, ledger.head(1), partitions=None, commit=commit)
        return found

    real: Callable[..., Iterator[dict[str, object]]] = lake_upkeep._partition_values
    monkeypatch.setattr(lake_upkeep, "_partition_values", overtaken)
    assert compact(lake, LEDGER, commit) == 0
    assert tries == [4, 1], "the first attempt lost, and the second found one file"
    assert lake.scan(LEDGER).collect().equals(ledger.head(1))


@ON_DISK
def test_an_overtaken_compaction_is_what_delta_calls_a_conflict(
    lake: Lake, ledger: pl.DataFrame, commit: Commit
) -> None:
    stale = deltalake.DeltaTable(lake.uri(LEDGER), storage_options=lake.options)
    lake.write(LEDGER, ledger.head(1), partitions=None, commit=commit)
    with pytest.raises(CommitFailedError):
        stale.optimize.compact()


@ON_DISK
def test_the_tables_of_a_folder_are_found_and_nothing_else(
    lake: Lake, history: dict[int, pl.DataFrame], ledger: pl.DataFrame
) -> None:
    Path(lake.uri("parcels/notes")).mkdir()
    assert tables(lake, "parcels") == [TABLE, LEDGER]
    assert tables(lake, "letters") == []


@ON_DISK
def test_a_table_that_is_not_there_is_named(lake: Lake, commit: Commit) -> None:
    with pytest.raises(LakeError, match=r"cannot compact at .*parcels/features"):
        compact(lake, TABLE, commit)
