"""Declared features as blocks: the `build_features` of a use case without code.

Belongs here: from fields to blocks. Does not belong here: what a block does (`assets/logic/feature_blocks`).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from assets.contracts import Feature, FeatureKind
from assets.logic.feature_blocks import blocks, calendar, inputs, past_values, rates, records, windows
from assets.logic.feature_blocks.base import LATENESS, Block
from pipelines.declared import schema_features as said
from pipelines.declared.reading import Places
from pipelines.declared.schema import UseCaseDeclaration
from pipelines.declared.schema_features import Features

UTC: Final = "UTC"


def build_blocks(declared: UseCaseDeclaration, features: Features, places: Places) -> blocks.Blocks:
    """The blocks in the order of the fields.

    Raises:
        DeclaredError: If one cannot work, naming its line.
    """
    made: list[Block] = []
    for loc, block in _blocks(declared, features, places):
        with places.at(*loc):
            made.append(block)
    with places.at("features"):
        return blocks.Blocks(blocks=tuple(made))


def lateness_of(declared: UseCaseDeclaration) -> timedelta:
    """How late an outcome may reach us and still count as history."""
    target = declared.target
    known = target.delay_at_most if target.known_at else target.known_after or timedelta(0)
    return known + declared.available_after + LATENESS


def lag_names(lag: said.Lag, declared: UseCaseDeclaration) -> list[str]:
    """Names of the features that a lag makes."""
    return [feature.name for feature in _lag(lag, declared).features()]


def _blocks(
    declared: UseCaseDeclaration, features: Features, places: Places
) -> Iterator[tuple[tuple[str | int, ...], Block]]:
    if features.as_is:
        yield ("features", "as_is"), _as_is(declared, features)
    if features.text_length:
        yield ("features", "text_length"), inputs.TextLength(columns=features.text_length)
    # Each maker takes its own kind of entry, which the types of a loop cannot say.
    makers: tuple[tuple[str, Sequence[Any], Callable[[Any, UseCaseDeclaration], Block]], ...] = (
        ("calendar", features.calendar, _calendar),
        ("lags", features.lags, _lag),
        ("same_slot", features.same_slot, _same_slot),
        ("windows", features.windows, _window),
        ("frequency", features.frequency, _frequency),
        ("target_rate", features.target_rate, _target_rate),
        ("latest", features.latest, _latest),
        ("ratios", features.ratios, _ratio),
        ("custom", features.custom, _custom),
    )
    for name, entries, make in makers:
        for number, entry in enumerate(entries):
            with places.at("features", name, number):
                block = make(entry, declared)
            yield ("features", name, number), block


def _as_is(declared: UseCaseDeclaration, features: Features) -> Block:
    types = {name: declared.columns[name].type for name in features.as_is}
    return inputs.AsIs(
        numbers=tuple(n for n, t in types.items() if t != "text"),
        categories=tuple(n for n, t in types.items() if t == "text"),
    )


def _calendar(entry: said.Calendar, declared: UseCaseDeclaration) -> Block:
    return calendar.Calendar(
        column=entry.column or declared.time.event_time,
        zone=entry.zone or declared.time.zone,
        parts=entry.parts,
        country=entry.country,
        subdivision=entry.subdivision,
    )


def _lag(entry: said.Lag, declared: UseCaseDeclaration) -> past_values.Lag:
    return past_values.Lag(
        table=declared.table,
        column=entry.column,
        by=entry.by,
        at=declared.time.event_time,
        ago=entry.ago,
        zone=_wall_clock(declared),
        kind=_kind(declared, entry.column),
    )


def _same_slot(entry: said.SameSlot, declared: UseCaseDeclaration) -> Block:
    return past_values.SameSlot(
        table=declared.table,
        column=entry.column,
        by=entry.by,
        at=declared.time.event_time,
        every=entry.every,
        times=entry.times,
        zone=_wall_clock(declared),
    )


def _window(entry: said.Window, declared: UseCaseDeclaration) -> Block:
    return windows.Window(
        table=declared.table,
        column=entry.column,
        by=entry.by,
        over=entry.over,
        of=entry.of if entry.column else ("count",),
        lateness=lateness_of(declared),
    )


def _frequency(entry: said.Frequency, declared: UseCaseDeclaration) -> Block:
    return rates.Frequency(table=declared.table, by=entry.by, over=entry.over)


def _target_rate(entry: said.TargetRate, declared: UseCaseDeclaration) -> Block:
    return rates.TargetRate(
        table=declared.table,
        column=declared.target.column,
        equals=entry.equals,
        by=entry.by,
        over=entry.over,
        smoothing=entry.smoothing,
        lateness=lateness_of(declared),
    )


def _latest(entry: said.Latest, declared: UseCaseDeclaration) -> Block:
    types = {name: declared.tables[entry.table].columns[name].type for name in entry.columns}
    return records.Latest(
        table=entry.table,
        numbers=tuple(n for n, t in types.items() if t != "text"),
        categories=tuple(n for n, t in types.items() if t == "text"),
        by=entry.by,
        within=entry.within,
    )


def _ratio(entry: said.Ratio, declared: UseCaseDeclaration) -> Block:  # noqa: ARG001 - all makers are called alike
    return inputs.Ratio(numerator=entry.numerator, denominator=entry.denominator, name=entry.name)


def _custom(entry: said.Custom, declared: UseCaseDeclaration) -> Block:  # noqa: ARG001 - all makers are called alike
    made = tuple(
        Feature(name=name, kind=kind, group="custom", description=f"Made by {entry.function}")
        for name, kind in entry.features.items()
    )
    return blocks.Custom(
        function=entry.function, declared=made, lookback=entry.lookback, tables=entry.tables, inputs=entry.inputs
    )


def _wall_clock(declared: UseCaseDeclaration) -> str | None:
    return None if declared.time.zone == UTC else declared.time.zone


def _kind(declared: UseCaseDeclaration, column: str) -> FeatureKind:
    if column == declared.target.column:
        return "categorical" if declared.target.task == "multiclass" else "numeric"
    return "categorical" if declared.columns[column].type == "text" else "numeric"
