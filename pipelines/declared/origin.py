"""Bringing the tables of a declaration into the landing zone: where they are, and how their rows are cut.

Belongs here: from a declared source to an origin and a partition key. Does not belong here: reading origins and writing
partitions (`resources/origins*.py`, `resources/delivery.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from assets.contracts import Partitions
from assets.logic.times import TimeSpec
from pipelines.declared.rules import YEARS
from pipelines.declared.schema import UseCaseDeclaration
from pipelines.declared.schema_tables import Column, Source, Time
from pipelines.declared.tables import event_time_of, landed_columns, landing_pattern, partitions_of
from pipelines.declared.words import did_you_mean
from resources.delivery import Delivered, Resume, deliver, delivered
from resources.dialects import Dialect
from resources.errors import SourceError
from resources.objects import ObjectStore
from resources.origins import DeltaOrigin, Origin, lazily
from resources.origins_files import FileOrigin
from resources.origins_sql import SqlOrigin
from resources.packages import located

Echo = Callable[[str], None]
AHEAD: Final = timedelta(days=366)
"""A time further ahead than this is a slip of the pen: 2031 for 2013."""


def origin_of(source: Source, folder: Path) -> Origin | None:
    """Where the rows are; None if others put them into the landing zone.

    Args:
        source: As declared.
        folder: Of the declaration; relative paths start here.
    """
    if source.sql is not None:
        return SqlOrigin(**source.sql.model_dump())
    if source.delta is not None:
        return DeltaOrigin(uri=_absolute(source.delta, folder))
    if source.uri is not None:
        dialect = None if source.dialect is None else Dialect(**source.dialect.model_dump())
        return FileOrigin(uri=_absolute(source.uri, folder), dialect=dialect, sheet=source.sheet)
    return None


@dataclass(frozen=True, kw_only=True)
class AsText:
    """The declared columns of an origin, all as text: what has a type gets it again when it is cleaned.

    Attributes:
        columns: Name here and name at the origin, in order.
    """

    origin: Origin
    columns: tuple[tuple[str, str], ...]

    def batches(self, since: datetime | None = None) -> Iterator[pl.DataFrame]:
        """The rows in the order of the origin.

        Raises:
            SourceError: If a declared column is not there, naming the one that was probably meant.
            InputError: As the origin.
        """
        for batch in self.origin.batches(since):
            if missing := [there for _, there in self.columns if there not in batch.columns]:
                raise SourceError(
                    f"{self.describe()} has no column {missing[0]!r}; {did_you_mean(missing[0], batch.columns)} "
                    f"{f'{len(missing) - 1} more are missing. ' if len(missing) > 1 else ''}Columns are declared under "
                    "`columns`, `time` and `target`; one that is called otherwise at its source needs `from`"
                )
            yield batch.select(as_text(pl.col(there), batch.schema[there]).alias(here) for here, there in self.columns)

    def read(self) -> pl.LazyFrame:
        """The same rows as a lazy frame."""
        return lazily(self.batches)

    def describe(self) -> str:
        """As the origin."""
        return self.origin.describe()


def as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Values as text from which they can be read again: times in ISO 8601 with their offset, numbers in full."""
    if isinstance(dtype, pl.Datetime):
        return column.dt.to_string("%Y-%m-%dT%H:%M:%S%.f%:z" if dtype.time_zone else "%Y-%m-%dT%H:%M:%S%.f")
    return column.cast(pl.String)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How rows are cut into partitions.

    Attributes:
        time: None for a table that is a whole.
        again: Only what is younger than the last delivered partition less this is delivered; None: everything.
    """

    time: TimeSpec | None
    columns: tuple[str, ...]
    partitions: Partitions
    again: timedelta | None = None

    def key(self, now: datetime) -> pl.Expr | None:
        """Partition key of a row; null where its time cannot be read or believed, as of `now`."""
        if self.time is None:
            return None
        time = self.time.parse(dict.fromkeys(self.columns, pl.String()))
        day = self.partitions.local_day(time)
        last = self.partitions.end or date(YEARS[1], 1, 1)
        is_plausible = day.is_between(self.partitions.start, last) & (time <= now + AHEAD)
        return pl.when(is_plausible).then(self.partitions.keys(day))

    def resume(self, landing: ObjectStore, pattern: str) -> Resume | None:
        """From where on to deliver; None: from the beginning."""
        if self.again is None or not (lying := delivered(landing, pattern)):
            return None
        since = datetime.fromisoformat(lying[-1]).replace(tzinfo=UTC) - self.again
        key = self.partitions.key(max(since.date(), self.partitions.start))
        # Local days begin up to 14 hours before those of UTC.
        return Resume(partition=key, since=datetime.fromisoformat(key).replace(tzinfo=UTC) - timedelta(days=1))


def deliver_declared(
    name: str, declared: UseCaseDeclaration, folder: Path, landing: ObjectStore, echo: Echo
) -> dict[str, Delivered]:
    """Bring every table of a declaration into the landing zone; what lies there already is not touched.

    Args:
        name: Of the use case.
        declared: Its declaration.
        folder: Where relative paths start.
        landing: Where the rows go.
        echo: Told of the progress.

    Returns:
        What was done, by table; those that others deliver are not in it.

    Raises:
        InputError: If an origin cannot be read, or its columns are not as declared.
        StoreError: If the landing zone cannot be read or written.
    """
    done = {}
    columns = tuple(landed_columns(declared))
    main = (declared.table, declared.source, declared.time, columns, declared.columns)
    others = [
        (other, table.source, table.time, (*_parts(table.time), *table.columns), table.columns)
        for other, table in declared.tables.items()
    ]
    for table, source, time, names, said in (*others, main):
        origin = origin_of(source, folder)
        if origin is None:
            continue
        pattern = landing_pattern(name, table, is_partitioned=time is not None)
        cut = _cut(declared, source, time)
        done[table] = deliver(
            AsText(origin=origin, columns=tuple((n, _there(n, said)) for n in dict.fromkeys(names))),
            landing,
            pattern,
            cut.key(datetime.now(tz=UTC)),
            resume=cut.resume(landing, pattern),
        )
        _tell(table, done[table], echo)
    return done


def _cut(declared: UseCaseDeclaration, source: Source, time: Time | None) -> Cut:
    if time is None:
        return Cut(time=None, columns=(), partitions=partitions_of(declared))
    partitions = partitions_of(declared.model_copy(update={"time": time}))
    spec = event_time_of(time).spec
    return Cut(time=spec, columns=tuple(time.by_role.values()), partitions=partitions, again=source.again)


def _tell(table: str, found: Delivered, echo: Echo) -> None:
    echo(
        f"{table}: {found.rows:,} rows delivered, {len(found.written)} partitions new or changed, "
        f"{len(found.unchanged)} as before"
    )
    if found.undated:
        echo(f"{table}: {found.undated:,} rows have no time that can be read or believed; they go to quarantine")
    if found.withdrawn:
        first = ", ".join(found.withdrawn[:3])
        echo(f"{table}: {len(found.withdrawn)} partitions have no rows at their source any more and stay ({first})")


def _parts(time: Time | None) -> tuple[str, ...]:
    return () if time is None else tuple(time.by_role.values())


def _there(name: str, columns: dict[str, Column]) -> str:
    return (columns[name].source_name if name in columns else None) or name


def _absolute(uri: str, folder: Path) -> str:
    uri = located(uri)
    return uri if "://" in uri or Path(uri).expanduser().is_absolute() else str(folder / uri)
