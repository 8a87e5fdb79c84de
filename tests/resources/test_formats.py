"""Every format gives the same rows, in text where it has no types; a broken file is refused by name and place."""

import codecs
import csv
import gzip
import io
import random
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from resources import csv_rows
from resources.csv_rows import csv_pieces
from resources.dialects import Dialect, sniff
from resources.errors import SourceError
from resources.formats import format_of, pieces

TEXT = 'id,amount,note\n1,NA,\n2,2.50,"a,\n""b"""\n03,-0,é\n'
ROWS = pl.DataFrame({"id": ["1", "2", "03"], "amount": [None, "2.50", "-0"], "note": [None, 'a,\n"b"', "é"]})


def read(
    data: bytes | Path, name: str = "a.csv", dialect: Dialect | None = None, sheet: str | None = None
) -> pl.DataFrame:
    form = format_of(name)
    assert form is not None
    return pl.concat(pieces(data, form, dialect or Dialect(), name, sheet))


def zipped(data: bytes, *names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return buffer.getvalue()


def zstandard(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zip": lambda data: zipped(data, "folder/a.csv", "__MACOSX/a.csv"),
    ".zst": zstandard,
}


@pytest.mark.parametrize("packing", PACKED)
def test_a_packed_file_is_read_like_a_plain_one(tmp_path: Path, packing: str) -> None:
    data = PACKED[packing](TEXT.encode())
    (tmp_path / "a").write_bytes(data)
    assert_frame_equal(read(data, f"a.csv{packing}"), ROWS)
    assert_frame_equal(read(tmp_path / "a", f"a.csv{packing}"), ROWS)


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize(
    "damage", [lambda d: d[: len(d) // 2], lambda d: d[:30] + b"\xff" * 60 + d[90:]], ids=["cut", "garbled"]
)
def test_a_damaged_packed_file_is_refused(packing: str, damage: Callable[[bytes], bytes]) -> None:
    rows = random.Random(1).randbytes(50_000).hex(" ").replace(" ", "\n").encode()  # noqa: S311
    with pytest.raises(SourceError, match=rf"a\.csv{packing} is (truncated|not an intact)"):
        read(damage(PACKED[packing](b"id\n" + rows)), f"a.csv{packing}")


def test_an_archive_of_several_tables_is_refused() -> None:
    with pytest.raises(SourceError, match="holds 2 tables"):
        read(zipped(b"a\n1\n", "a.csv", "b.csv"), "both.zip")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "latin-1", "cp1252"])
def test_every_encoding_gives_the_same_rows(encoding: str) -> None:
    dialect = Dialect(encoding=encoding)  # type: ignore[arg-type]
    assert_frame_equal(read(TEXT.encode(encoding), dialect=dialect), ROWS)


def test_a_mark_at_the_start_is_no_part_of_the_first_name_in_any_encoding() -> None:
    assert read(codecs.BOM_UTF8 + b"id,b\n1,2\n").columns == ["id", "b"]
    assert read("id,b\n1,2\n".encode("utf-16"), dialect=Dialect(encoding="utf-16")).columns == ["id", "b"]


@pytest.mark.parametrize("at", [100, 1_000_000])
def test_a_byte_that_is_not_of_the_encoding_is_named(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.setattr(csv_rows, "PIECE_BYTES", 4096)
    data = bytearray(b"id\n" + b"123456789\n" * 200_000)
    data[at] = 0xE9
    with pytest.raises(SourceError, match=f"is not UTF-8 at byte {at}: .*declare its encoding"):
        list(csv_pieces(io.BytesIO(bytes(data)), Dialect(), "a.csv", 4096))


def test_numbers_with_a_decimal_comma_are_read_with_a_point_and_nothing_else_changes() -> None:
    data = "a;b;c\n1.234,50;1,2,3;01.02.2013\n-0,5;x,1;12\n1.234;NA;1,5€\n".encode()
    found = read(data, dialect=Dialect(delimiter=";", decimal_comma=True))
    assert found.rows() == [("1234.50", "1,2,3", "01.02.2013"), ("-0.5", "x,1", "12"), ("1234", None, "1,5€")]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_will_do(line_end: str) -> None:
    assert read(line_end.join(["id,b", "1,2", "3,4", ""]).encode()).rows() == [("1", "2"), ("3", "4")]


def test_a_file_without_quotes_may_hold_them_in_its_text() -> None:
    data = b'id,b\n1,5" pipe\n2,"x\n'
    assert read(data, dialect=Dialect(quote=None)).rows() == [("1", '5" pipe'), ("2", '"x')]


def test_inch_marks_are_read_as_pythons_csv_reads_them() -> None:
    assert read(b'id,b\n1,5" pipe\n2,6" pipe\n').rows() == [("1", '5" pipe'), ("2", '6" pipe')]


def test_whatever_the_pieces_the_rows_are_those_of_pythons_csv() -> None:
    chance = random.Random(5)  # noqa: S311
    signs = ["a", "1", ",", '"', "\n", "\r\n", " ", "é", ""]
    for _ in range(60):
        width = chance.randint(1, 4)
        rows = [["x" + "".join(chance.choices(signs, k=4)) for _ in range(width)] for _ in range(chance.randint(1, 30))]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([[f"c{n}" for n in range(width)], *rows])
        frames = csv_pieces(io.BytesIO(text.getvalue().encode()), Dialect(), "a.csv", chance.randint(3, 90))
        assert [list(row) for row in pl.concat(frames).rows()] == rows


def test_a_ragged_row_is_found_however_its_piece_adds_up() -> None:
    """The quoted delimiter makes up for the missing one in a plain count."""
    with pytest.raises(SourceError, match=r"row 2 has 1 fields, the header 2 \(line 3\)"):
        read(b'id,note\n1,"a,b"\n2\n3,c\n')


@pytest.mark.parametrize("bad", [17, 4_000])
@pytest.mark.parametrize("line", [b"1", b"1,2,3", b"", b"1,2,"])
def test_a_ragged_row_is_named_by_its_number_in_the_whole_file(bad: int, line: bytes) -> None:
    lines = [b'1,"2\n2"'] * 5_000
    lines[bad - 1] = line
    with pytest.raises(SourceError, match=rf"is ragged: row {bad} has .* \(line {2 * bad}\)"):
        list(csv_pieces(io.BytesIO(b"a,b\n" + b"\n".join(lines) + b"\n"), Dialect(), "a.csv", 1000))


def test_a_quote_that_never_closes_does_not_gather_the_file_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "LONGEST_RECORD", 10_000)
    with pytest.raises(SourceError, match=r"record of more than .* after line 3; a quote that is never"):
        list(csv_pieces(io.BytesIO(b'id\n1\n2\n"' + b"3\n" * 20_000), Dialect(), "a.csv", 5))


def test_names_that_repeat_are_all_told() -> None:
    with pytest.raises(SourceError, match=r"names \['a', 'b'\] more than once"):
        read(b"a,b,a,b,c\n1,2,3,4,5\n")


def test_five_thousand_columns_are_a_table() -> None:
    names = [f"column {n}" for n in range(5_000)]
    row = [str(n) for n in range(5_000)]
    found = read("\n".join(",".join(line) for line in (names, row, row)).encode())
    assert (found.columns, found.rows()) == (names, [tuple(row)] * 2)


def test_a_column_of_mixed_types_stays_text() -> None:
    assert read(b"id\n1\n2.5\nthree\n2013-01-01\n").to_series().to_list() == ["1", "2.5", "three", "2013-01-01"]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.xlsx", "a.parquet"])
def test_an_empty_file_is_told(name: str) -> None:
    with pytest.raises(SourceError, match="is empty"):
        read(b"", name)


def test_a_sniffed_file_is_read_as_it_was_meant() -> None:
    data = "id;preis;ort\n1;1.234,50;Köln\n2;NULL;'a;b'\n".encode("latin-1")
    assert read(data, dialect=sniff(data)).rows() == [("1", "1234.50", "Köln"), ("2", None, "a;b")]


def test_json_lines_are_text_and_a_late_key_is_a_column() -> None:
    lines = [
        '{"a": 1, "b": "x"}',
        "",
        '{"b": null, "a": 1.50}',
        '{"c": [1, {"d": "é"}], "a": true, "b": ""}',
        '{"a": NaN}',
    ]
    assert read("\n".join(lines).encode(), "a.jsonl").rows(named=True) == [
        {"a": "1", "b": "x", "c": None},
        {"a": "1.5", "b": None, "c": None},
        {"a": "true", "b": None, "c": '[1, {"d": "é"}]'},
        {"a": None, "b": None, "c": None},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": \n', "line 2, is no JSON"),
        ('[{"a": 1}]', "line 1, is no JSON object"),
        ('{"a": 1, "a": 2}', r"names \['a'\] more than once"),
        ('{"a": Infinity}', "Infinity is no number"),
        ('{"a": "é"}', "is not UTF-8"),
    ],
)
def test_broken_json_lines_are_refused(text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(text.encode("latin-1"), "a.ndjson")


def test_a_workbook_is_text_cell_by_cell() -> None:
    cells = [
        ["id", "mixed", "at", None],
        ["007", 1, datetime(2013, 1, 2, 3, 4), None],  # noqa: DTZ001
        ["x", "NA", None, None],
        ["y", 2.5, None, None],
    ]
    assert read(workbook({"first": cells}), "a.xlsx").rows(named=True) == [
        {"id": "007", "mixed": "1", "at": "2013-01-02 03:04:00"},
        {"id": "x", "mixed": None, "at": None},
        {"id": "y", "mixed": "2.5", "at": None},
    ]


def test_a_sheet_is_chosen_by_name_else_it_is_the_first() -> None:
    book = workbook({"one": [["a"], ["1"]], "two": [["b"], ["2"]]})
    assert (read(book, "a.xlsx").columns, read(book, "a.xlsx", sheet="two").columns) == (["a"], ["b"])
    with pytest.raises(SourceError, match=r"no sheet 'three'; it has \['one', 'two'\]"):
        read(book, "a.xlsx", sheet="three")


@pytest.mark.parametrize(
    ("cells", "message"),
    [([["a", "a"], [1, 2]], r"names \['a'\] more than once"), ([["a", None], [1, 2]], "does not name column 2"),
     ([["a"]], "no rows"), ([], "empty sheet")],
)  # fmt: skip
def test_a_workbook_that_is_no_table_is_refused(cells: list[list[object]], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(workbook({"first": cells}), "a.xlsx")


def test_a_damaged_workbook_is_refused() -> None:
    with pytest.raises(SourceError, match="not an intact workbook"):
        read(workbook({"first": [["a"], [1]]})[:-500], "a.xlsx")


def workbook(sheets: dict[str, list[list[object]]]) -> bytes:
    import xlsxwriter

    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return buffer.getvalue()


def test_packed_parquet_keeps_its_types() -> None:
    frame = pl.DataFrame({"id": [1, 2], "x": [0.5, None]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    assert_frame_equal(read(gzip.compress(buffer.getvalue()), "a.parquet.gz"), frame)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("A.CSV", "csv"),
        ("x/a.tsv.gz", "csv"),
        ("a.zip", "csv"),
        ("a.json", "jsonl"),
        ("a.csv.old", None),
        ("a", None),
        ("a.gz", None),
    ],
)
def test_the_format_follows_from_the_ending(name: str, kind: str | None) -> None:
    form = format_of(name)
    assert (form and form.kind) == kind
