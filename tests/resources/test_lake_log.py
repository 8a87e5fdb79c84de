"""What the log of a table says is what its rows say; every claim on local disk and on an S3 server."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from resources.errors import LakeError
from resources.lake import Commit, Lake
from resources.lake_log import as_kept, newest, row_counts

TABLE = "shop/raw_orders"
DAYS = ["2013-01-01", "2013-01-02", "2013-01-03"]
LANDED = datetime(2013, 1, 4, 5, 30, 0, 123456, tzinfo=UTC)
CUT = as_kept(LANDED)
HOUR = timedelta(hours=1)


def rows(*days: str, n: int = 3, at: datetime | None = LANDED, wide: int = 0) -> pl.DataFrame:
    keys = [day for day in days for _ in range(n)]
    instants = pl.Series([at] * len(keys), dtype=pl.Datetime("us", "UTC"))
    before = {f"c{i}": pl.Series([i] * len(keys), dtype=pl.Int64) for i in range(wide)}
    return pl.DataFrame({**before, "at": instants, "partition_key": pl.Series(keys, dtype=pl.String)})


def test_no_table_is_a_table_without_rows(lake: Lake) -> None:
    assert row_counts(lake, TABLE) == newest(lake, TABLE, "at") == {}


def test_rows_are_counted_by_partition(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, pl.concat([rows(DAYS[0], n=1), rows(DAYS[1], n=4)]), partitions=DAYS, commit=commit)
    assert row_counts(lake, TABLE) == {DAYS[0]: 1, DAYS[1]: 4}


def test_what_was_replaced_does_not_count(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    lake.write(TABLE, rows(DAYS[1], n=5, at=LANDED - HOUR), partitions=DAYS[1:], commit=commit)
    assert row_counts(lake, TABLE) == {DAYS[0]: 3, DAYS[1]: 5}
    assert newest(lake, TABLE, "at") == {DAYS[0]: CUT, DAYS[1]: CUT - HOUR}


def test_of_an_unpartitioned_table_there_is_one_figure(lake: Lake, commit: Commit) -> None:
    lake.append(TABLE, rows("x", n=2).drop("partition_key"), commit)
    lake.append(TABLE, rows("x", n=3, at=LANDED + HOUR).drop("partition_key"), commit)
    assert row_counts(lake, TABLE) == {None: 5}
    assert newest(lake, TABLE, "at") == {None: CUT + HOUR}


def test_a_column_of_which_the_log_keeps_nothing_is_read(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS, wide=40), partitions=DAYS, commit=commit)
    assert newest(lake, TABLE, "at") == dict.fromkeys(DAYS, CUT)


def test_the_last_column_of_an_unpartitioned_table_is_read_too(lake: Lake, commit: Commit) -> None:
    lake.append(TABLE, rows("x", wide=40).drop("partition_key"), commit)
    assert newest(lake, TABLE, "at") == {None: CUT}


def test_a_partition_without_a_value_is_left_out(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, pl.concat([rows(DAYS[0]), rows(DAYS[1], at=None)]), partitions=DAYS, commit=commit)
    assert newest(lake, TABLE, "at") == {DAYS[0]: CUT}


def test_many_commits_and_a_checkpoint_say_the_same(lake: Lake, commit: Commit) -> None:
    for n in range(12):
        lake.write(TABLE, rows(DAYS[n % 3], n=n + 1, at=LANDED + n * HOUR), partitions=[DAYS[n % 3]], commit=commit)
    scanned = lake.scan(TABLE).group_by("partition_key").agg(pl.len(), pl.col("at").max()).collect()
    assert row_counts(lake, TABLE) == {key: count for key, count, _ in scanned.iter_rows()}
    assert newest(lake, TABLE, "at") == {key: as_kept(at) for key, _, at in scanned.iter_rows()}


def test_the_log_keeps_milliseconds() -> None:
    assert LANDED - timedelta(microseconds=456) == CUT


def test_of_many_commits_a_reader_takes_the_last_few(tmp_path: Path, commit: Commit) -> None:
    lake = Lake(root=str(tmp_path))
    for n in range(25):
        lake.append(TABLE, rows("x", n=n + 1).drop("partition_key"), commit)
    last = json.loads((tmp_path / TABLE / "_delta_log" / "_last_checkpoint").read_text())
    assert (lake.version(TABLE) or 0) - last["version"] < 10


def test_no_data_file_is_opened(tmp_path: Path, commit: Commit) -> None:
    lake = Lake(root=str(tmp_path))
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    for file in (tmp_path / TABLE).rglob("*.parquet"):
        file.unlink()
    assert row_counts(lake, TABLE) == dict.fromkeys(DAYS, 3)
    assert newest(lake, TABLE, "at") == dict.fromkeys(DAYS, CUT)


def test_a_column_that_is_not_there_is_named(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    with pytest.raises(LakeError, match=f"cannot read the log of {TABLE} in the lake at .*ingested_at"):
        newest(lake, TABLE, "ingested_at")


def test_a_log_that_cannot_be_read_is_an_error_and_no_empty_table(tmp_path: Path, commit: Commit) -> None:
    lake = Lake(root=str(tmp_path))
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    for file in (tmp_path / TABLE / "_delta_log").glob("*.json"):
        file.write_text("{")
    with pytest.raises(LakeError, match="cannot read the log"):
        row_counts(lake, TABLE)
