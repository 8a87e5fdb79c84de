"""A delivery brings every row of an origin into its partition, and writes only what differs."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from resources import delivery_spool
from resources.delivery import Resume, deliver, delivered
from resources.errors import SourceError
from resources.objects import ObjectStore
from resources.origins_files import FileOrigin
from resources.sources import FileSource

PATTERN = "shop/orders_{partition}.parquet"
DAY = pl.col("at").str.to_date("%Y-%m-%d %H:%M", strict=False).cast(pl.String)
HEADER = "id,at,note\n"
LINES = [
    "1,2013-01-01 08:00,a",
    "2,2013-01-01 09:00,NA",
    "3,2013-01-02 08:00,b",
    "4,2013-01-01 10:00,late",
    "5,2013-01-03 08:00,c",
]


@dataclass(frozen=True)
class Batches:
    """An origin that hands out the batches it is given."""

    given: Sequence[pl.DataFrame]

    def batches(self, since: datetime | None = None) -> Iterator[pl.DataFrame]:  # noqa: ARG002 - it gives all
        yield from self.given

    def read(self) -> pl.LazyFrame:
        return pl.concat(self.given).lazy()

    def describe(self) -> str:
        return "batches"


def ids(landing: ObjectStore) -> dict[str, list[str]]:
    source = FileSource(pattern=PATTERN)
    return {str(k): source.scan(landing, a).collect()["id"].to_list() for k, a in source.arrivals(landing).items()}


def fingerprints(landing: ObjectStore) -> dict[str | None, str]:
    return {k: a.fingerprint for k, a in FileSource(pattern=PATTERN).arrivals(landing).items()}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "\n".join(LINES) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def disk(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "landing"))


def test_each_row_lands_in_its_partition_as_text_in_the_order_of_the_origin(landing: ObjectStore, table: Path) -> None:
    done = deliver(FileOrigin(uri=str(table)), landing, PATTERN, DAY)
    assert ids(landing) == {"2013-01-01": ["1", "2", "4"], "2013-01-02": ["3"], "2013-01-03": ["5"]}
    assert (done.written, done.unchanged, done.withdrawn) == (tuple(ids(landing)), (), ())
    assert (done.rows, done.undated) == (5, 0)
    source = FileSource(pattern=PATTERN)
    first = source.scan(landing, source.arrivals(landing)["2013-01-01"]).collect()
    assert_frame_equal(
        first,
        pl.DataFrame(
            {
                "id": ["1", "2", "4"],
                "at": [line.split(",")[1] for line in (*LINES[:2], LINES[3])],
                "note": ["a", None, "late"],
            }
        ),
    )


def test_the_same_delivered_twice_writes_nothing(landing: ObjectStore, table: Path) -> None:
    deliver(FileOrigin(uri=str(table)), landing, PATTERN, DAY)
    before = fingerprints(landing)
    done = deliver(FileOrigin(uri=str(table)), landing, PATTERN, DAY)
    assert (done.written, done.unchanged) == ((), ("2013-01-01", "2013-01-02", "2013-01-03"))
    assert fingerprints(landing) == before


def test_rows_appended_to_the_origin_refresh_only_their_partitions(landing: ObjectStore, table: Path) -> None:
    deliver(FileOrigin(uri=str(table)), landing, PATTERN, DAY)
    with table.open("a", encoding="utf-8") as file:
        file.write("6,2013-01-03 09:00,d\n7,2013-01-04 09:00,e\n")
    done = deliver(FileOrigin(uri=str(table)), landing, PATTERN, DAY)
    assert (done.written, done.unchanged) == (("2013-01-03", "2013-01-04"), ("2013-01-01", "2013-01-02"))
    assert ids(landing)["2013-01-03"] == ["5", "6"]


def test_another_order_of_the_same_rows_is_no_difference(disk: ObjectStore, table: Path) -> None:
    deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY)
    table.write_text(HEADER + "\n".join(reversed(LINES)) + "\n", encoding="utf-8")
    assert deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY).written == ()


def test_a_row_more_that_repeats_another_is_a_difference(disk: ObjectStore, table: Path) -> None:
    deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY)
    table.write_text(HEADER + "\n".join([*LINES, LINES[2]]) + "\n", encoding="utf-8")
    assert deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY).written == ("2013-01-02",)
    assert ids(disk)["2013-01-02"] == ["3", "3"]


def test_a_damaged_file_in_the_landing_zone_is_mended(disk: ObjectStore, table: Path) -> None:
    deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY)
    disk.write("shop/orders_2013-01-02.parquet", b"damaged")
    assert deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY).written == ("2013-01-02",)


def test_rows_without_a_partition_go_with_the_row_above_else_with_the_first() -> None:
    rows = [(0, "?"), (1, None), (2, "2013-01-02 00:00"), (3, "?"), (4, "2013-01-01 00:00"), (5, "?"), (6, None)]
    frame = pl.DataFrame(rows, schema={"id": pl.Int64, "at": pl.String}, orient="row")
    for cuts in ([7], [1] * 7, [2, 2, 3], [3, 4]):
        ends = [sum(cuts[: i + 1]) for i in range(len(cuts))]
        batches = [frame[end - n : end] for n, end in zip(cuts, ends, strict=True)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delivery_spool, "GROUP_BYTES", 1)
            found = _delivered_ids(batches)
        assert found == {"2013-01-01": [4, 5, 6], "2013-01-02": [0, 1, 2, 3]}


def _delivered_ids(batches: Sequence[pl.DataFrame]) -> dict[str, list[int]]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore(folder)
        done = deliver(Batches(batches), store, PATTERN, DAY)
        assert (done.rows, done.undated) == (7, 5)
        source = FileSource(pattern=PATTERN)
        return {str(k): source.scan(store, a).collect()["id"].to_list() for k, a in source.arrivals(store).items()}


@pytest.mark.parametrize("group_bytes", [1, 2_000, 1 << 30])
def test_however_rows_are_batched_and_grouped_none_is_lost_doubled_or_moved(
    disk: ObjectStore, monkeypatch: pytest.MonkeyPatch, group_bytes: int
) -> None:
    monkeypatch.setattr(delivery_spool, "GROUP_BYTES", group_bytes)
    chance = random.Random(3)  # noqa: S311
    days = [f"2013-01-{chance.randint(1, 28):02} 00:00" for _ in range(500)]
    frame = pl.DataFrame({"id": [str(n) for n in range(500)], "at": days})
    deliver(Batches([frame[n : n + 70] for n in range(0, 500, 70)]), disk, PATTERN, DAY)
    expected = frame.with_columns(DAY.alias("key")).partition_by("key", as_dict=True)
    assert ids(disk) == {str(key): rows["id"].to_list() for (key,), rows in sorted(expected.items())}


def test_a_partition_that_vanished_is_told_and_kept_and_taken_away_only_on_request(
    landing: ObjectStore, table: Path
) -> None:
    deliver(FileOrigin(uri=str(table)), landing, PATTERN, DAY)
    table.write_text(HEADER + "\n".join(LINES[:3]) + "\n", encoding="utf-8")
    assert deliver(FileOrigin(uri=str(table)), landing, PATTERN, DAY).withdrawn == ("2013-01-03",)
    assert delivered(landing, PATTERN) == ["2013-01-01", "2013-01-02", "2013-01-03"]
    assert deliver(FileOrigin(uri=str(table)), landing, PATTERN, DAY, prune=True).withdrawn == ("2013-01-03",)
    assert delivered(landing, PATTERN) == ["2013-01-01", "2013-01-02"]


def test_resumed_only_partitions_from_there_on_are_touched(disk: ObjectStore, table: Path) -> None:
    deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY)
    table.write_text(HEADER + "?,?,?\n8,2013-01-01 08:00,z\n9,2013-01-02 08:00,z\n", encoding="utf-8")
    resume = Resume(partition="2013-01-02", since=datetime(2013, 1, 1, tzinfo=UTC))
    done = deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY, resume=resume)
    assert (done.written, done.withdrawn, done.rows, done.undated) == (("2013-01-02",), ("2013-01-03",), 1, 0)
    assert ids(disk) == {"2013-01-01": ["1", "2", "4"], "2013-01-02": ["9"], "2013-01-03": ["5"]}


def test_resumed_where_nothing_is_new_nothing_happens(disk: ObjectStore) -> None:
    resume = Resume(partition="2013-01-02", since=datetime(2013, 1, 1, tzinfo=UTC))
    done = deliver(Batches([]), disk, PATTERN, DAY, resume=resume)
    assert (done.written, done.withdrawn, done.rows) == ((), (), 0)


def test_an_origin_that_breaks_off_writes_nothing(disk: ObjectStore, table: Path) -> None:
    with table.open("a", encoding="utf-8") as file:
        file.write("cut o")
    with pytest.raises(SourceError, match="ragged: row 6"):
        deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY)
    assert disk.list() == []


def test_a_table_without_partitions_is_one_file(disk: ObjectStore, table: Path) -> None:
    done = deliver(FileOrigin(uri=str(table)), disk, "shop/orders.parquet", None)
    again = deliver(FileOrigin(uri=str(table)), disk, "shop/orders.parquet", None)
    assert (len(done.written), len(again.written), len(again.unchanged)) == (1, 0, 1)
    source = FileSource(pattern="shop/orders.parquet")
    assert source.scan(disk, source.arrivals(disk)[None]).collect()["id"].to_list() == ["1", "2", "3", "4", "5"]


def test_a_time_that_never_parses_is_told(disk: ObjectStore, table: Path) -> None:
    with pytest.raises(SourceError, match="none of its 5 rows has a time that can be read"):
        deliver(FileOrigin(uri=str(table)), disk, PATTERN, pl.col("note").str.to_date("%Y", strict=False))


def test_an_origin_without_rows_is_told(disk: ObjectStore) -> None:
    with pytest.raises(SourceError, match="has no rows"):
        deliver(Batches([]), disk, PATTERN, DAY)


@pytest.mark.parametrize(("pattern", "key"), [("a_{partition}.csv", DAY), ("a.parquet", DAY), (PATTERN, None)])
def test_a_pattern_that_does_not_fit_is_refused(disk: ObjectStore, pattern: str, key: pl.Expr | None) -> None:
    with pytest.raises(ValueError, match="field pattern"):
        deliver(Batches([]), disk, pattern, key)


def test_progress_says_how_many_rows_were_read(disk: ObjectStore, table: Path) -> None:
    told: list[str] = []
    deliver(FileOrigin(uri=str(table)), disk, PATTERN, DAY, progress=told.append)
    assert told == [f"5 rows read from {table}", "3 partitions written, 0 unchanged"]
