"""Where a table's data comes from: what has arrived, and its rows as they landed.

Belongs here: the `Source` interface and its forms. Does not belong here: whether columns and values are as declared
(`assets/logic/intake.py`), and where the landing zone is (`landing.py`).
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

import polars as pl

from resources.dialects import USUAL, Dialect
from resources.errors import SourceError
from resources.formats import READABLE, Format, format_of, pieces
from resources.objects import ObjectStore, StoredObject

PLACEHOLDER: Final = "{partition}"


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
    """Files in the landing zone; the format follows from the ending, such as `.csv`, `.csv.gz` or `.parquet`.

    Columns of CSV, JSON lines and Excel are read as text, nothing is guessed; Parquet keeps its types.

    Attributes:
        pattern: Path under the landing zone, such as `orders/orders_{partition}.csv.gz`; without `{partition}`, one
            whole file.
        partition_format: Regular expression of a partition key. Other names at that place are not ours: a copy called
            `orders_2013-01-01.old.csv` is not a partition.
        null_values: Texts that stand for a missing value; None: those of the dialect.
        dialect: How CSV is written; UTF-8 with a header, commas and `NA` if it is not said.
    """

    pattern: str
    partition_format: str = r"\d{4}-\d{2}-\d{2}"
    null_values: tuple[str, ...] | None = None
    dialect: Dialect = USUAL

    def __post_init__(self) -> None:
        if format_of(self.pattern) is None:
            raise ValueError(f"field pattern: {self.pattern!r} ends with none of {READABLE}")
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
            SourceError: If it is empty, truncated, damaged, without rows, in another encoding, ragged, or its header
                names a column twice or not at all.
            StoreError: If it is gone or cannot be read.
        """
        data = landing.read(arrival.path)
        sha256 = hashlib.sha256(data).hexdigest()
        frame = pl.concat(pieces(data, self._format, self._dialect, arrival.uri))
        return Landed(frame=frame.lazy(), sha256=sha256)

    def scan(self, landing: ObjectStore, arrival: Arrival) -> pl.LazyFrame:
        """The rows of one file; raises as `read` does."""
        return self.read(landing, arrival).frame

    @property
    def _format(self) -> Format:
        form = format_of(self.pattern)
        if form is None:
            raise SourceError(f"{self.pattern!r} ends with none of {READABLE}")
        return form

    @property
    def _dialect(self) -> Dialect:
        return self.dialect if self.null_values is None else replace(self.dialect, null_values=self.null_values)

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
