"""What the parts of a declaration must agree on: names that one part uses and another declares.

Belongs here: mistakes that need two fields to be seen, each with the place it is mended at. Does not belong here:
mistakes within a field (`schema.py`).
"""

from collections.abc import Iterable, Iterator
from typing import Final

from assets.automation_fit import LABEL_GROUP, PREDICTION_GROUP
from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY, PREDICTION_TIME
from assets.logic.intake import REASON
from pipelines.declared.reading import Loc, Mistake
from pipelines.declared.schema import UseCaseDeclaration
from pipelines.declared.schema_features import Features
from pipelines.declared.words import did_you_mean

RESERVED: Final = frozenset(
    {REASON, PARTITION_KEY, PREDICTION_TIME, LABEL_KNOWN_AT, "source_uri", "source_sha256", "ingested_at"}
)
"""Columns that the line adds to tables; a column of the same name has to be called otherwise."""
NUMERIC: Final = ("integer", "number", "boolean")


def mistakes(declared: UseCaseDeclaration, name: str) -> Iterator[Mistake]:
    """All that does not agree, apart from the features.

    Args:
        declared: The declaration.
        name: Of the use case, as its folder is called.
    """
    if declared.name not in (None, name):
        yield Mistake(loc=("name",), sentence=f"is {declared.name!r}, and the folder is called {name!r}; leave it out")
    yield from _names(declared)
    yield from _key(declared)
    yield from _target(declared)
    yield from _predict(declared)
    yield from _known_later(declared)
    yield from _tables(declared)


def feature_mistakes(declared: UseCaseDeclaration, features: Features) -> Iterator[Mistake]:
    """Columns that features use and that are not declared, or not of a kind that they can use."""
    inputs = _inputs(declared)
    history = {n for n, c in declared.columns.items() if c.role != "ignored"} | {declared.target.column}
    for name, entries in (("as_is", features.as_is), ("text_length", features.text_length)):
        for number, column in enumerate(entries):
            yield from _known(column, inputs, ("features", name, number), "input")
            if name == "as_is" and column in inputs and declared.columns[column].type == "time":
                yield Mistake(
                    loc=("features", name, number), sentence=f"{column!r} is a time; use it in calendar instead"
                )
    for name in ("lags", "windows", "same_slot", "frequency", "target_rate", "latest"):
        for number, entry in enumerate(getattr(features, name)):
            for column in entry.by:
                yield from _known(column, inputs, ("features", name, number, "by"), "input")
            if (of := getattr(entry, "column", None)) is not None:
                yield from _of_history(declared, of, history, ("features", name, number, "column"))
    for number, calendar in enumerate(features.calendar):
        times = [n for n in inputs if n in declared.columns and declared.columns[n].type == "time"]
        if calendar.column is not None:
            allowed = [declared.time.event_time, *times]
            yield from _known(calendar.column, allowed, ("features", "calendar", number, "column"), "time")
    for number, latest in enumerate(features.latest):
        here: Loc = ("features", "latest", number)
        yield from _known(latest.table, declared.tables, (*here, "table"), "further table")
        if latest.table in declared.tables:
            for column in (*latest.columns, *latest.by):
                yield from _known(
                    column, declared.tables[latest.table].columns, (*here, "columns"), f"column of {latest.table}"
                )


def _of_history(declared: UseCaseDeclaration, column: str, history: Iterable[str], loc: Loc) -> Iterator[Mistake]:
    yield from _known(column, history, loc, "column")
    if loc[1] == "lags" or column not in history:
        return
    is_target = column == declared.target.column
    is_text = declared.target.task == "multiclass" if is_target else declared.columns[column].type not in NUMERIC
    if is_text:
        yield Mistake(loc=loc, sentence=f"{column!r} holds no numbers, so it has no mean; use frequency or target_rate")


def _names(declared: UseCaseDeclaration) -> Iterator[Mistake]:
    for name in declared.columns:
        if name in RESERVED:
            yield Mistake(
                loc=("columns", name),
                sentence=f"the line itself adds a column {name!r}; call it otherwise: {name}_given: {{from: {name}}}",
            )
    time, target = declared.time, declared.target
    if time.name is not None or time.columns is not None:
        others = {*declared.columns, target.column} - {time.column}
        if time.event_time in others:
            yield Mistake(
                loc=("time",), sentence=f"would be called {time.event_time!r}, as a column is; give it another name"
            )
    for number, name in enumerate(time.by_role.values()):
        if name in RESERVED:
            yield Mistake(loc=("time", number), sentence=f"the line itself adds a column {name!r}")
    if target.column in RESERVED:
        yield Mistake(loc=("target", "column"), sentence=f"the line itself adds a column {target.column!r}")
    called = [c.source_name or n for n, c in declared.columns.items()]
    for name, column in declared.columns.items():
        if column.source_name is not None and declared.source.pattern is not None:
            yield Mistake(loc=("columns", name, "from"), sentence="does not go with source.pattern: files stay as is")
        if called.count(column.source_name or name) > 1:
            yield Mistake(loc=("columns", name), sentence="two columns are read from the same one of the source")


def _key(declared: UseCaseDeclaration) -> Iterator[Mistake]:
    times = [*declared.time.by_role.values()]
    for number, name in enumerate(declared.key):
        loc: Loc = ("key", number)
        if name == declared.target.column:
            yield Mistake(loc=loc, sentence=f"{name!r} is the target, which nobody knows when the question is asked")
        elif name not in times:
            yield from _known(name, [*declared.columns, *times], loc, "column")
            if name in declared.columns and declared.columns[name].role != "input":
                role = declared.columns[name].role
                yield Mistake(loc=loc, sentence=f"{name!r} has the role {role}; what identifies a row is an input")


def _target(declared: UseCaseDeclaration) -> Iterator[Mistake]:
    target = declared.target
    if target.column in declared.time.by_role.values():
        yield Mistake(loc=("target", "column"), sentence=f"{target.column!r} is the time of the row")
    if target.known_at is not None:
        yield from _time(declared, target.known_at, ("target", "known_at"))
    elif (made := f"{target.column}_known_at") in declared.columns:
        sentence = f"is how the line calls the time of the outcome; write target.known_at: {made}, or name it otherwise"
        yield Mistake(loc=("columns", made), sentence=sentence)


def _predict(declared: UseCaseDeclaration) -> Iterator[Mistake]:
    predict, inputs = declared.predict, _inputs(declared)
    if predict.lead is not None:
        column = predict.lead.column
        yield from _known(column, inputs, ("predict", "lead", "column"), "input")
        if column in inputs and declared.columns[column].type not in ("integer", "number"):
            yield Mistake(loc=("predict", "lead", "column"), sentence=f"{column!r} holds no numbers")
    if predict.at is not None:
        yield from _known(predict.at, inputs, ("predict", "at"), "input")
        if predict.at in inputs:
            yield from _time(declared, predict.at, ("predict", "at"))


def _known_later(declared: UseCaseDeclaration) -> Iterator[Mistake]:
    for name, column in declared.columns.items():
        if column.known_at is not None:
            yield from _time(declared, column.known_at, ("columns", name, "known_at"))


def _tables(declared: UseCaseDeclaration) -> Iterator[Mistake]:
    for name, table in declared.tables.items():
        times = [] if table.time is None else [*table.time.by_role.values()]
        if name == declared.table or not name.isidentifier():
            yield Mistake(loc=("tables", name), sentence="needs a name of its own, of letters, digits and _")
        if name in (PREDICTION_GROUP, LABEL_GROUP):
            yield Mistake(loc=("tables", name), sentence="is a name that the drift report needs; call it otherwise")
        for number, part in enumerate(table.key):
            yield from _known(part, [*table.columns, *times], ("tables", name, "key", number), "column")
        for column, said in table.columns.items():
            if column in RESERVED:
                sentence = f"the line itself adds a column {column!r}; call it otherwise, with `from`"
                yield Mistake(loc=("tables", name, "columns", column), sentence=sentence)
            if said.role == "known_later":
                sentence = "a further table is known at its time as a whole; known_later is for the table asked about"
                yield Mistake(loc=("tables", name, "columns", column, "role"), sentence=sentence)


def _inputs(declared: UseCaseDeclaration) -> list[str]:
    apart = (declared.target.column, declared.time.event_time)
    return [n for n, c in declared.columns.items() if c.role == "input" and n not in apart]


def _time(declared: UseCaseDeclaration, name: str, loc: Loc) -> Iterator[Mistake]:
    times = [n for n, c in declared.columns.items() if c.type == "time" and c.role != "ignored"]
    if name in declared.columns and name not in times:
        yield Mistake(loc=loc, sentence=f"{name!r} is no time; give it type: time under columns, and a role")
    elif name not in times:
        yield from _known(name, times, loc, "time")


def _known(name: str, known: Iterable[str], loc: Loc, kind: str) -> Iterator[Mistake]:
    if name not in (listed := [*known]):
        yield Mistake(loc=loc, sentence=f"there is no {kind} {name!r}; {did_you_mean(name, listed)}")
