"""What flights that share something with this one tell about it: delays, cancellations and overdue departures.

Belongs here: counts and means over windows. Does not belong here: the aircraft's previous leg (`aircraft_features.py`)
and the flight itself (`features.py`, which puts all of them together).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import PREDICTION_TIME, Feature
from assets.logic.point_in_time import History, Spine

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

HOURS: Final = {
    "1h": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
}
"""Windows that tell today's news, in mean minutes."""
DAYS: Final = {"7d": timedelta(days=7), "28d": timedelta(days=28)}
"""Windows that tell a habit, in shares of late arrivals: means of minutes would repeat one bad day for a month."""
LATE_MIN: Final = 15
"""A flight is late from 15 minutes on, as the DOT counts it."""
LONGEST_MIN: Final = 240
"""Delays count with at most 4 hours in a mean: one flight that left the next day says nothing about the next hour."""
OVERDUE_WITHIN: Final = timedelta(hours=6)
"""A flight this long overdue is a lost record rather than news."""
OVERDUE_AFTER: Final = timedelta(minutes=30)
"""A flight that left on time is not known to have left for a quarter of an hour and a bit; that is no delay."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Flights that share something with the one asked about, and the windows in which they are looked at."""

    name: str
    by: tuple[str, ...]
    flights: str
    hours: tuple[str, ...] = ()
    days: tuple[str, ...] = ("7d", "28d")
    cancellations: tuple[str, ...] = ()
    overdue: bool = False


GROUPS: Final = (
    Group(
        name="all",
        by=(),
        flights="all flights",
        hours=("1h", "3h", "6h", "24h"),
        cancellations=("6h", "24h"),
        overdue=True,
    ),
    Group(
        name="origin",
        by=("origin",),
        flights="flights from the same airport",
        hours=("1h", "3h", "6h", "24h"),
        cancellations=("6h", "24h"),
        overdue=True,
    ),
    Group(
        name="carrier",
        by=("carrier",),
        flights="flights of the same airline",
        hours=("3h", "6h", "24h"),
        cancellations=("6h", "24h"),
        overdue=True,
    ),
    Group(name="destination", by=("destination",), flights="flights to the same airport", hours=("3h", "24h")),
    Group(
        name="origin_carrier",
        by=("origin", "carrier"),
        flights="flights of the same airline from the same airport",
        hours=("3h", "24h"),
        overdue=True,
    ),
    Group(
        name="carrier_destination",
        by=("carrier", "destination"),
        flights="flights of the same airline to the same airport",
        hours=("24h",),
    ),
    Group(name="route", by=("origin", "destination"), flights="flights on the same route"),
    Group(
        name="route_carrier",
        by=("origin", "destination", "carrier"),
        flights="flights of the same airline on the same route",
        hours=("24h",),
    ),
    Group(name="flight", by=("carrier", "flight"), flights="flights with the same number"),
    Group(
        name="origin_hour",
        by=("origin", "scheduled_hour"),
        flights="flights from the same airport scheduled in the same hour of the day",
    ),
)

DEPARTURES: Final = {"minutes": pl.col("dep_delay_min").clip(upper_bound=LONGEST_MIN)}
ARRIVALS: Final = {
    "minutes": pl.col("arr_delay_min").clip(upper_bound=LONGEST_MIN),
    "late": pl.col("arr_delay_min") >= LATE_MIN,
}
HAS_DEPARTED: Final = pl.col("dep_delay_min").is_not_null()
HAS_ARRIVED: Final = pl.col("arr_delay_min").is_not_null()
SCHEDULED_SECOND: Final = {"scheduled_second": pl.col("scheduled_departure").dt.epoch("s")}


def declared() -> Iterator[Feature]:
    """The declarations, by the names that `values` gives its series."""
    for group in GROUPS:
        of = f"of {group.flights}, as known in the last"
        for window in group.hours:
            yield _numeric(f"{group.name}_dep_delay_min_{window}", f"Mean departure delay in minutes {of} {window}")
            yield _numeric(f"{group.name}_arr_delay_min_{window}", f"Mean arrival delay in minutes {of} {window}")
        for window in group.days:
            yield _numeric(f"{group.name}_arr_late_share_{window}", f"Share of late arrivals {of} {window}")
        for window in group.cancellations:
            yield _numeric(f"{group.name}_cancelled_share_{window}", f"Share of cancellations {of} {window}")
        if group.overdue:
            due = f"{group.flights} due 30 minutes to 6 hours ago"
            yield _numeric(f"{group.name}_overdue", f"Number of {due} and not known to have left or to be cancelled")
            yield _numeric(f"{group.name}_overdue_share", f"Share of these among all {due}")
            yield _numeric(f"{group.name}_overdue_min", "Mean minutes since these were due")


def _numeric(name: str, description: str) -> Feature:
    return Feature(name=name, kind="numeric", group="history", description=description)


def values(asked: Spine, history: History) -> dict[str, Floats]:
    """Values of the features of `declared`.

    Args:
        asked: Inputs, `prediction_time` and `scheduled_hour` (local), shape (n, any).
        history: Where the flights are known from.

    Returns:
        An array of shape (n,) per feature, rows as in `asked`, NaN where there is nothing to tell.
    """
    blocks = [block(group, asked, history) for group in GROUPS for block in (_delays, _cancellations, _overdue)]
    return dict(chain.from_iterable(blocks))


def _delays(group: Group, asked: Spine, history: History) -> Iterator[tuple[str, Floats]]:
    known = partial(history.windows, asked, table="flights", by=group.by)
    hours, days = {window: HOURS[window] for window in group.hours}, {window: DAYS[window] for window in group.days}
    if hours:
        departed = known(clock="departed_at", since=hours, sums=DEPARTURES, where=HAS_DEPARTED)
        for window, of in departed.items():
            yield f"{group.name}_dep_delay_min_{window}", ratio(of["minutes"], of["count"])
    arrived = known(clock="arrived_at", since=hours | days, sums=ARRIVALS, where=HAS_ARRIVED)
    for window, of in arrived.items():
        name, total = ("arr_late_share", of["late"]) if window in days else ("arr_delay_min", of["minutes"])
        yield f"{group.name}_{name}_{window}", ratio(total, of["count"])


def _cancellations(group: Group, asked: Spine, history: History) -> Iterator[tuple[str, Floats]]:
    if not group.cancellations:
        return
    since = {window: HOURS[window] for window in group.cancellations}
    known = partial(history.windows, asked, table="flights", by=group.by, since=since)
    departed = known(clock="departed_at", sums=DEPARTURES, where=HAS_DEPARTED)
    for window, cancelled in known(clock="cancelled_at").items():
        due = cancelled["count"] + departed[window]["count"]
        yield f"{group.name}_cancelled_share_{window}", ratio(cancelled["count"], due)


def _overdue(group: Group, asked: Spine, history: History) -> Iterator[tuple[str, Floats]]:
    if not group.overdue:
        return
    pending = partial(
        history.pending,
        asked,
        table="flights",
        opened="scheduled_departure",
        closed=["departed_at", "cancelled_at"],
        by=group.by,
        sums=SCHEDULED_SECOND,
    )
    due = history.windows(
        asked,
        table="flights",
        clock="scheduled_departure",
        by=group.by,
        since={"due": OVERDUE_WITHIN},
        until=-OVERDUE_AFTER,
    )["due"]
    late, fresh = pending(within=OVERDUE_WITHIN), pending(within=OVERDUE_AFTER)
    count = late["count"] - fresh["count"]
    second = late["scheduled_second"] - fresh["scheduled_second"]
    waited = asked.instants(PREDICTION_TIME) // 1_000_000 * count - second
    yield f"{group.name}_overdue", count.astype(np.float64)
    yield f"{group.name}_overdue_share", ratio(count, due["count"])
    yield f"{group.name}_overdue_min", ratio(waited, count) / 60


def ratio(part: Integers, whole: Integers) -> Floats:
    """Part by whole, shape (n,); NaN where the whole is 0, because no event is not an event on time."""
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def numeric_frame(numbers: Mapping[str, Floats]) -> pl.DataFrame:
    """Arrays of shape (n,) as Float64 columns; NaN is null."""
    # One long series, cut: for one row, making a series of each of a hundred arrays takes as long as all the rest.
    joined = pl.Series(np.concatenate(list(numbers.values())), nan_to_null=True)
    rows = len(joined) // len(numbers)
    return pl.DataFrame([joined.slice(i * rows, rows).rename(name) for i, name in enumerate(numbers)])
