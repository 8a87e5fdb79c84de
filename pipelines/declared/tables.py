"""Declared tables as the line knows them: `SourceTable` with columns, rules and a generic `clean`.

Belongs here: from the declaration of a table to the contract. Does not belong here: features and the use case as a
whole (`build.py`), and bringing rows into the landing zone (`origin.py`).
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import polars as pl

from assets.contracts import LABEL_TYPES, Column, Expectation, Partitions, Rule, SourceTable
from assets.logic.times import TimeSpec
from pipelines.declared import rules
from pipelines.declared.cleaning import Cleaning, EventTime
from pipelines.declared.label import Label
from pipelines.declared.schema import UseCaseDeclaration
from pipelines.declared.schema_tables import Column as DeclaredColumn
from pipelines.declared.schema_tables import FurtherTable, Source, Time
from pipelines.declared.values import DTYPES, UTC_TIME, Field
from resources.dialects import Dialect
from resources.sources import FileSource

TEXT: Final = pl.String()
INSTANT: Final = timedelta(microseconds=1)
"""An outcome reaches us after the instant at which it is known: a row that is asked about at its own time must not
count itself."""
MINUTE_US: Final = 60_000_000
UNITS_US: Final = {"days": 1440 * MINUTE_US, "hours": 60 * MINUTE_US, "minutes": MINUTE_US}


def landing_pattern(use_case: str, table: str, *, is_partitioned: bool) -> str:
    """Where the deliveries of a table lie in the landing zone."""
    return f"{use_case}/{table}_{{partition}}.parquet" if is_partitioned else f"{use_case}/{table}.parquet"


def partitions_of(declared: UseCaseDeclaration) -> Partitions:
    """The partitions, by local day in the zone of the time.

    Raises:
        DeclarationError: If the start is not the first day of a partition.
    """
    cut = declared.partitions
    return Partitions(start=cut.start, end=cut.end, timezone=declared.time.zone, every=cut.every)


def event_time_of(time: Time) -> EventTime:
    """How the time of a row is read.

    Raises:
        DeclarationError: If it cannot be a point in time.
    """
    spec = TimeSpec(columns=time.by_role, format=time.format, zone=time.zone, epoch=time.epoch)  # type: ignore[arg-type]
    return EventTime(name=time.event_time, spec=spec, schema=tuple((name, TEXT) for name in time.by_role.values()))


def field_of(name: str, column: DeclaredColumn, null_texts: tuple[str, ...]) -> Field:
    """How a column is read.

    Raises:
        DeclarationError: If its zone does not exist.
    """
    time = None
    if column.type == "time":
        time = TimeSpec(columns={"instant": name}, format=column.format, zone=column.zone, epoch=column.epoch)
    return Field(
        name=name,
        type=column.type,
        null_texts=tuple(sorted({text.strip().lower() for text in null_texts} | {""})),
        time=time,
        nullable=column.nullable,
        minimum=column.min,
        maximum=column.max,
        allowed=column.allowed,
        invalid=column.invalid,
    )


def label_of(declared: UseCaseDeclaration) -> Label:
    """How the target is read."""
    target = declared.target
    column = declared.columns.get(target.column, DeclaredColumn())
    known_at = None
    if target.known_at is not None:
        known_at = field_of(target.known_at, declared.columns[target.known_at], declared.null_texts)
    # A null, or a category that is not allowed, is no mistake in an outcome that is still to come.
    field = replace(field_of(target.column, column, declared.null_texts), nullable=True, allowed=None, time=None)
    return Label(
        field=replace(field, type="number"),
        task=target.task,
        positive=target.positive,
        known_after=target.known_after or timedelta(0),
        known_at=known_at,
    )


def asked_at_of(declared: UseCaseDeclaration) -> pl.Expr | None:
    """When the question is asked (UTC), over cleaned columns; None if the lead is the same for all rows."""
    predict = declared.predict
    if predict.at is not None:
        return pl.col(predict.at)
    if predict.lead is None:
        return None
    return pl.col(declared.time.event_time) - _lead(pl.col(predict.lead.column), predict.lead.unit)


def entity_table(name: str, declared: UseCaseDeclaration) -> SourceTable:
    """The table whose rows are asked about.

    Raises:
        DeclarationError: If parts of it cannot work.
    """
    partitions, time, label = partitions_of(declared), event_time_of(declared.time), label_of(declared)
    known = kept(declared)
    fields = tuple(field_of(n, column, declared.null_texts) for n, column in known.items())
    clean = Cleaning(time=time, fields=tuple(f for f in fields if f.name != label.known_column), label=label)
    landed = landed_columns(declared)
    cleaned = {declared.time.event_time: Column(dtype=UTC_TIME, description="The time.", unit="UTC", nullable=False)}
    cleaned |= {n: _cleaned(c, label.known_column) for n, c in known.items() if n != label.known_column}
    cleaned |= _label_columns(declared, label)
    return SourceTable(
        name=declared.table,
        description=declared.description or f"The rows that {name} is asked about.",
        source=source_of(declared.source, landing_pattern(name, declared.table, is_partitioned=True)),
        columns={n: Column(dtype=TEXT, description=_said(n, declared.columns.get(n))) for n in landed},
        cleaned_columns=cleaned,
        key=declared.key,
        clean=clean,
        rules=(
            *rules.time_rules(time.value, partitions, time.spec),
            *(rule for field in fields for rule in rules.value_rules(field)),
            *_question_rules(declared, fields, time),
            *rules.label_rules(label),
        ),
        expectations=tuple(Expectation(**e.model_dump()) for e in declared.expectations),
        event_time=declared.time.event_time,
        available_after=declared.available_after + INSTANT,
    )


def kept(declared: UseCaseDeclaration) -> dict[str, DeclaredColumn]:
    """Columns of the cleaned table as declared, without time and target."""
    apart = {declared.time.event_time, declared.target.column}
    return {n: c for n, c in declared.columns.items() if n not in apart and c.role != "ignored"}


def landed_columns(declared: UseCaseDeclaration) -> list[str]:
    """Columns to take in, in order: those of the time, the declared ones, the target."""
    return [*dict.fromkeys([*declared.time.by_role.values(), *declared.columns, declared.target.column])]


def further_table(use_case: str, name: str, declared: FurtherTable, of: UseCaseDeclaration) -> SourceTable:
    """A table beside it: a register without a time, or records that are known at their time.

    Raises:
        DeclarationError: If parts of it cannot work.
    """
    time = None if declared.time is None else event_time_of(declared.time)
    partitions = None if declared.time is None else partitions_of(of.model_copy(update={"time": declared.time}))
    known = {n: c for n, c in declared.columns.items() if c.role != "ignored" and (time is None or n != time.name)}
    fields = tuple(field_of(n, c, of.null_texts) for n, c in known.items())
    cleaned = {n: _cleaned(c, None) for n, c in known.items()}
    parts = [] if declared.time is None else list(declared.time.by_role.values())
    if time is not None:
        cleaned = {time.name: Column(dtype=UTC_TIME, description="The time.", unit="UTC", nullable=False)} | cleaned
    is_partitioned = time is not None
    return SourceTable(
        name=name,
        description=declared.description or f"The table {name}.",
        source=source_of(declared.source, landing_pattern(use_case, name, is_partitioned=is_partitioned)),
        columns={
            n: Column(dtype=TEXT, description=_said(n, declared.columns.get(n)))
            for n in dict.fromkeys([*parts, *declared.columns])
        },
        cleaned_columns=cleaned,
        key=declared.key,
        clean=Cleaning(time=time, fields=fields, is_partitioned=is_partitioned),
        rules=(
            *(() if time is None else rules.time_rules(time.value, partitions, time.spec)),
            *(rule for field in fields for rule in rules.value_rules(field)),
        ),
        event_time=None if time is None else time.name,
        known_at=None if time is None else time.name,
        available_after=declared.available_after,
        is_partitioned=is_partitioned,
        is_optional=declared.optional,
    )


def source_of(source: Source, pattern: str) -> FileSource:
    """Where the line reads from: what we deliver, or the files of others."""
    if source.pattern is None:
        return FileSource(pattern=pattern)
    dialect = Dialect() if source.dialect is None else Dialect(**source.dialect.model_dump())
    return FileSource(pattern=source.pattern, dialect=dialect)


def _question_rules(declared: UseCaseDeclaration, fields: tuple[Field, ...], time: EventTime) -> tuple[Rule, ...]:
    predict, by_name = declared.predict, {field.name: field for field in fields}
    if predict.longest is None:
        return ()
    if predict.at is not None:
        asked_at = by_name[predict.at].value
    elif predict.lead is not None:
        asked_at = time.value - _lead(by_name[predict.lead.column].value, predict.lead.unit)
    return tuple(rules.question_rules(asked_at, time.value, predict.longest))


def _lead(number: pl.Expr, unit: str) -> pl.Expr:
    return pl.duration(microseconds=(number * UNITS_US[unit]).cast(pl.Int64))


def _cleaned(column: DeclaredColumn, known_with_label: str | None) -> Column:
    known_at = (column.known_at or known_with_label) if column.role == "known_later" else None
    return Column(
        dtype=DTYPES[column.type],
        description=column.description or "As it came.",
        unit=column.unit or ("UTC" if column.type == "time" else None),
        nullable=column.nullable,
        known_at=known_at,
        personal=column.personal,
        range=column.range,
    )


def _label_columns(declared: UseCaseDeclaration, label: Label) -> dict[str, Column]:
    target, said = declared.target, declared.columns.get(declared.target.column)
    when = label.known_column
    return {
        target.column: Column(
            dtype=LABEL_TYPES[target.task],
            description=target.definition or _said(target.column, said),
            unit=said.unit if said else None,
            known_at=when,
        ),
        when: Column(dtype=UTC_TIME, description="When the outcome was known.", unit="UTC", known_at=when),
    }


def _said(name: str, column: DeclaredColumn | None) -> str:
    return (column.description if column else None) or f"{name}, as it came."
