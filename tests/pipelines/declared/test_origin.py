"""Declared sources in the landing zone: as text, by the partition, only what differs."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.declared.build import load_deliver
from resources.errors import SourceError
from resources.objects import ObjectStore
from tests.pipelines.declared.conftest import Declare, Line

ORDERS = """
    source: {uri: orders.csv}
    time: {column: at}
    partitions: {start: 2024-01-01}
    target: {column: y, task: regression}
"""
DAYS = "at,y\n" + "".join(f"2024-01-{day:02},{day}\n" for day in range(1, 11))
Make = Callable[..., Line]


def test_one_file_is_cut_into_partitions(line: Make) -> None:
    assert line(ORDERS, orders=DAYS).keys() == [f"2024-01-{day:02}" for day in range(1, 11)]


def test_a_second_delivery_changes_nothing(line: Make) -> None:
    made = line(ORDERS, orders=DAYS)
    before = {o.path: o.fingerprint for o in made.landing.list()}
    made.deliver()
    assert {o.path: o.fingerprint for o in made.landing.list()} == before
    assert made.said[-1] == "rows: 10 rows delivered, 0 partitions new or changed, 10 as before"


def test_rows_that_were_appended_touch_their_partitions_only(line: Make) -> None:
    made = line(ORDERS, orders=DAYS)
    before = {o.path: o.fingerprint for o in made.landing.list()}
    file = made.path.with_name("orders.csv")
    file.write_text(file.read_text() + "2024-01-10,99\n2024-01-11,11\n")
    made.deliver()
    after = {o.path: o.fingerprint for o in made.landing.list()}
    assert sorted(p for p in after if before.get(p) != after[p]) == [
        "shop/rows_2024-01-10.parquet",
        "shop/rows_2024-01-11.parquet",
    ]


def test_rows_whose_time_cannot_be_read_are_told_and_kept(line: Make) -> None:
    made = line(ORDERS, orders=DAYS + "soon,5\n")
    assert made.said[-1] == "rows: 1 rows have no time that can be read or believed; they go to quarantine"
    assert made.reasons() == {"time_does_not_parse": 1}


def test_a_column_that_is_not_there_is_told_with_the_near_one(declare: Declare, tmp_path: Path) -> None:
    deliver = load_deliver(declare(ORDERS.replace("column: y", "column: yy"), orders=DAYS))
    assert deliver is not None
    with pytest.raises(SourceError, match=r"has no column 'yy'; did you mean 'y'\?"):
        deliver(ObjectStore(str(tmp_path / "landing")), print)


def test_columns_that_are_not_declared_are_left_at_their_source(line: Make) -> None:
    made = line(ORDERS, orders="at,y,secret\n2024-01-01,1,x\n")
    assert made.cleaned().rows.columns == ["at", "y", "y_known_at", "partition_key"]


def test_a_column_can_be_called_otherwise_than_at_its_source(line: Make) -> None:
    text = ORDERS + "    columns: {reason_given: {from: reason}}\n"
    assert line(text, orders="at,y,reason\n2024-01-01,1,late\n").column("reason_given").to_list() == ["late"]


def test_typed_columns_come_out_as_they_went_in(declare: Declare, tmp_path: Path) -> None:
    text = """
        source: {uri: typed.parquet}
        time: {column: at, zone: Europe/Berlin}
        target: {column: y, task: regression}
        columns:
          n: {type: integer}
          b: {type: boolean}
          t: {type: time}
          d: {type: time}
          s: {}
    """
    path = declare(text)
    frame = pl.DataFrame(
        {
            "at": pl.Series([datetime(2024, 7, 1, 0, 30)], dtype=pl.Datetime("ns")),  # noqa: DTZ001 - local
            "y": [0.1 + 0.2],
            "n": [2**62],
            "b": [True],
            "t": pl.Series([datetime(2024, 1, 1, 12, tzinfo=UTC)], dtype=pl.Datetime("ms", "UTC")),
            "d": [date(2023, 12, 31)],
            "s": pl.Series(["x"], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(path.with_name("typed.parquet"))
    row = Line(path).cleaned().rows.row(0, named=True)
    assert row["at"] == datetime(2024, 6, 30, 22, 30, tzinfo=UTC)
    assert row["partition_key"] == "2024-07-01"
    assert (row["y"], row["n"], row["b"], row["s"]) == (0.1 + 0.2, 2**62, True, "x")
    assert (row["t"], row["d"]) == (datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2023, 12, 31, tzinfo=UTC))


def test_a_database_is_asked_for_what_is_new_only(
    declare: Declare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    database = tmp_path / "shop.db"
    with sqlite3.connect(database) as connection:
        connection.execute("create table orders (at text, y real)")
        connection.executemany("insert into orders values (?, ?)", [(f"2024-01-{d:02}", d) for d in range(1, 11)])
    connection.close()
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{database}")
    sql = "sql: {url_variable: SHOP_URL, table: orders, time_column: at}, again: 2d"
    made = Line(declare(ORDERS.replace("uri: orders.csv", sql)))
    assert len(made.keys()) == 10
    made.deliver()
    assert made.said[-1] == "rows: 3 rows delivered, 0 partitions new or changed, 3 as before"
