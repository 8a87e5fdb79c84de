"""What is known of the aircraft: how its previous leg goes, and what the register says of it.

Belongs here: all that is looked up by tail number. The file has the tail number that flew, which may have been changed
after the question was asked; so what these features gain is an upper bound. Does not belong here: other flights.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import polars as pl

from assets.contracts import PREDICTION_TIME, Feature
from assets.logic.point_in_time import History, Spine

LEG_WITHIN: Final = timedelta(hours=24)
"""An earlier departure of the aircraft tells nothing about today's rotation."""
LEG_COLUMNS: Final = {
    "scheduled_departure": "leg_departure",
    "scheduled_arrival": "leg_arrival",
    "departed_at": "leg_departed_at",
    "arrived_at": "leg_arrived_at",
    "cancelled_at": "leg_cancelled_at",
    "dep_delay_min": "leg_left_late_min",
    "arr_delay_min": "leg_came_late_min",
}
PLANE_COLUMNS: Final = {
    "manufactured_year": "listed_year",
    "seats": "listed_seats",
    "engines": "listed_engines",
    "manufacturer": "listed_manufacturer",
    "model": "listed_model",
}
PREVIOUS_LEG: Final = {
    "leg_gap_min": "Minutes from the scheduled departure of the aircraft's previous leg from New York to this one",
    "leg_slack_min": "Minutes from its arrival, as known or to be expected, to this scheduled departure",
    "leg_dep_delay_min": "Its departure delay in minutes, if known",
    "leg_arr_delay_min": "Its arrival delay in minutes, if known",
    "leg_overdue_min": "Minutes since it was due to depart, if it is not known to have left or to be cancelled, else 0",
    "leg_has_departed": "1 if it is known to have departed",
    "leg_has_arrived": "1 if it is known to have arrived",
    "leg_is_cancelled": "1 if it is known to be cancelled",
}
PLANE: Final = (
    Feature(name="plane_age_years", kind="numeric", group="plane", description="Years since the aircraft was made"),
    Feature(name="plane_seats", kind="numeric", group="plane", description="Number of seats"),
    Feature(name="plane_engines", kind="numeric", group="plane", description="Number of engines"),
    Feature(name="plane_manufacturer", kind="categorical", group="plane", description="Manufacturer of the aircraft"),
    Feature(name="plane_model", kind="categorical", group="plane", description="Model of the aircraft"),
)


def declared() -> Iterator[Feature]:
    """The declarations, by the names of `EXPRESSIONS`."""
    for name, description in PREVIOUS_LEG.items():
        yield Feature(name=name, kind="numeric", group="history", description=description)
    yield from PLANE


def found(asked: Spine, history: History) -> list[pl.Series]:
    """What `EXPRESSIONS` read besides the asking rows, each of shape (n,), rows as in `asked`.

    Args:
        asked: Inputs and `prediction_time`, shape (n, any).
        history: The tables `flights` and `planes`. An aircraft may not be listed, or it is not known yet which one
            flies; all is null then.
    """
    leg = history.latest(
        asked,
        table="flights",
        by=["tailnum"],
        columns=[*LEG_COLUMNS],
        before="scheduled_departure",
        tolerance=LEG_WITHIN,
    )
    plane = history.latest(asked, table="planes", by=["tailnum"], columns=[*PLANE_COLUMNS])
    names = LEG_COLUMNS | PLANE_COLUMNS
    return [column.rename(names[column.name]) for column in (*leg.iter_columns(), *plane.iter_columns())]


def minutes(length: pl.Expr) -> pl.Expr:
    """A duration in minutes, Float64."""
    return length.dt.total_seconds() / 60


def _previous_leg() -> list[pl.Expr]:
    """The aircraft's last scheduled departure from New York before this one, as far as it was known."""
    exists = pl.col("leg_departure").is_not_null()
    departed, arrived = pl.col("leg_departed_at").is_not_null(), pl.col("leg_arrived_at").is_not_null()
    cancelled = pl.col("leg_cancelled_at").is_not_null()
    flags = {"leg_has_departed": departed, "leg_has_arrived": arrived, "leg_is_cancelled": cancelled}
    due = minutes(pl.col(PREDICTION_TIME) - pl.col("leg_departure")).clip(lower_bound=0.0)
    overdue = pl.when(exists).then(pl.when(departed | arrived | cancelled).then(0.0).otherwise(due))
    behind = pl.coalesce(pl.col("leg_left_late_min").clip(lower_bound=0).cast(pl.Float64), overdue)
    known_slack = minutes(pl.col("scheduled_departure") - pl.col("leg_arrived_at"))
    expected_slack = minutes(pl.col("scheduled_departure") - pl.col("leg_arrival")) - behind
    return [
        minutes(pl.col("scheduled_departure") - pl.col("leg_departure")).alias("leg_gap_min"),
        pl.coalesce(known_slack, expected_slack).alias("leg_slack_min"),
        pl.col("leg_left_late_min").cast(pl.Float64).alias("leg_dep_delay_min"),
        pl.col("leg_came_late_min").cast(pl.Float64).alias("leg_arr_delay_min"),
        overdue.alias("leg_overdue_min"),
        *(pl.when(exists).then(flag.cast(pl.Float64)).alias(name) for name, flag in flags.items()),
    ]


def _plane() -> list[pl.Expr]:
    """What the register says of the aircraft."""
    return [
        (pl.col("service_date").dt.year() - pl.col("listed_year")).cast(pl.Float64).alias("plane_age_years"),
        pl.col("listed_seats").cast(pl.Float64).alias("plane_seats"),
        pl.col("listed_engines").cast(pl.Float64).alias("plane_engines"),
        pl.col("listed_manufacturer").alias("plane_manufacturer"),
        pl.col("listed_model").alias("plane_model"),
    ]


EXPRESSIONS: Final = (*_previous_leg(), *_plane())
"""The features of `declared`, over `service_date` (local), the inputs, `prediction_time` and what was `found`."""
