"""CSV read strictly and in pieces: every row has as many fields as the header, whatever the size of the file.

Belongs here: from the bytes of a CSV file to text columns. Does not belong here: what else a file can be, and how it
is packed (`formats.py`).

Polars is fast and tolerant: it raises on a row that is too long, and fills one that is too short with nulls. So each
piece is counted: no row has more delimiters than the header, hence if all rows together have exactly as many as whole
rows would, each has. Delimiters and line ends within quoted fields are counted in the values and taken off. Where the
counts differ, Python's strict `csv` module judges the piece, row by row. Counting bytes is nearly free; counting within
values took 0.7 s of processor time for 115 MB (400,000 x 30) beside 1.6 s of reading, where there are quotes at all.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

import polars as pl

from resources.dialects import Dialect
from resources.errors import SourceError

if TYPE_CHECKING:
    from _csv import Reader

PIECE_BYTES: Final = 64 << 20
"""Bytes that are parsed at a time: about 150 MB of memory with the text columns made of them."""
LONGEST_RECORD: Final = 2 * PIECE_BYTES
"""A record above this is a quote that never closes; without a limit the whole file would gather in memory."""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """What all pieces of a file share."""

    where: str
    names: list[str]
    dialect: Dialect

    @property
    def nulls(self) -> list[str]:
        return [*dict.fromkeys((*self.dialect.null_values, ""))]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        return dict.fromkeys(self.names, pl.String())


def csv_pieces(file: BinaryIO, dialect: Dialect, where: str, piece_bytes: int = PIECE_BYTES) -> Iterator[pl.DataFrame]:
    """The rows below the header in order, as text columns, in pieces of about `piece_bytes` of the file.

    Args:
        file: The unpacked bytes; read from front to back once.
        dialect: How the file is written.
        where: Its name for errors.
        piece_bytes: How much is parsed at a time, bytes.

    Raises:
        SourceError: If it is empty, not in the encoding of the dialect, ragged, its quotes are broken, or its header
            names a column twice or not at all.
    """
    table: _Table | None = None
    row = line = 0
    for piece in _records(_utf8(file, dialect, where, piece_bytes), dialect, where):
        rows = piece
        if table is None:
            names, length = _header(piece, dialect, where)
            table, rows = _Table(where=where, names=names, dialect=dialect), piece[length:]
            line = piece.count(b"\n", 0, length)
            if not rows:
                yield pl.DataFrame(schema=table.schema)
                continue
        frame = _parsed(rows, table, row, line)
        row, line = row + len(frame), line + rows.count(b"\n")
        yield _with_points(frame) if dialect.decimal_comma else frame
    if table is None:
        raise SourceError(f"{where} is empty once unpacked; deliver it again")


def check_names(names: list[str], where: str) -> None:
    """Refuse a header that names a column twice or not at all.

    Raises:
        SourceError: With the names, or the number of the column.
    """
    if unnamed := [i for i, name in enumerate(names, start=1) if not name.strip()]:
        raise SourceError(f"{where} does not name column {unnamed[0]} in its header; deliver it with all names")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise SourceError(f"{where} names {twice} more than once in its header; deliver it with one name per column")


def _utf8(file: BinaryIO, dialect: Dialect, where: str, size: int) -> Iterator[bytes]:
    """The same text in UTF-8, without byte order mark; line ends of old Macs become those of today."""
    encoding = "utf-8" if dialect.encoding == "utf-8-sig" else dialect.encoding
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, ends_in_returns = 0, None
    while True:
        block = file.read(size)
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{where} is not {dialect.encoding.upper()} at byte {offset - pending + error.start}: {error.reason}; "
                "deliver it as UTF-8, or declare its encoding"
            ) from error
        if not block:
            return
        data = block if encoding == "utf-8" else text.encode()
        if offset == 0:
            data = data.removeprefix(codecs.BOM_UTF8)
            ends_in_returns = b"\r" in data and b"\n" not in data
        offset += len(block)
        yield data.replace(b"\r", b"\n") if ends_in_returns else data


def _records(blocks: Iterator[bytes], dialect: Dialect, where: str) -> Iterator[bytes]:
    """Pieces that end where a record ends."""
    rest, line = b"", 0
    for block in blocks:
        data = rest + block
        end = _end_of_records(data, dialect.quote)
        if not end and len(data) > LONGEST_RECORD:
            raise SourceError(
                f"{where} has a record of more than {LONGEST_RECORD >> 20} MB after line {line}; a quote that is never "
                "closed looks like this: mend it, or declare the file without quotes"
            )
        if end:
            yield data[:end]
            line += data.count(b"\n", 0, end)
        rest = data[end:]
    if rest:
        yield rest


def _end_of_records(data: bytes, quote: str | None) -> int:
    """Position after the last line end that is not within quotes; 0 if there is none."""
    end = data.rfind(b"\n") + 1
    if quote is None:
        return end
    sign = quote.encode()
    is_open = data.count(sign, 0, end) % 2
    while end and is_open:
        before = data.rfind(b"\n", 0, end - 1) + 1
        is_open ^= data.count(sign, before, end) % 2
        end = before
    return end


def _reader(data: bytes, dialect: Dialect) -> "Reader":
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    if dialect.quote is None:
        return csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)


def _header(data: bytes, dialect: Dialect, where: str) -> tuple[list[str], int]:
    """Column names, and how many bytes they take with their line end."""
    reader = _reader(data, dialect)
    try:
        names: list[str] = next(reader, [])
    except csv.Error as error:
        raise SourceError(f"{where} is broken CSV near line {reader.line_num}: {error}; deliver it again") from error
    if not names:
        raise SourceError(f"{where} starts with an empty line where the header should be; deliver it again")
    check_names(names, where)
    end = 0
    for _ in range(reader.line_num):
        end = data.find(b"\n", end) + 1 or len(data)
    return names, end


def _parsed(data: bytes, table: _Table, row: int, line: int) -> pl.DataFrame:
    """One piece; `row` and `line` are how many came before it."""
    dialect = table.dialect
    try:
        frame = pl.read_csv(
            io.BytesIO(data),
            has_header=False,
            schema=table.schema,
            separator=dialect.delimiter,
            quote_char=dialect.quote,
            null_values=table.nulls,
        )
    except pl.exceptions.PolarsError:
        return _judged(data, table, row, line)  # it says which row, or that Polars was wrong
    return frame if _is_whole(data, frame, dialect) else _judged(data, table, row, line)


def _is_whole(data: bytes, frame: pl.DataFrame, dialect: Dialect) -> bool:
    """True if every row certainly has all its fields; see the top of the module."""
    sign = dialect.delimiter.encode()
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    delimiters = data.count(sign)
    if dialect.quote is not None and dialect.quote.encode() in data:
        inside = [
            sum(frame.select(pl.all().str.count_matches(text, literal=True).sum()).row(0))
            for text in ("\n", dialect.delimiter)
        ]
        lines, delimiters = lines - inside[0], delimiters - inside[1]
    if data.count(b"\r") != data.count(b"\r\n"):
        return False
    if frame.width == 1 and (b"\n\n" in data or b"\n\r\n" in data or data.startswith((b"\n", b"\r\n"))):
        return False
    return lines == len(frame) and delimiters == len(frame) * (frame.width - 1)


def _judged(data: bytes, table: _Table, row: int, line: int) -> pl.DataFrame:
    """The piece as Python's strict `csv` module reads it: slow, exact, and it names what is wrong."""
    reader = _reader(data, table.dialect)
    nulls, width, where = set(table.nulls), len(table.names), table.where
    rows: list[list[str | None]] = []
    try:
        for number, fields in enumerate(reader, start=row + 1):
            if len(fields) != width:
                raise SourceError(
                    f"{where} is ragged: row {number} has {len(fields)} fields, the header {width} "
                    f"(line {line + reader.line_num}); a file cut off in the middle looks like this too; "
                    "deliver it again"
                )
            rows.append([None if field in nulls else field for field in fields])
    except csv.Error as error:
        raise SourceError(
            f"{where} is broken CSV near line {line + reader.line_num}: {error}; deliver it again"
        ) from error
    return pl.DataFrame(rows, schema=table.schema, orient="row")


def _with_points(frame: pl.DataFrame) -> pl.DataFrame:
    """`1.234,5` as `1234.5` and `1.234` as `1234`; what is not such a number as a whole stays as it is."""
    number = r"^[+-]?(\d{1,3}(\.\d{3})+(,\d+)?|\d+,\d+)$"
    plain = pl.all().str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return frame.with_columns(pl.when(pl.all().str.contains(number)).then(plain).otherwise(pl.all()))
