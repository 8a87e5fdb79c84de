"""What earlier flights tell about this one: delays in windows, overdue departures, the aircraft's previous leg.

Belongs here: the features of the group `history`, all asked through `History`. Does not belong here: the features of
the flight itself, of its plane and of the weather; those are `features.py`, which puts all of them together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import PREDICTION_TIME, Feature
from assets.logic.point_in_time import History

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

LENGTHS: Final = {
    "1h": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "28d": timedelta(days=28),
}
LATE_MIN: Final = 15
"""A flight is late from 15 minutes on, as the DOT counts it."""
LONGEST_MIN: Final = 240
"""Delays count with at most 4 hours in a mean: one flight that left the next day says nothing about the next hour."""
OVERDUE_WITHIN: Final = timedelta(hours=6)
"""A flight this long overdue is a lost record rather than news."""
LEG_WITHIN: Final = timedelta(hours=24)
"""An earlier departure of the aircraft tells nothing about today's rotation."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Flights that share something with the one asked about, and the windows in which they are looked at."""

    name: str
    by: tuple[str, ...]
    flights: str
    windows: tuple[str, ...]
    cancellations: tuple[str, ...] = ()


GROUPS: Final = (
    Group(
        name="all",
        by=(),
        flights="all flights",
        windows=("1h", "3h", "6h", "24h", "7d", "28d"),
        cancellations=("6h", "24h"),
    ),
    Group(
        name="origin",
        by=("origin",),
        flights="flights from the same airport",
        windows=("1h", "3h", "6h", "24h", "7d", "28d"),
        cancellations=("6h", "24h"),
    ),
    Group(
        name="carrier",
        by=("carrier",),
        flights="flights of the same airline",
        windows=("3h", "6h", "24h", "7d", "28d"),
        cancellations=("6h", "24h"),
    ),
    Group(
        name="destination",
        by=("destination",),
        flights="flights to the same airport",
        windows=("3h", "24h", "7d", "28d"),
    ),
    Group(
        name="origin_carrier",
        by=("origin", "carrier"),
        flights="flights of the same airline from the same airport",
        windows=("3h", "24h", "7d", "28d"),
    ),
    Group(
        name="route",
        by=("origin", "destination"),
        flights="flights on the same route",
        windows=("24h", "7d", "28d"),
    ),
    Group(
        name="flight",
        by=("carrier", "flight"),
        flights="flights with the same number",
        windows=("7d", "28d"),
    ),
    Group(
        name="origin_hour",
        by=("origin", "scheduled_hour"),
        flights="flights from the same airport scheduled in the same hour of the day",
        windows=("7d", "28d"),
    ),
)
OVERDUE_GROUPS: Final = GROUPS[:3]

DEPARTURES: Final = {
    "minutes": pl.col("dep_delay_min").clip(upper_bound=LONGEST_MIN),
    "late": pl.col("dep_delay_min") >= LATE_MIN,
}
ARRIVALS: Final = {
    "minutes": pl.col("arr_delay_min").clip(upper_bound=LONGEST_MIN),
    "late": pl.col("arr_delay_min") >= LATE_MIN,
}
HAS_DEPARTED: Final = pl.col("dep_delay_min").is_not_null()
HAS_ARRIVED: Final = pl.col("arr_delay_min").is_not_null()
SCHEDULED_SECOND: Final = {"scheduled_second": pl.col("scheduled_departure").dt.epoch("s")}


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


def declared() -> Iterator[Feature]:
    """The declarations, by the names that `values` gives its series."""
    for group in GROUPS:
        for window in group.windows:
            of = f"{group.flights}, as known in the last {window}"
            yield _numeric(f"{group.name}_dep_delay_min_{window}", f"Mean departure delay in minutes of {of}")
            yield _numeric(
                f"{group.name}_arr_late_share_{window}", f"Share of arrivals 15 minutes late or more of {of}"
            )
        for window in group.cancellations:
            of = f"{group.flights}, as known in the last {window}"
            yield _numeric(f"{group.name}_cancelled_share_{window}", f"Share of cancellations among departures of {of}")
    for group in OVERDUE_GROUPS:
        yield _numeric(f"{group.name}_overdue", f"Number of {group.flights} that are due and not known to have left")
        yield _numeric(f"{group.name}_overdue_min", f"Mean minutes since these {group.flights} were due")
    for name, description in PREVIOUS_LEG.items():
        yield _numeric(name, description)


def _numeric(name: str, description: str) -> Feature:
    return Feature(name=name, kind="numeric", group="history", description=description)


def values(asked: pl.DataFrame, history: History) -> pl.DataFrame:
    """Values of the features of `declared`, Float64.

    Args:
        asked: Inputs, `prediction_time` and `scheduled_hour` (local), shape (n, any).
        history: Where the flights are known from.

    Returns:
        Shape (n, features), rows as in `asked`, null where there is nothing to tell.
    """
    numbers = dict(chain.from_iterable(_windows(group, asked, history) for group in GROUPS))
    numbers |= dict(chain.from_iterable(_overdue(group, asked, history) for group in OVERDUE_GROUPS))
    return pl.concat([numeric_frame(numbers), _previous_leg(asked, history)], how="horizontal")


def _windows(group: Group, asked: pl.DataFrame, history: History) -> Iterator[tuple[str, Floats]]:
    since = {window: LENGTHS[window] for window in group.windows}
    departed = history.windows(
        asked, table="flights", clock="departed_at", by=group.by, since=since, sums=DEPARTURES, where=HAS_DEPARTED
    )
    arrived = history.windows(
        asked, table="flights", clock="arrived_at", by=group.by, since=since, sums=ARRIVALS, where=HAS_ARRIVED
    )
    for window in group.windows:
        left, landed = departed[window], arrived[window]
        yield f"{group.name}_dep_delay_min_{window}", ratio(left["minutes"], left["count"])
        yield f"{group.name}_arr_late_share_{window}", ratio(landed["late"], landed["count"])
    if group.cancellations:
        since = {window: LENGTHS[window] for window in group.cancellations}
        cancelled = history.windows(asked, table="flights", clock="cancelled_at", by=group.by, since=since)
        for window, of in cancelled.items():
            planned = of["count"] + departed[window]["count"]
            yield f"{group.name}_cancelled_share_{window}", ratio(of["count"], planned)


def _overdue(group: Group, asked: pl.DataFrame, history: History) -> Iterator[tuple[str, Floats]]:
    pending = history.pending(
        asked,
        table="flights",
        opened="scheduled_departure",
        closed=["departed_at", "cancelled_at"],
        by=group.by,
        within=OVERDUE_WITHIN,
        sums=SCHEDULED_SECOND,
    )
    seconds = asked[PREDICTION_TIME].dt.epoch("s").to_numpy() * pending["count"] - pending["scheduled_second"]
    yield f"{group.name}_overdue", pending["count"].astype(np.float64)
    yield f"{group.name}_overdue_min", ratio(seconds, pending["count"]) / 60


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


def ratio(part: Integers, whole: Integers) -> Floats:
    """Part by whole, shape (n,); NaN where the whole is 0, because no event is not an event on time."""
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def numeric_frame(numbers: Mapping[str, Floats]) -> pl.DataFrame:
    """Arrays of shape (n,) as Float64 columns; NaN is null."""
    return pl.DataFrame(np.column_stack(list(numbers.values())), schema=list(numbers), nan_to_null=True)


def minutes(length: pl.Expr) -> pl.Expr:
    """A duration in minutes, Float64."""
    return length.dt.total_seconds() / 60
