"""Where a user's table lies before it is delivered: files, a Delta table, a database; all look alike.

Belongs here: the `Origin` interface, and Delta tables. Does not belong here: files (`origins_files.py`), databases
(`origins_sql.py`), and cutting rows into partitions (`delivery.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from resources.errors import SourceError


class Origin(Protocol):
    """A table somewhere else, which is read and never written."""

    def batches(self, since: datetime | None = None) -> Iterator[pl.DataFrame]:
        """The rows in the order of the origin, in frames of bounded size that all have the same columns and types.

        Text where the format has no types (CSV, JSON lines, Excel).

        Args:
            since: The caller needs no row from before this instant (UTC). An origin that cannot skip gives all.

        Raises:
            InputError: If there is nothing there, it cannot be reached, or it is damaged or malformed.
        """
        ...

    def read(self) -> pl.LazyFrame:
        """The same rows as a lazy frame; raises as `batches` does, when it is made or when it is collected."""
        ...

    def describe(self) -> str:
        """Where the rows come from, for a person; never holds a password."""
        ...


def lazily(batches: Callable[[], Iterator[pl.DataFrame]]) -> pl.LazyFrame:
    """A lazy frame over batches, which reads no more of them than a query needs; `head(5)` reads the first.

    The first batch is read at once, as it says which columns there are; every query starts anew.
    """
    from polars.io.plugins import register_io_source

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for batch in batches():
            frame = batch if left is None else batch.head(left)
            left = None if left is None else left - len(frame)
            if predicate is not None:
                frame = frame.filter(predicate)
            yield frame if columns is None else frame.select(columns)
            if left == 0:
                return

    first = next(batches(), pl.DataFrame())
    return register_io_source(source, schema=dict(first.schema))


@dataclass(frozen=True, kw_only=True)
class DeltaOrigin:
    """A Delta table.

    Attributes:
        uri: A local folder or `s3://bucket/prefix`.
        version: Which version; None is the current one.
        storage_options: For S3, what the AWS variables do not say; as in `Lake`.
    """

    uri: str
    version: int | None = None
    storage_options: tuple[tuple[str, str], ...] = ()

    def batches(self, since: datetime | None = None) -> Iterator[pl.DataFrame]:  # noqa: ARG002 - it gives all
        """The rows with their types. Delta promises no order; deliveries compare rows, not their order.

        Raises:
            SourceError: If there is no such table or version, or it cannot be read.
        """
        try:
            yield from self.read().collect_batches(maintain_order=True)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"{self.describe()} cannot be read: {error}") from error

    def read(self) -> pl.LazyFrame:
        """The rows, lazily; raises as `batches` does."""
        import deltalake
        from deltalake.exceptions import DeltaError, TableNotFoundError

        options = dict(self.storage_options)
        try:
            table = deltalake.DeltaTable(self.uri, version=self.version, storage_options=options)
        except TableNotFoundError as error:
            raise SourceError(f"there is no Delta table at {self.uri}; check the path") from error
        except (DeltaError, OSError) as error:
            raise SourceError(f"{self.describe()} cannot be opened: {error}") from error
        return pl.scan_delta(table, storage_options=options)

    def describe(self) -> str:
        """The path of the table and its version."""
        return f"Delta table {self.uri}" + ("" if self.version is None else f" at version {self.version}")
