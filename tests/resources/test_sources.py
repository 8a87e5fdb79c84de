"""What arrives is listed by partition; a file that is not whole and clean is refused by name."""

import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from resources.errors import InputError, SourceError
from resources.objects import ObjectStore
from resources.sources import FileSource, Landed, Source

CSV = b'id,amount,note\n1,NA,\n2,2.50,"a,\n""b"""\n03,-0,plain\n'
ROWS = pl.DataFrame(
    {"id": ["1", "2", "03"], "amount": [None, "2.50", "-0"], "note": [None, 'a,\n"b"', "plain"]},
)
DAILY = FileSource(pattern="orders/orders_{partition}.csv")
DAY = "2013-01-01"


def landed(source: FileSource, landing: ObjectStore, data: bytes, partition: str | None = DAY) -> Landed:
    landing.write(source.pattern.replace("{partition}", partition or ""), data)
    return source.read(landing, source.arrivals(landing)[partition])


@pytest.fixture
def disk(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "landing"))


def test_arrivals_are_listed_by_partition_with_where_and_when(landing: ObjectStore) -> None:
    for day in (DAY, "2013-01-02"):
        landing.write(f"orders/orders_{day}.csv", CSV)
    arrivals = DAILY.arrivals(landing)
    assert list(arrivals) == [DAY, "2013-01-02"]
    arrival = arrivals[DAY]
    [stored] = landing.list(f"orders/orders_{DAY}")
    assert (arrival.partition, arrival.path, arrival.size) == (DAY, stored.path, len(CSV))
    assert (arrival.fingerprint, arrival.arrived_at) == (stored.fingerprint, stored.modified_at)
    assert arrival.uri == landing.uri(f"orders/orders_{DAY}.csv")


def test_a_redelivered_file_has_another_fingerprint(landing: ObjectStore) -> None:
    landing.write(f"orders/orders_{DAY}.csv", CSV)
    first = DAILY.arrivals(landing)[DAY]
    landing.write(f"orders/orders_{DAY}.csv", CSV + b"4,1,late\n")
    assert DAILY.arrivals(landing)[DAY].fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "path",
    [
        f"orders/.orders_{DAY}.csv.8f3.tmp",
        f"orders/orders_{DAY}.csv.tmp",
        f"orders/orders_{DAY}.csv.gz",
        f"orders/orders_{DAY}.old.csv",
        f"orders/old/orders_{DAY}.csv",
        f"orders/new_orders_{DAY}.csv",
        f"other/orders_{DAY}.csv",
        "orders/orders_.csv",
        f"orders/orders_{DAY}Xcsv",
    ],
)
def test_other_names_and_unfinished_files_do_not_arrive(disk: ObjectStore, path: str) -> None:
    disk.write(path, CSV)
    assert DAILY.arrivals(disk) == {}


def test_a_partition_may_have_a_format_of_its_own(disk: ObjectStore) -> None:
    source = FileSource(pattern="orders_{partition}.csv", partition_format="[a-z]+")
    for name in ("north", "south", "2013"):
        disk.write(f"orders_{name}.csv", CSV)
    assert list(source.arrivals(disk)) == ["north", "south"]


def test_a_whole_file_arrives_without_a_partition(disk: ObjectStore) -> None:
    source = FileSource(pattern="shops/shops.csv")
    disk.write("shops/shops.csv.old", CSV)
    assert source.arrivals(disk) == {}
    assert_frame_equal(landed(source, disk, CSV, partition=None).frame.collect(), ROWS)
    assert list(source.arrivals(disk)) == [None]


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_csv_is_read_as_text_and_only_the_null_values_are_null(landing: ObjectStore, ending: str) -> None:
    source = FileSource(pattern=f"orders_{{partition}}.{ending}")
    data = gzip.compress(CSV) if ending == "csv.gz" else CSV
    found = landed(source, landing, data)
    assert_frame_equal(found.frame.collect(), ROWS)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert_frame_equal(source.scan(landing, source.arrivals(landing)[DAY]).collect(), ROWS)


def test_parquet_keeps_its_types(landing: ObjectStore) -> None:
    frame = pl.DataFrame({"id": [1, 2], "at": pl.Series([0, None], dtype=pl.Datetime("us", "UTC"))})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    source = FileSource(pattern="orders_{partition}.parquet")
    assert_frame_equal(landed(source, landing, buffer.getvalue()).frame.collect(), frame)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("last", [True, False], ids=["last line ended", "last line open"])
def test_line_ends_make_no_difference(disk: ObjectStore, line_end: bytes, last: bool) -> None:
    data = line_end.join([b"id,note", b"1,a", b"2,b"]) + (line_end if last else b"")
    assert landed(DAILY, disk, data).frame.collect().rows() == [("1", "a"), ("2", "b")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(disk: ObjectStore) -> None:
    assert landed(DAILY, disk, b'\xef\xbb\xbf"id, or number",note\n1,a\n').frame.collect().columns == [
        "id, or number",
        "note",
    ]


def test_a_single_column_may_hold_missing_values(disk: ObjectStore) -> None:
    assert landed(DAILY, disk, b"id\n1\nNA\n3\n").frame.collect().rows() == [("1",), (None,), ("3",)]


def test_a_number_far_below_is_still_text(disk: ObjectStore) -> None:
    data = b"id,x\n" + b"".join(b"%d,1\n" % n for n in range(2000)) + b"last,2.5\n"
    assert landed(DAILY, disk, data).frame.collect()["id"].to_list()[-1] == "last"


BROKEN = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "header only": (b"id,note\n", "has a header and no rows"),
    "a cut-off line": (b"id,amount,note\n1,2,a\n2,3", r"ragged: row 2 has 2 fields, the header 3 \(line 3\)"),
    "too many fields": (b"id,note\n1,a\n2,b,c\n3,d\n", r"ragged: row 2 has 3 fields, the header 2 \(line 3\)"),
    "a blank line": (b"id,note\n1,a\n\n2,b\n", "ragged: row 2 has 0 fields"),
    "a name twice": (b"id,note,id\n1,a,2\n", r"names \['id'\] more than once"),
    "a column without name": (b"id,,note\n1,a,2\n", "does not name column 2"),
    "no header line": (b"\nid,note\n1,a\n", "starts with an empty line"),
    "latin-1": ("id,note\n1,é\n".encode("latin-1"), "is not UTF-8 at byte 10"),
    "an open quote": (b'id,note\n1,"a\n2,b\n', "broken CSV near line 3"),
    "text after a quote": (b'id,note\n1,"a"b\n', "broken CSV near line 2"),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_csv_file_is_refused(disk: ObjectStore, data: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        landed(DAILY, disk, data)
    assert str(raised.value).startswith(f"{disk.root}/orders/orders_{DAY}.csv ")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-4], "is truncated"),
        (lambda data: data[: len(data) // 2], "is truncated"),
        (lambda data: data[:-8] + bytes(4) + data[-4:], "not an intact gzip file .*CRC"),
        (lambda _: CSV, "not an intact gzip file"),
        (lambda data: data[:20] + b"\xff" * 20 + data[40:], "not an intact gzip file|is truncated"),
        (lambda _: gzip.compress(b""), "is empty once unpacked"),
        (lambda _: b"", "is empty"),
    ],
    ids=["end cut", "half", "checksum", "not gzip", "garbled", "empty inside", "empty"],
)
def test_a_damaged_gzip_file_is_refused(disk: ObjectStore, damage: Callable[[bytes], bytes], message: str) -> None:
    source = FileSource(pattern="orders/orders_{partition}.csv.gz")
    with pytest.raises(SourceError, match=message):
        landed(source, disk, damage(gzip.compress(CSV * 5)))


@pytest.mark.parametrize("cut", [slice(0, -10), slice(10, None), slice(0, 3)], ids=["footer", "head", "stub"])
def test_a_damaged_parquet_file_is_refused(disk: ObjectStore, cut: slice) -> None:
    buffer = io.BytesIO()
    ROWS.write_parquet(buffer)
    with pytest.raises(SourceError, match="is not an intact Parquet file"):
        landed(FileSource(pattern="orders_{partition}.parquet"), disk, buffer.getvalue()[cut])


def test_a_parquet_file_without_rows_is_refused(disk: ObjectStore) -> None:
    buffer = io.BytesIO()
    ROWS.head(0).write_parquet(buffer)
    with pytest.raises(SourceError, match="no rows"):
        landed(FileSource(pattern="orders_{partition}.parquet"), disk, buffer.getvalue())


def test_a_refused_file_counts_as_bad_input_and_is_not_retried_as_a_fault_of_the_store() -> None:
    assert issubclass(SourceError, InputError)


@pytest.mark.parametrize("pattern", ["orders.docx", "orders_{partition}_{partition}.csv"])
def test_a_pattern_that_cannot_be_read_is_refused_when_it_is_declared(pattern: str) -> None:
    with pytest.raises(ValueError, match="field pattern"):
        FileSource(pattern=pattern)


def test_a_file_source_is_a_source_and_shows_its_pattern() -> None:
    source: Source = DAILY
    assert str(source) == "orders/orders_{partition}.csv"
