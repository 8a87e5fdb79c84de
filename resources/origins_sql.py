"""A table or a query in a database, through SQLAlchemy.

Belongs here: reading rows in chunks, all or from an instant on, and typing them. Does not belong here: writing to
databases; nothing here changes one.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from resources.errors import SettingsError, SourceError
from resources.origins import lazily

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select

CHUNK_ROWS: Final = 50_000
"""Rows fetched at a time: with 30 columns about 100 MB as Python objects, which are slow and large."""

KEPT_TYPES: Final[dict[type, pl.DataType]] = {
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
    date: pl.Date(),
    datetime: pl.Datetime("us", "UTC"),
}
"""Types that Polars has as they are. All others become text: exact decimals, times of day, JSON, identifiers."""
LOCAL: Final = pl.Datetime("us")
"""A timestamp without a zone stays without: whose local time it is must be declared."""


@dataclass(frozen=True, kw_only=True)
class SqlOrigin:
    """Rows of a table, or of a query.

    A column whose values are all missing in the first chunk is read as text, as no driver says its type alike.

    Attributes:
        url_variable: Name of the environment variable with the SQLAlchemy URL, such as `SHOP_DATABASE_URL` holding
            `postgresql+psycopg2://user:password@host/database`; so no secret is ever in a file.
        table: Table or view, also as `schema.table`; either this or `query`.
        query: A `SELECT` without parameters.
        time_column: Column by which new rows are found and rows are ordered; None: all is read, in the order of the
            database, which promises none. Rows without a time come first, and only when all is read. A column of
            text is compared as text, so its times should be written alike, year first.
        chunk_rows: Rows fetched at a time.
    """

    url_variable: str
    table: str | None = None
    query: str | None = None
    time_column: str | None = None
    chunk_rows: int = CHUNK_ROWS

    def __post_init__(self) -> None:
        if (self.table is None) == (self.query is None):
            raise ValueError("fields table and query: give exactly one of them")
        if not re.fullmatch(r"[A-Za-z_]\w*", self.url_variable):
            raise ValueError(
                "field url_variable: it is not the name of an environment variable; put the URL into a variable such "
                "as SHOP_DATABASE_URL, and name that, so that no password is in a file"
            )

    def batches(self, since: datetime | None = None) -> Iterator[pl.DataFrame]:
        """The rows in chunks, streamed from the server; in the order of `time_column` if there is one.

        Args:
            since: With `time_column`, only rows at or after it (UTC; for timestamps without a zone too).

        Raises:
            SettingsError: If the variable is not set, or holds no URL that SQLAlchemy understands.
            SourceError: If the database cannot be reached or refuses the login or the query, or a column mixes types.
        """
        schema: dict[str, pl.DataType] | None = None
        with self._connected() as engine:
            for select, is_probe in self._selects(since):
                for names, columns in self._chunks(engine, select):
                    if schema is None:
                        schema = {n: _type(values) for n, values in zip(names, columns, strict=True)}
                    if not is_probe:
                        types = schema.items()
                        yield pl.DataFrame([self._series(n, v, t) for (n, t), v in zip(types, columns, strict=True)])

    def read(self) -> pl.LazyFrame:
        """The rows, lazily; raises as `batches` does. Every query on it runs the whole `SELECT` anew."""
        return lazily(self.batches)

    def describe(self) -> str:
        """The table or query, and which variable says where it is."""
        what = f"table {self.table}" if self.table else f"query {' '.join(str(self.query).split())[:60]!r}"
        return f"{what} of the database in {self.url_variable}"

    def _chunks(self, engine: "Engine", select: "Select[Any]") -> Iterator[tuple[list[str], list[Sequence[Any]]]]:
        """Column names and the values of each column, chunk by chunk, from a cursor that the server keeps."""
        with engine.connect().execution_options(stream_results=True, max_row_buffer=self.chunk_rows) as connection:
            result = connection.execute(select)
            names = [str(name) for name in result.keys()]  # noqa: SIM118 - a result is no mapping
            self._refuse_repeated(names)
            for rows in result.partitions(self.chunk_rows):
                yield names, list(zip(*rows, strict=True))

    def _selects(self, since: datetime | None) -> list[tuple["Select[Any]", bool]]:
        """What to ask, in this order, and whether it is only asked for the types."""
        import sqlalchemy as sa

        if self.table is not None:
            schema, _, name = self.table.rpartition(".")
            source: Any = sa.table(name, schema=schema or None)
        else:
            # A colon before a word would be a parameter of SQLAlchemy; the query is the user's own and has none.
            plain = re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", str(self.query).strip().rstrip(";"))
            source = sa.text(f"({plain}) throughline_rows")
        every = sa.select(sa.text("*")).select_from(source)
        if self.time_column is None:
            return [(every, False)]
        at: sa.ColumnElement[Any] = sa.column(self.time_column)
        if since is not None:
            return [(every.where(at >= since.astimezone(UTC).replace(tzinfo=None)).order_by(at), False)]
        # Rows without a time come first, so that they go with the first partition and no later delivery moves them;
        # but they cannot say the type of the time column.
        dated = every.where(at.is_not(None)).order_by(at)
        return [(dated.limit(self.chunk_rows), True), (every.where(at.is_(None)), False), (dated, False)]

    @contextmanager
    def _connected(self) -> Iterator["Engine"]:
        import sqlalchemy as sa

        url = os.environ.get(self.url_variable, "")
        if not url:
            raise SettingsError(
                f"{self.url_variable} is not set; put the database's URL into it, such as "
                "postgresql+psycopg2://user:password@host/database"
            )
        try:
            engine = sa.create_engine(url, poolclass=sa.NullPool)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError):
            # Without the cause: it may repeat the URL, and with it the password.
            raise SettingsError(
                f"{self.url_variable} holds no URL that SQLAlchemy can use; it is like "
                "postgresql+psycopg2://user:password@host/database, and the driver after the + must be installed"
            ) from None
        try:
            yield engine
        except sa.exc.SQLAlchemyError as error:
            raise SourceError(
                f"{self.describe()} cannot be read: {_reason(error, engine.url.password)}; check the URL in "
                f"{self.url_variable}, the login, and the names of the table and its columns"
            ) from None
        finally:
            engine.dispose()

    def _refuse_repeated(self, names: list[str]) -> None:
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SourceError(f"{self.describe()} gives {twice} more than once; name the columns of the query apart")

    def _series(self, name: str, values: Sequence[Any], dtype: pl.DataType) -> pl.Series:
        if dtype == pl.String():
            return pl.Series(name, [_text(value) for value in values], dtype=dtype)
        allowed = {kind for kind, kept in KEPT_TYPES.items() if kept == dtype} or {datetime}
        allowed |= {int} if dtype == pl.Float64() else set()
        is_local = dtype == LOCAL
        for value in values:
            if value is not None and (type(value) not in allowed or _is_other_clock(value, is_local=is_local)):
                raise SourceError(
                    f"{self.describe()} mixes types in column {name!r}: {value!r} is no {dtype}; cast it in a query"
                )
        try:
            return pl.Series(name, values, dtype=dtype)
        except (OverflowError, pl.exceptions.PolarsError) as error:
            raise SourceError(
                f"{self.describe()} has a value in column {name!r} that is no {dtype}: {error}"
            ) from error


def _type(values: Sequence[Any]) -> pl.DataType:
    """The type of a column by its values in the first chunk; text where they differ, or there is none."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pl.Float64()
    if len(kinds) != 1:
        return pl.String()
    if kinds == {datetime} and any(value.tzinfo is None for value in values if value is not None):
        return LOCAL
    return KEPT_TYPES.get(kinds.pop(), pl.String())


def _is_other_clock(value: Any, *, is_local: bool) -> bool:
    return isinstance(value, datetime) and (value.tzinfo is None) != is_local


def _text(value: Any) -> str | None:
    """Exact: decimals digit by digit, times in ISO form, bytes in hexadecimal, JSON as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict | list | bool):
        import json

        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _reason(error: Exception, password: Any) -> str:
    """What the driver says, in one line and without the password."""
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    return text.replace(str(password), "***") if password else text
