"""Where a table's data comes from: what has arrived, and its rows as they landed.

Belongs here: the `Source` interface and its forms. Does not belong here: whether columns and values are as declared
(`assets/logic/intake.py`), and where the landing zone is (`landing.py`).
"""

import csv
import gzip
import hashlib
import io
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import polars as pl

from resources.errors import SourceError
from resources.objects import ObjectStore, StoredObject

PLACEHOLDER: Final = "{partition}"
SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Spreadsheets put it before the first column name, which then would not be the declared one."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One thing that has landed.

    Attributes:
        partition: The partition key it holds; None for a whole table.
        path: Where it is, relative to the landing zone.
        uri: Where it is, in full.
        fingerprint: Changes when it is delivered anew.
        size: Bytes.
        arrived_at: When it landed (UTC).
    """

    partition: str | None
    path: str
    uri: str
    fingerprint: str
    size: int
    arrived_at: datetime


@dataclass(frozen=True, kw_only=True)
class Landed:
    """The rows of one arrival as they landed, shape (n > 0, landed columns), and the sha256 of its bytes (hex)."""

    frame: pl.LazyFrame
    sha256: str


class Source(Protocol):
    """What a stage needs to know of a table's origin; files, queries and web addresses all look alike to it."""

    def arrivals(self, landing: ObjectStore) -> dict[str | None, Arrival]:
        """What has arrived, by partition key (None: the whole table)."""
        ...

    def read(self, landing: ObjectStore, arrival: Arrival) -> Landed:
        """The rows of one arrival, text where the format has no types.

        Raises:
            SourceError: If it is damaged or malformed.
        """
        ...

    def scan(self, landing: ObjectStore, arrival: Arrival) -> pl.LazyFrame:
        """The rows of one arrival without their origin; raises as `read` does."""
        ...


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Files in the landing zone; the format follows from the ending: `.csv`, `.csv.gz` or `.parquet`.

    CSV is UTF-8 with a header and commas; all its columns are read as text, nothing is guessed.

    Attributes:
        pattern: Path under the landing zone, such as `orders/orders_{partition}.csv.gz`; without `{partition}`, one
            whole file.
        partition_format: Regular expression of a partition key. Other names at that place are not ours: a copy called
            `orders_2013-01-01.old.csv` is not a partition.
        null_values: Texts that stand for a missing value in CSV.
    """

    pattern: str
    partition_format: str = r"\d{4}-\d{2}-\d{2}"
    null_values: tuple[str, ...] = ("NA", "")

    def __post_init__(self) -> None:
        if not self.pattern.endswith(SUFFIXES):
            raise ValueError(f"field pattern: {self.pattern!r} ends with none of {', '.join(SUFFIXES)}")
        if self.pattern.count(PLACEHOLDER) > 1:
            raise ValueError(f"field pattern: {self.pattern!r} holds {PLACEHOLDER} more than once")

    def __str__(self) -> str:
        return self.pattern

    def arrivals(self, landing: ObjectStore) -> dict[str | None, Arrival]:
        """The files that match the pattern, by partition key. Hidden files and other names are not listed.

        Raises:
            StoreError: If the landing zone cannot be listed.
        """
        before, has_partition, after = self.pattern.partition(PLACEHOLDER)
        key = f"(?P<key>{self.partition_format})" if has_partition else ""
        name = re.compile(re.escape(before) + key + re.escape(after))
        found = ((name.fullmatch(o.path), o) for o in landing.list(before))
        arrived = [self._arrival(landing, o, m["key"] if has_partition else None) for m, o in found if m]
        return {a.partition: a for a in arrived}

    def read(self, landing: ObjectStore, arrival: Arrival) -> Landed:
        """The rows of one file, and the sha256 of the file.

        Raises:
            SourceError: If it is empty, truncated, damaged, without rows, not UTF-8, ragged, or its header names a
                column twice or not at all.
            StoreError: If it is gone or cannot be read.
        """
        data = landing.read(arrival.path)
        if not data:
            raise SourceError(f"{arrival.uri} is empty (0 bytes); deliver it again")
        sha256 = hashlib.sha256(data).hexdigest()
        if self.pattern.endswith(".parquet"):
            frame = _parquet(data, arrival.uri)
        else:
            text = _unzipped(data, arrival.uri) if self.pattern.endswith(".gz") else data
            frame = _csv(text.removeprefix(BYTE_ORDER_MARK), arrival.uri, self.null_values)
        if frame.is_empty():
            raise SourceError(f"{arrival.uri} has a header and no rows; deliver it complete, or take it away")
        return Landed(frame=frame.lazy(), sha256=sha256)

    def scan(self, landing: ObjectStore, arrival: Arrival) -> pl.LazyFrame:
        """The rows of one file; raises as `read` does."""
        return self.read(landing, arrival).frame

    @staticmethod
    def _arrival(landing: ObjectStore, stored: StoredObject, partition: str | None) -> Arrival:
        return Arrival(
            partition=partition,
            path=stored.path,
            uri=landing.uri(stored.path),
            fingerprint=stored.fingerprint,
            size=stored.size,
            arrived_at=stored.modified_at,
        )


def _unzipped(data: bytes, uri: str) -> bytes:
    try:
        text = gzip.decompress(data)
    except EOFError as error:
        raise SourceError(f"{uri} is truncated: its gzip stream ends before its end mark; deliver it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{uri} is not an intact gzip file ({error}); deliver it again") from error
    if not text:
        raise SourceError(f"{uri} is empty once unpacked; deliver it again")
    return text


def _csv(data: bytes, uri: str, null_values: tuple[str, ...]) -> pl.DataFrame:
    """Text columns in the order of the header, after the checks that Polars' tolerant parser does not make."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{uri} is not UTF-8 at byte {error.start}: {error.reason}; deliver it as UTF-8") from error
    rows = _count_rows(text, uri)
    try:
        frame = pl.read_csv(io.BytesIO(data), infer_schema=False, null_values=list(null_values))
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{uri} cannot be read as CSV: {error}; deliver it again") from error
    if len(frame) != rows:
        raise SourceError(f"{uri} is ambiguous CSV: {rows} or {len(frame)} rows; check its quotes and line ends")
    return frame


def _count_rows(text: str, uri: str) -> int:
    """Rows below the header; refuses ragged ones, which Polars would fill up with nulls (1 ms for 900 x 19)."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    row = 0
    try:
        header = next(reader, [])
        _check_header(header, uri)
        for row, fields in enumerate(reader, start=1):
            if len(fields) != len(header):
                raise SourceError(
                    f"{uri} is ragged: row {row} has {len(fields)} fields, the header {len(header)} "
                    f"(line {reader.line_num}); a file cut off in the middle looks like this too; deliver it again"
                )
    except csv.Error as error:
        raise SourceError(f"{uri} is broken CSV near line {reader.line_num}: {error}; deliver it again") from error
    return row


def _check_header(header: list[str], uri: str) -> None:
    if not header:
        raise SourceError(f"{uri} starts with an empty line where the header should be; deliver it again")
    if unnamed := [i for i, name in enumerate(header, start=1) if not name.strip()]:
        raise SourceError(f"{uri} does not name column {unnamed[0]} in its header; deliver it with all names")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise SourceError(f"{uri} names {twice} more than once in its header; deliver it with one name per column")


def _parquet(data: bytes, uri: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{uri} is not an intact Parquet file ({error}); deliver it again") from error
