"""What the lake promises of its tables; every claim on local disk and on an S3 server."""

import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from resources.errors import LakeError
from resources.lake import Commit, Lake
from resources.settings import Settings

TABLE = "shop/orders"
DAYS = ["2013-01-01", "2013-01-02", "2013-01-03"]


def rows(*days: str, amount: float = 1.0, n: int = 3) -> pl.DataFrame:
    at = datetime(2013, 1, 1, 5, 30, 0, 123456, tzinfo=UTC)
    return pl.DataFrame(
        {
            "partition_key": [day for day in days for _ in range(n)],
            "order": [f"{day}/{i}" for day in days for i in range(n)],
            "amount": [amount + i for _ in days for i in range(n)],
            "at": [at for _ in days for _ in range(n)],
        },
        schema={
            "partition_key": pl.String,
            "order": pl.String,
            "amount": pl.Float64,
            "at": pl.Datetime("us", "UTC"),
        },
    )


def held(lake: Lake, *days: str) -> pl.DataFrame:
    return lake.scan(TABLE, partitions=days or None).collect().sort("order")


def test_the_first_write_makes_the_table(lake: Lake, commit: Commit) -> None:
    version = lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    assert_frame_equal(held(lake), rows(*DAYS))
    assert lake.version(TABLE) == version.number
    assert lake.partitions(TABLE) == set(DAYS)


def test_a_write_replaces_exactly_its_partitions_in_one_commit(lake: Lake, commit: Commit) -> None:
    before = lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    after = lake.write(TABLE, rows(*DAYS[:2], amount=5.0, n=1), partitions=DAYS[:2], commit=commit)
    assert_frame_equal(held(lake), pl.concat([rows(*DAYS[:2], amount=5.0, n=1), rows(DAYS[2])]))
    assert after.number == before.number + 1


def test_a_partition_without_rows_ends_up_empty(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    lake.write(TABLE, rows(DAYS[0], amount=7.0), partitions=DAYS[:2], commit=commit)
    assert_frame_equal(held(lake), pl.concat([rows(DAYS[0], amount=7.0), rows(DAYS[2])]))
    assert lake.partitions(TABLE) == {DAYS[0], DAYS[2]}


def test_a_write_without_partitions_changes_nothing(lake: Lake, commit: Commit) -> None:
    before = lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    assert lake.write(TABLE, rows(), partitions=[], commit=commit) == before
    assert_frame_equal(held(lake), rows(*DAYS))


@pytest.mark.parametrize("key", [DAYS[1], None], ids=["another partition", "null"])
def test_rows_outside_the_partitions_are_refused(lake: Lake, commit: Commit, key: str | None) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    strangers = pl.concat([rows(DAYS[0]), rows(DAYS[0]).with_columns(partition_key=pl.lit(key, pl.String))])
    with pytest.raises(LakeError, match=rf"3 rows lie outside .*{key}"):
        lake.write(TABLE, strangers, partitions=DAYS[:1], commit=commit)
    assert_frame_equal(held(lake), rows(*DAYS))


def test_a_partition_key_may_hold_any_text(lake: Lake, commit: Commit) -> None:
    keys = ["o'clock", "a/b c|d=e%", "ä,é", 'q"q']
    lake.write(TABLE, rows(*keys), partitions=keys, commit=commit)
    lake.write(TABLE, rows(keys[0], amount=9.0), partitions=keys[:1], commit=commit)
    assert lake.partitions(TABLE) == set(keys)
    assert_frame_equal(held(lake, keys[1]), rows(keys[1]))
    assert_frame_equal(held(lake, keys[0]), rows(keys[0], amount=9.0))


def test_the_same_rows_in_any_order_make_no_commit(lake: Lake, commit: Commit) -> None:
    before = lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    again = lake.write(TABLE, rows(*DAYS).reverse(), partitions=DAYS, commit=commit)
    assert again == before
    assert lake.version(TABLE) == before.number


def test_null_and_nan_and_repeated_rows_are_the_same_only_as_themselves(lake: Lake, commit: Commit) -> None:
    def written(*amounts: float | None) -> int:
        frame = rows(DAYS[0]).with_columns(order=pl.lit("x"), amount=pl.Series(amounts, dtype=pl.Float64))
        return lake.write(TABLE, frame, partitions=DAYS[:1], commit=commit).number

    first = written(None, float("nan"), 1.0)
    assert written(1.0, None, float("nan")) == first
    assert written(1.0, None, None) == first + 1
    assert written(1.0, 1.0, None) == first + 2
    assert written(None, 1.0, 1.0) == first + 2


def test_emptying_an_empty_partition_makes_no_commit(lake: Lake, commit: Commit) -> None:
    before = lake.write(TABLE, rows(DAYS[0]), partitions=DAYS[:1], commit=commit)
    assert lake.write(TABLE, rows(), partitions=[DAYS[1]], commit=commit) == before


def test_deleting_a_day_and_writing_it_again_gives_the_same_rows_back(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    lake.delete_partitions(TABLE, DAYS[1:2], commit)
    assert_frame_equal(held(lake), rows(DAYS[0], DAYS[2]))
    lake.write(TABLE, rows(DAYS[1]), partitions=DAYS[1:2], commit=commit)
    assert_frame_equal(held(lake), rows(*DAYS))


def test_a_range_in_one_commit_holds_what_day_by_day_writes_hold(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    for day in DAYS:
        lake.write("shop/by_day", rows(day), partitions=[day], commit=commit)
    assert_frame_equal(lake.scan("shop/by_day").collect().sort("order"), held(lake))


def test_an_older_version_stays_readable(lake: Lake, commit: Commit) -> None:
    old = lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    lake.write(TABLE, rows(*DAYS, amount=8.0), partitions=DAYS, commit=commit)
    assert_frame_equal(lake.scan(TABLE, version=old.number).collect().sort("order"), rows(*DAYS))


def test_versions_are_kept_for_longer_than_the_month_of_delta(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    kept = lake._opened(TABLE).metadata().configuration
    assert kept["delta.logRetentionDuration"] == kept["delta.deletedFileRetentionDuration"] == "interval 36500 days"


def test_every_commit_names_its_dagster_run_and_code_version(lake: Lake) -> None:
    commits = [Commit(dagster_run_id=f"run-{n}", code_version=f"code-{n}") for n in range(2)]
    numbers = [
        lake.write(TABLE, rows(DAYS[n]), partitions=[DAYS[n]], commit=commit).number for n, commit in enumerate(commits)
    ]
    newest, before, *_ = lake.history(TABLE)
    assert (newest.version, newest.commit) == (numbers[1], commits[1])
    assert (before.version, before.commit) == (numbers[0], commits[0])
    assert newest.at.tzinfo is UTC
    assert newest.operation == "WRITE"


def test_other_columns_are_refused_by_name(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    other = rows(DAYS[0]).rename({"amount": "amount_eur"})
    with pytest.raises(LakeError, match=r"new \['amount_eur'\], missing \['amount'\]"):
        lake.write(TABLE, other, partitions=DAYS[:1], commit=commit)
    assert_frame_equal(held(lake), rows(*DAYS))


def test_declared_evolution_adds_columns_and_leaves_missing_ones_null(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    other = rows(DAYS[0]).drop("amount").with_columns(amount_eur=pl.lit(2.0))
    lake.write(TABLE, other, partitions=DAYS[:1], commit=commit, schema_evolution=True)
    assert held(lake, DAYS[0])["amount"].to_list() == [None] * 3
    assert held(lake, DAYS[0])["amount_eur"].to_list() == [2.0] * 3
    assert held(lake, DAYS[1])["amount_eur"].to_list() == [None] * 3
    assert held(lake, DAYS[1])["amount"].to_list() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("schema_evolution", [False, True])
def test_another_type_is_refused_even_if_evolution_is_declared(
    lake: Lake, commit: Commit, schema_evolution: bool
) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    other = rows(DAYS[0]).with_columns(pl.col("amount").cast(pl.String))
    with pytest.raises(LakeError, match="amount is Float64, not String"):
        lake.write(TABLE, other, partitions=DAYS[:1], commit=commit, schema_evolution=schema_evolution)


def test_columns_in_another_order_are_the_same_table(lake: Lake, commit: Commit) -> None:
    before = lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    turned = rows(*DAYS).select(sorted(rows().columns, reverse=True))
    assert lake.write(TABLE, turned, partitions=DAYS, commit=commit) == before


def test_every_type_that_is_taken_comes_back_as_it_was(lake: Lake, commit: Commit) -> None:
    frame = pl.DataFrame({"x": [1, None, 3]}).select(
        *(pl.col("x").cast(t).alias(str(t)) for t in (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64)),
        flag=pl.col("x") > 1,
        text=pl.col("x").cast(pl.String),
        day=pl.lit(date(2013, 3, 10)),
        wall=pl.lit(datetime(2013, 3, 10, 2, 30)),  # noqa: DTZ001 - a time on the wall has no zone
        instant=pl.lit(datetime(2013, 3, 10, 2, 30, 0, 7, tzinfo=UTC), pl.Datetime("us", "UTC")),
        list=pl.concat_list("x"),
        struct=pl.struct("x"),
    )
    lake.write(TABLE, frame, partitions=None, commit=commit)
    assert_frame_equal(lake.scan(TABLE).collect(), frame)


@pytest.mark.parametrize(
    "dtype",
    [
        pl.UInt32(),
        pl.Categorical(),
        pl.Duration("us"),
        pl.Time(),
        pl.Datetime("ms", "UTC"),
        pl.Null(),
        pl.List(pl.UInt8),
    ],
    ids=str,
)
def test_a_type_that_would_come_back_as_another_is_refused(lake: Lake, commit: Commit, dtype: pl.DataType) -> None:
    with pytest.raises(LakeError, match=r"amount.*cast"):
        lake.write(TABLE, pl.DataFrame(schema={"amount": dtype}), partitions=None, commit=commit)
    assert lake.version(TABLE) is None


def test_a_whole_table_is_replaced_in_one_commit(lake: Lake, commit: Commit) -> None:
    ledger = rows(*DAYS).drop("partition_key")
    before = lake.write(TABLE, ledger, partitions=None, commit=commit)
    after = lake.write(TABLE, ledger.head(2), partitions=None, commit=commit)
    assert_frame_equal(held(lake), ledger.head(2))
    assert after.number == before.number + 1
    assert lake.write(TABLE, ledger.head(2), partitions=None, commit=commit) == after


def test_appending_leaves_what_is_there(lake: Lake, commit: Commit) -> None:
    ledger = rows(*DAYS).drop("partition_key")
    lake.append(TABLE, ledger.head(2), commit)
    last = lake.append(TABLE, ledger.slice(2), commit)
    assert_frame_equal(held(lake), ledger)
    assert lake.append(TABLE, ledger.head(0), commit) == last


def test_a_ledger_takes_a_new_column_only_where_that_is_declared(lake: Lake, commit: Commit) -> None:
    ledger = rows(*DAYS).drop("partition_key")
    lake.append(TABLE, ledger.head(2), commit)
    more = ledger.slice(2).with_columns(note=pl.lit("new"))
    with pytest.raises(LakeError, match=r"new \['note'\]"):
        lake.append(TABLE, more, commit)
    lake.append(TABLE, more, commit, schema_evolution=True)
    assert_frame_equal(held(lake).drop("note"), ledger)
    assert sorted(held(lake)["note"].unique().to_list(), key=str) == [None, "new"]
    last = lake.append(TABLE, ledger.head(1), commit, schema_evolution=True)
    assert lake.scan(TABLE, version=last.number).collect()["note"].null_count() == 3


def test_a_partitioned_table_is_not_appended_to_or_replaced_as_a_whole(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    with pytest.raises(LakeError, match=r"is partitioned by \['partition_key'\]; give partitions"):
        lake.append(TABLE, rows(*DAYS), commit)
    with pytest.raises(LakeError, match="give partitions"):
        lake.write(TABLE, rows(*DAYS), partitions=None, commit=commit)


def test_partitions_of_an_unpartitioned_table_are_refused(lake: Lake, commit: Commit) -> None:
    lake.append(TABLE, rows(*DAYS), commit)
    with pytest.raises(LakeError, match="partitioned by nothing; leave out partitions"):
        lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    with pytest.raises(LakeError, match="partitioned by nothing"):
        lake.scan(TABLE, partitions=DAYS)


def test_partitions_need_their_column(lake: Lake, commit: Commit) -> None:
    with pytest.raises(LakeError, match="no text column 'partition_key'"):
        lake.write(TABLE, rows(*DAYS).drop("partition_key"), partitions=DAYS, commit=commit)


def test_a_missing_table_is_named_with_its_place(lake: Lake) -> None:
    with pytest.raises(LakeError, match=rf"no table 'shop/orders' at {lake.root}/shop/orders"):
        lake.scan(TABLE)


def test_a_missing_table_has_no_version_and_no_partitions(lake: Lake) -> None:
    assert lake.version(TABLE) is None
    assert lake.partitions(TABLE) == set()


def test_a_missing_version_is_named(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    with pytest.raises(LakeError, match="shop/orders at version 99"):
        lake.scan(TABLE, version=99)


def test_a_partition_that_holds_nothing_gives_no_rows(lake: Lake, commit: Commit) -> None:
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    assert held(lake, "2099-01-01").shape == (0, 4)


def test_reading_partitions_opens_no_file_of_others(tmp_path: Path, commit: Commit) -> None:
    lake = Lake(root=str(tmp_path))
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    shutil.rmtree(tmp_path / TABLE / f"partition_key={DAYS[0]}")
    assert_frame_equal(held(lake, *DAYS[1:]), rows(*DAYS[1:]))


def test_a_lake_out_of_reach_is_named(tmp_path: Path, commit: Commit) -> None:
    (tmp_path / "lake").write_text("a file, where a folder should be", encoding="utf-8")
    with pytest.raises(LakeError, match=rf"cannot write shop/orders in the lake at {tmp_path}/lake"):
        Lake(root=str(tmp_path / "lake")).write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)


def test_an_asset_gets_the_lake_as_its_resource(lake: Lake) -> None:
    @dg.asset(key=["shop", "orders"])
    def orders(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult[None]:
        commit = Commit(dagster_run_id=context.run.run_id, code_version="1")
        return dg.MaterializeResult(
            metadata={"version": lake.write(TABLE, rows(), partitions=DAYS, commit=commit).number}
        )

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([orders], resources={"lake": lake}, instance=instance)
    written = lake.history(TABLE)[0].commit
    assert written is not None
    assert written.dagster_run_id == result.run_id


WRITE_A_DAY = """
import os, sys, json
import polars as pl
from resources.lake import Commit, Lake
lake = Lake.model_validate(json.loads(sys.argv[1]))
day, amounts = sys.argv[2], [float(sys.argv[3])] * 500
frame = pl.DataFrame({"partition_key": [day] * 500, "order": [f"{day}/{i:03}" for i in range(500)], "amount": amounts})
print("ready", flush=True)
sys.stdin.readline()  # all writers start together
commit = Commit(dagster_run_id=day, code_version="1")
for _ in range(int(sys.argv[4])):
    lake.write("shop/orders", frame, partitions=[day], commit=commit)
    frame = frame.with_columns(pl.col("amount") + 1)
"""


def writers(lake: Lake, *writes: tuple[str, float], times: int) -> list[int]:
    """Exit codes of processes that each write one day `times` times, all at once."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_A_DAY, lake.model_dump_json(), day, str(amount), str(times)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for day, amount in writes
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in started:
        process.communicate()
    return [process.returncode for process in started]


def test_four_processes_that_make_the_table_with_four_partitions_lose_none(lake: Lake) -> None:
    days = [f"2013-02-0{n}" for n in range(1, 5)]
    assert writers(lake, *((day, 1.0) for day in days), times=3) == [0] * 4
    counts = lake.scan(TABLE).group_by("partition_key").agg(pl.len(), pl.col("amount").unique()).collect()
    assert sorted(counts.iter_rows()) == [(day, 500, [3.0]) for day in days]


def test_two_processes_that_write_one_partition_leave_the_rows_of_one(lake: Lake) -> None:
    assert writers(lake, (DAYS[0], 1.0), (DAYS[0], 100.0), times=4) == [0] * 2
    left = held(lake)
    assert len(left) == 500
    assert left["amount"].n_unique() == 1


WRITE_MUCH = """
import sys
import polars as pl
from resources.lake import Commit, Lake
days = [f"{n:03}" for n in range(400)]
frame = pl.DataFrame({"partition_key": days}).join(pl.DataFrame({"amount": range(2000)}), how="cross")
Lake(root=sys.argv[1]).write("shop/orders", frame, partitions=days, commit=Commit(dagster_run_id="r", code_version="2"))
"""


def test_a_killed_write_leaves_the_old_version(tmp_path: Path, commit: Commit) -> None:
    lake = Lake(root=str(tmp_path))
    old = rows("000").select("partition_key", amount=pl.lit(-1, pl.Int64))
    before = lake.write(TABLE, old, partitions=["000"], commit=commit)
    table = tmp_path / TABLE
    there = set(table.rglob("*.parquet*"))
    process = subprocess.Popen([sys.executable, "-c", WRITE_MUCH, str(tmp_path)])
    try:
        while not set(table.rglob("*.parquet*")) - there and process.poll() is None:
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert set(table.rglob("*.parquet*")) - there, "it was killed before it wrote"
    assert lake.version(TABLE) == before.number
    assert_frame_equal(lake.scan(TABLE).collect(), old)
    again = lake.write(TABLE, old.with_columns(amount=pl.lit(5, pl.Int64)), partitions=["000"], commit=commit)
    assert again.number == before.number + 1
    assert lake.scan(TABLE).collect()["amount"].to_list() == [5] * 3


def test_a_lake_reaches_its_s3_by_the_usual_variables(
    s3_root: str, monkeypatch: pytest.MonkeyPatch, commit: Commit
) -> None:
    monkeypatch.setenv("THROUGHLINE_LAKE", f"{s3_root}/lake")
    settings = Settings()
    lake = Lake(root=settings.lake_root, storage_options=settings.storage_options)
    lake.write(TABLE, rows(*DAYS), partitions=DAYS, commit=commit)
    assert_frame_equal(held(lake), rows(*DAYS))
