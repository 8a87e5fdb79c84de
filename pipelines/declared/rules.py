"""Why a declared table rejects a row: one named reason per column and kind of mistake.

Belongs here: rules that follow from a declaration. Does not belong here: reading values (`values.py`).
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import polars as pl

from assets.contracts import PARTITION_KEY, Partitions, Rule
from assets.logic.times import TimeSpec
from pipelines.declared.label import Label
from pipelines.declared.values import Field

YEARS: Final = (1900, 2200)
"""Years of which a register's records may be; earlier and later ones are slips of the pen."""


def time_rules(time: pl.Expr, partitions: Partitions | None, spec: TimeSpec) -> Iterator[Rule]:
    """A row needs a time, and one that belongs to the partition it lies in.

    Args:
        time: The instant of a row (UTC), null where it cannot be read.
        partitions: Those of the table; None if it is a whole.
        spec: How the time is written, for the description.
    """
    yield Rule(
        name="time_does_not_parse",
        description=f"There is no time to be read from {spec.describe()}.",
        rejects=time.is_null(),
    )
    if partitions is None:
        rejects = ~time.dt.year().is_between(*YEARS)
        where = f"is not within {YEARS[0]} to {YEARS[1]}"
    else:
        # Delivery leaves a row whose time it cannot believe in the partition of the row above.
        rejects = partitions.keys(partitions.local_day(time)).ne_missing(pl.col(PARTITION_KEY))
        where = (
            f"does not belong to its partition: it is before {partitions.start}, more than a year ahead, or of another "
            f"{partitions.every}"
        )
    yield Rule(name="time_is_implausible", description=f"The time {where}.", rejects=rejects)


def question_rules(asked_at: pl.Expr, time: pl.Expr, longest: timedelta) -> Iterator[Rule]:
    """The question comes before the event, and at most `longest` before; both clocks are UTC."""
    yield Rule(
        name="question_has_no_time",
        description="When the question is asked cannot be told: its column is empty.",
        rejects=asked_at.is_null(),
    )
    yield Rule(
        name="question_is_at_an_impossible_time",
        description=f"The question is asked after the event, or more than {longest} before it.",
        rejects=(asked_at > time) | (asked_at < time - longest),
    )


def value_rules(field: Field) -> Iterator[Rule]:
    """What the values of one column must not be."""
    name = field.name
    if field.type != "text" and field.invalid == "reject":
        article = "an" if field.type == "integer" else "a"
        yield Rule(
            name=f"{name}_is_no_{field.type}",
            description=f"{name} holds something that is not {article} {field.type}.",
            rejects=field.is_misfit,
        )
    if not field.nullable:
        yield Rule(name=f"{name}_is_missing", description=f"{name} has no value.", rejects=field.value.is_null())
    if field.minimum is not None or field.maximum is not None:
        low, high = (bound if bound is not None else "any" for bound in (field.minimum, field.maximum))
        yield Rule(
            name=f"{name}_is_out_of_range",
            description=f"{name} is not within {low} to {high}.",
            rejects=field.is_out_of_range,
        )
    if field.allowed is not None:
        listed = ", ".join(str(value) for value in field.allowed[:10])
        more = f" and {len(field.allowed) - 10} more" if len(field.allowed) > 10 else ""
        yield Rule(
            name=f"{name}_is_not_allowed",
            description=f"{name} is none of {listed}{more}.",
            rejects=field.is_not_allowed,
        )


def label_rules(label: Label) -> Iterator[Rule]:
    """What an outcome must not be."""
    name = label.field.name
    if label.field.invalid == "reject" and label.task != "multiclass":
        kind = {"binary": "outcome", "regression": "number", "count": "count"}[label.task]
        yield Rule(
            name=f"{name}_is_no_{kind}",
            description=f"The target {name} holds something that is no {kind} (a binary one without `positive` must "
            "be yes or no, a count a whole number from 0).",
            rejects=label.field.written.is_not_null() & label.value.is_null(),
        )
    if label.field.minimum is not None or label.field.maximum is not None:
        yield from (rule for rule in value_rules(label.field) if rule.name.endswith("_is_out_of_range"))
    if label.known_at is not None:
        yield Rule(
            name=f"{name}_is_known_at_no_time",
            description=f"There is an outcome in {name}, and {label.known_at.name} does not say when it was known.",
            rejects=label.value.is_not_null() & label.known_at.value.is_null(),
        )
