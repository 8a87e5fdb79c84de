"""What a declaration says of one table: where it comes from, its time and its columns.

Belongs here: fields, their meaning for the JSON schema, and what one part can contradict in itself. Does not belong
here: what parts say of one another (`consistency.py`), and what is made of them (`tables.py`).
"""

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from assets.logic.times import Epoch
from assets.tables import Personal
from pipelines.declared.words import Declared, Length
from resources.serving.ranges import Otherwise, Range

ColumnType = Literal["text", "integer", "number", "boolean", "time"]
Role = Literal["input", "known_later", "ignored"]
Invalid = Literal["reject", "missing"]
Encoding = Literal["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"]
Value = str | int | float | bool
ORIGINS = ("uri", "delta", "sql", "pattern")


class Dialect(Declared):
    """How a CSV file is written. Left out as a whole, it is found out from the first bytes at each delivery."""

    encoding: Encoding = "utf-8"
    """How characters became bytes."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """The character between fields."""
    quote: str | None = Field(default='"', min_length=1, max_length=1)
    """The character around fields that hold a delimiter; null if there are no quotes."""
    decimal_comma: bool = False
    """Numbers are written as 1.234,5."""
    null_values: tuple[str, ...] = ("NA", "")
    """Texts that stand for a missing value in every column."""


class Sql(Declared):
    """A table or a query in a database."""

    url_variable: str
    """Environment variable with the SQLAlchemy URL: a password never stands in this file."""
    table: str | None = None
    """Table, or schema.table."""
    query: str | None = None
    """A SELECT, instead of a table."""
    time_column: str | None = None
    """Column by which only new rows are asked for; needed for `again`."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "Sql":
        if (self.table is None) == (self.query is None):
            raise ValueError("name either a table or a query")
        return self


class Source(Declared):
    """Where the rows come from: exactly one of uri, delta, sql and pattern."""

    uri: str | None = None
    """A file, a folder or a pattern such as data/*.csv; local (relative to this file), s3:// or http(s)://. CSV,
    Parquet, JSON lines or Excel, also compressed."""
    delta: str | None = None
    """Folder or s3:// prefix of a Delta table."""
    sql: Sql | None = None
    """A database."""
    pattern: str | None = None
    """Files that others put into the landing zone, one per partition, such as orders/orders_{partition}.csv."""
    dialect: Dialect | None = None
    """How CSV is written; found out if it is not said."""
    sheet: str | None = None
    """Which sheet of a workbook; the first if it is not said."""
    again: Length | None = None
    """Deliver only what is younger than the last delivered partition less this; without it, everything is compared."""

    @model_validator(mode="after")
    def _one_origin(self) -> "Source":
        given = [name for name in ORIGINS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(ORIGINS)}; got {', '.join(given) or 'none'}")
        if self.again is not None and self.pattern is not None:
            raise ValueError("again does not go with pattern: those files are not delivered by us")
        return self


class TimeColumns(Declared):
    """The columns that make up a time together."""

    date: str | None = None
    """Whole dates."""
    time: str | None = None
    """Clock times, such as 14:30 or 1430."""
    year: str | None = None
    """Years with four digits."""
    month: str | None = None
    """Months, as numbers or English names."""
    day: str | None = None
    """Days of the month."""
    hour: str | None = None
    """Hours, 0 to 23."""
    minute: str | None = None
    """Minutes."""
    second: str | None = None
    """Seconds."""


class Time(Declared):
    """The time a row is about: one column, or several."""

    column: str | None = None
    """The column with the time."""
    columns: TimeColumns | None = None
    """Several columns instead: date with time or hour; or year, month, day, hour."""
    format: str | None = None
    """How text is written, in the letters of strptime, such as %d.%m.%Y %H:%M; ISO 8601 needs none."""
    zone: str = "UTC"
    """Time zone of what is written without an offset, such as Europe/Berlin. Days are cut in this zone."""
    epoch: Epoch | None = None
    """The column counts these units since 1970."""
    name: str | None = None
    """What the time is called once it is put together; the column's own name, or event_time for several."""

    @model_validator(mode="after")
    def _one_form(self) -> "Time":
        if (self.column is None) == (self.columns is None):
            raise ValueError("name either a column or columns")
        return self

    @property
    def by_role(self) -> dict[str, str]:
        """Column by its role, as `TimeSpec` takes them."""
        if self.columns is None:
            return {"instant": str(self.column)}
        return {role: name for role, name in self.columns if name is not None}

    @property
    def event_time(self) -> str:
        """Name of the time in the cleaned table."""
        return self.name or self.column or "event_time"


class Column(Declared):
    """One column. Columns that are not named here are not taken in."""

    type: ColumnType = "text"
    """What it holds. Text is a category; whole numbers that are names (a shop's number) are text as well."""
    role: Role = "input"
    """`input`: known when the question is asked. `known_later`: only its past may be used. `ignored`: only kept."""
    description: str | None = None
    """What it means, for people."""
    unit: str | None = None
    """Its unit, such as EUR or kg."""
    min: float | None = None
    """A smaller value sends the row to quarantine."""
    max: float | None = None
    """A greater value sends the row to quarantine."""
    allowed: tuple[Value, ...] | None = None
    """Any other value sends the row to quarantine."""
    out_of_range: Otherwise = "warn"
    """Of an input with min, max or allowed: a request with another value is answered, and the answer names the input
    (`warn`), or it is not answered (`refuse`)."""
    nullable: bool = True
    """False: a row without a value goes to quarantine, and a request must hold it."""
    invalid: Invalid = "reject"
    """A value that is not of this type sends its row to quarantine (`reject`), or counts as `missing`."""
    known_at: str | None = None
    """Of what is known later: the time column that says when; without it, when the target is."""
    personal: Personal | None = None
    """Personal data: the log of the endpoint keeps only a keyed `hash` of it, or leaves it out (`drop`)."""
    source_name: str | None = Field(default=None, alias="from")
    """What the column is called at its source, if it should be called otherwise here."""
    format: str | None = None
    """Of a time: how it is written, as in `time`."""
    zone: str = "UTC"
    """Of a time: its zone, as in `time`."""
    epoch: Epoch | None = None
    """Of a time: the unit it is counted in, as in `time`."""

    @model_validator(mode="after")
    def _fits(self) -> "Column":
        if self.type not in ("integer", "number") and (self.min is not None or self.max is not None):
            raise ValueError(f"min and max are for integer and number, and this is {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is greater than max: nothing is from {self.min:g} to {self.max:g}")
        if self.out_of_range == "refuse" and self.range is None:
            raise ValueError("out_of_range is for columns with min, max or allowed, and this has none of them")
        if self.type == "time" and self.allowed is not None:
            raise ValueError("allowed is for values, and this is a time")
        if self.type != "text" and any(isinstance(value, str) for value in self.allowed or ()):
            raise ValueError(f"allowed holds texts, and this is {self.type}")
        if self.type != "time" and (self.format or self.epoch):
            raise ValueError(f"format and epoch are for time, and this is {self.type}")
        if self.known_at is not None and self.role != "known_later":
            raise ValueError(f"known_at is for columns with the role known_later, and this is {self.role}")
        return self

    @property
    def range(self) -> Range | None:
        """What a request may usually hold; None if nothing is said of it."""
        if (self.min, self.max, self.allowed) == (None, None, None):
            return None
        allowed = self.allowed
        if allowed is not None and self.type == "text":
            allowed = tuple(str(value) for value in allowed)
        return Range(lowest=self.min, highest=self.max, allowed=allowed, otherwise=self.out_of_range)


class FurtherTable(Declared):
    """A table beside the one that is asked about: a register, or records that become known at their time."""

    source: Source
    """Where its rows come from."""
    time: Time | None = None
    """When a record happened, and so was known; without it the table is a register that is replaced as a whole."""
    key: tuple[str, ...] = ()
    """Columns that identify a row; without them rows may repeat."""
    columns: dict[str, Column]
    """Its columns."""
    available_after: Length = Field(default=timedelta(0))
    """How long after its time a record reaches us."""
    optional: bool = False
    """True: a partition without its file is recorded and stops nothing."""
    description: str | None = None
    """What it is, for people."""
