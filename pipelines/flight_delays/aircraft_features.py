"""What is known of the aircraft: how its previous leg goes, and what the register says of it.

Belongs here: all that is looked up by tail number. The file has the tail number that flew, which may have been changed
after the question was asked; so what these features gain is an upper bound. Does not belong here: other flights.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import polars as pl

from assets.contracts import PREDICTION_TIME, Feature
from assets.logic.point_in_time import History

LEG_WITHIN: Final = timedelta(hours=24)
"""An earlier departure of the aircraft tells nothing about today's rotation."""
LEG_COLUMNS: Final = {
    "scheduled_departure": "leg_departure",
    "scheduled_arrival": "leg_arrival",
    "departed_at": "leg_departed_at",
    "arrived_at": "leg_arrived_at",
    "cancelled_at": "leg_cancelled_at",
    "dep_delay_min": "leg_dep_delay_min",
    "arr_delay_min": "leg_arr_delay_min",
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
    """The declarations, by the names of the columns of `values`."""
    for name, description in PREVIOUS_LEG.items():
        yield Feature(name=name, kind="numeric", group="history", description=description)
    yield from PLANE


def values(asked: pl.DataFrame, history: History) -> pl.DataFrame:
    """Values of the features of `declared`, shape (n, features), rows as in `asked`.

    Args:
        asked: Inputs, `prediction_time` and `service_date` (local), shape (n, any).
        history: The tables `flights` and `planes`.
    """
    return pl.concat([_previous_leg(asked, history), _plane(asked, history)], how="horizontal")


def _previous_leg(asked: pl.DataFrame, history: History) -> pl.DataFrame:
    """The aircraft's last scheduled departure from New York before this one, as far as it was known."""
    leg = history.latest(
        asked,
        table="flights",
        by=["tailnum"],
        columns=[*LEG_COLUMNS],
        before="scheduled_departure",
        tolerance=LEG_WITHIN,
    ).rename(LEG_COLUMNS)
    exists = pl.col("leg_departure").is_not_null()
    departed, arrived = pl.col("leg_departed_at").is_not_null(), pl.col("leg_arrived_at").is_not_null()
    cancelled = pl.col("leg_cancelled_at").is_not_null()
    due = minutes(pl.col(PREDICTION_TIME) - pl.col("leg_departure")).clip(lower_bound=0.0)
    overdue = pl.when(exists).then(pl.when(departed | arrived | cancelled).then(0.0).otherwise(due))
    behind = pl.coalesce(pl.col("leg_dep_delay_min").clip(lower_bound=0).cast(pl.Float64), overdue)
    known_slack = minutes(pl.col("scheduled_departure") - pl.col("leg_arrived_at"))
    expected_slack = minutes(pl.col("scheduled_departure") - pl.col("leg_arrival")) - behind
    legs = pl.concat([asked.select(PREDICTION_TIME, "scheduled_departure"), leg], how="horizontal")
    return legs.select(
        leg_gap_min=minutes(pl.col("scheduled_departure") - pl.col("leg_departure")),
        leg_slack_min=pl.coalesce(known_slack, expected_slack),
        leg_dep_delay_min=pl.col("leg_dep_delay_min").cast(pl.Float64),
        leg_arr_delay_min=pl.col("leg_arr_delay_min").cast(pl.Float64),
        leg_overdue_min=overdue,
        **{
            name: pl.when(exists).then(flag.cast(pl.Float64))
            for name, flag in {
                "leg_has_departed": departed,
                "leg_has_arrived": arrived,
                "leg_is_cancelled": cancelled,
            }.items()
        },
    )


def _plane(asked: pl.DataFrame, history: History) -> pl.DataFrame:
    """What the register says of the aircraft; null if it is not listed, or not known yet which one flies."""
    columns = ["manufactured_year", "seats", "engines", "manufacturer", "model"]
    plane = history.latest(asked, table="planes", by=["tailnum"], columns=columns)
    return plane.select(
        plane_age_years=(asked["service_date"].dt.year() - pl.col("manufactured_year")).cast(pl.Float64),
        plane_seats=pl.col("seats").cast(pl.Float64),
        plane_engines=pl.col("engines").cast(pl.Float64),
        plane_manufacturer="manufacturer",
        plane_model="model",
    )


def minutes(length: pl.Expr) -> pl.Expr:
    """A duration in minutes, Float64."""
    return length.dt.total_seconds() / 60
