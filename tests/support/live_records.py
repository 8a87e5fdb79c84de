"""Streams of records as they happen, and the slow, plain way to tell which of them hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl

from assets.contracts import PREDICTION_TIME, SourceTable, UseCase
from assets.logic.live_history import LiveHistory
from assets.logic.live_rows import observed_key
from assets.logic.point_in_time import History

READ_AT = datetime(2000, 1, 1, tzinfo=UTC)
"""When the tables were read: before every record."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A row of a table, as stated at an instant."""

    table: str
    row: Row
    as_of: datetime


def schema(table: SourceTable) -> dict[str, pl.DataType]:
    return {name: column.dtype for name, column in table.cleaned_columns.items()}


def keys(use_case: UseCase) -> dict[str, tuple[str, ...]]:
    return {table.name: observed_key(table) for table in use_case.tables}


def as_they_happen(use_case: UseCase, tables: Mapping[str, pl.DataFrame], random: Random) -> list[Record]:
    """Each row in the states it is known in one after the other, some restated, some told twice, in any order."""
    records: list[Record] = []
    for table in use_case.tables:
        for row in tables.get(table.name, pl.DataFrame()).rows(named=True):
            states = known_states(table, row)
            for state in states if random.random() < 0.8 else states[-1:]:
                records += [Record(table.name, state, READ_AT + timedelta(seconds=random.randint(1, 3)))]
            if random.random() < 0.3:
                records.append(Record(table.name, restated(table, row, random), READ_AT + timedelta(seconds=2)))
            if random.random() < 0.2:
                records.append(random.choice(records))
    random.shuffle(records)
    return records


def known_states(table: SourceTable, row: Row) -> list[Row]:
    """What was known of a row when only its beginning was, then ever more."""
    later = dict.fromkeys(c.known_at for c in table.cleaned_columns.values() if c.known_at)
    states = []
    for number in range(len(later) + 1):
        unknown = [*later][number:]
        hidden = {n for n, c in table.cleaned_columns.items() if c.known_at in unknown and c.nullable}
        states.append({n: None if n in hidden else value for n, value in row.items()})
    return states


def restated(table: SourceTable, row: Row, random: Random) -> Row:
    """The row with one number that is no part of its key a little greater, or unknown."""
    free = [
        n
        for n, c in table.cleaned_columns.items()
        if c.dtype.is_numeric() and row[n] is not None and n not in observed_key(table)
    ]
    if not free:
        return row
    name = random.choice(free)
    return row | {name: row[name] + 1 if random.random() < 0.8 or not table.cleaned_columns[name].nullable else None}


def held(use_case: UseCase, base: Mapping[str, pl.DataFrame], records: Sequence[Record]) -> dict[str, pl.DataFrame]:
    """The tables with the records that hold, found one by one."""
    return {t.name: _held(t, base[t.name], [r for r in records if r.table == t.name]) for t in use_case.tables}


def _held(table: SourceTable, base: pl.DataFrame, records: Sequence[Record]) -> pl.DataFrame:
    key, names = observed_key(table) or tuple(table.cleaned_columns), [*table.cleaned_columns]
    rows = [(row, READ_AT) for row in base.select(names).rows(named=True)]
    for record in records:
        same = [i for i, (row, _) in enumerate(rows) if all(row[c] == record.row[c] for c in key)]
        if not same:
            rows.append((record.row, record.as_of))
        elif all(_rank(table, *rows[i]) < _rank(table, record.row, record.as_of) for i in same) and key != tuple(names):
            rows = [kept for i, kept in enumerate(rows) if i not in same] + [(record.row, record.as_of)]
    return pl.DataFrame([row for row, _ in rows], schema=schema(table), orient="row")


def _rank(table: SourceTable, row: Row, as_of: datetime) -> tuple[Any, ...]:
    known = row[table.known_at] if table.known_at else None
    values = [(v is not None, v) for v in row.values()]
    return (known is not None, known), sum(v is not None for v in row.values()), as_of, values


def live(use_case: UseCase, base: Mapping[str, pl.DataFrame]) -> LiveHistory:
    return LiveHistory(base, use_case.clocks, keys=keys(use_case), as_of=READ_AT)


def observe(use_case: UseCase, known: LiveHistory, records: Sequence[Record]) -> None:
    """Batches as they came, those of one table and instant together."""
    for record in records:
        frame = pl.DataFrame([record.row], schema=schema(use_case.table(record.table)), orient="row")
        known.observe(record.table, frame, as_of=record.as_of)


def spine(use_case: UseCase, entities: pl.DataFrame) -> pl.DataFrame:
    return entities.select(*use_case.inputs, use_case.asking.alias(PREDICTION_TIME))


def offline(use_case: UseCase, tables: Mapping[str, pl.DataFrame], asked: pl.DataFrame) -> pl.DataFrame:
    """The features as training makes them."""
    return use_case.build_features(asked, History(tables, use_case.clocks)).select(use_case.feature_names)


def online(use_case: UseCase, known: LiveHistory, asked: pl.DataFrame) -> pl.DataFrame:
    """The features as the endpoint makes them."""
    return use_case.build_features(asked, known.history).select(use_case.feature_names)
