"""The flight features: what they say of made-up flights, and that they know no more than was known."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.checks.leakage import differing_features
from assets.logic.point_in_time import History
from pipelines.flight_delays.features import FEATURES, LOOKBACK, build_features, federal_holidays
from pipelines.flight_delays.source import FLIGHTS, PLANES, WEATHER

NAMES = [feature.name for feature in FEATURES]
INPUTS = [
    "carrier",
    "flight",
    "origin",
    "destination",
    "scheduled_departure",
    "tailnum",
    "scheduled_arrival",
    "distance_miles",
]
LEAD = timedelta(hours=2)
NOON = datetime(2013, 6, 12, 16, 0, tzinfo=UTC)
"""Wednesday, 12:00 in New York."""
Row = dict[str, Any]


def table(source: Any, rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={name: column.dtype for name, column in source.cleaned_columns.items()})


def flight(
    scheduled: datetime,
    *,
    delay: int | None = 0,
    arrival_delay: int | None = None,
    cancelled: bool = False,
    **changes: Any,
) -> Row:
    """A flight of two hours; `delay` None: it never left, as far as anybody knows."""
    landing = scheduled + timedelta(hours=2)
    late = delay if arrival_delay is None else arrival_delay
    has_left = not cancelled and delay is not None
    local = scheduled - timedelta(hours=4)
    return {
        "carrier": "UA",
        "flight": 1,
        "origin": "EWR",
        "destination": "ORD",
        "tailnum": "N1",
        "scheduled_departure": scheduled,
        "scheduled_arrival": landing,
        "service_date": local.date(),
        "scheduled_hour": local.hour,
        "scheduled_minute_of_day": local.hour * 60 + local.minute,
        "distance_miles": 719,
        "departed_at": scheduled + timedelta(minutes=delay or 0) if has_left else None,
        "arrived_at": landing + timedelta(minutes=late or 0) if has_left else None,
        "cancelled_at": scheduled if cancelled else None,
        "dep_delay_min": delay if has_left else None,
        "arr_delay_min": late if has_left else None,
        "is_cancelled": cancelled,
        "is_diverted": False,
    } | changes


def weather(observed_at: datetime, **values: float) -> Row:
    return {"origin": "EWR", "observed_at": observed_at, "known_at": observed_at + timedelta(hours=1)} | values


def history(flights: list[Row], observations: list[Row] | None = None, planes: list[Row] | None = None) -> History:
    tables = {
        "flights": table(FLIGHTS, flights),
        "weather": table(WEATHER, observations or []),
        "planes": table(PLANES, planes or []),
    }
    return History(tables, {source.name: source.clock for source in (FLIGHTS, WEATHER, PLANES)})


def spine_of(flights: pl.DataFrame) -> pl.DataFrame:
    return flights.select(*INPUTS, prediction_time=pl.col("scheduled_departure") - LEAD)


def features_of(asked: Row, known: History) -> Row:
    """Features of one flight, which the schedule of `known` need not list."""
    return build_features(spine_of(table(FLIGHTS, [asked])), known).row(0, named=True)


def random_flights(days: int, per_day: int, seed: int = 5) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    rows = []
    for day in range(days):
        for minute in np.sort(draw.integers(0, 17 * 60, per_day)):
            scheduled = datetime(2013, 3, 1, 10, 30, tzinfo=UTC) + timedelta(days=day, minutes=int(minute))
            delay = int(draw.integers(-10, 120))
            changes = {
                "carrier": str(draw.choice(["UA", "B6"])),
                "flight": int(draw.integers(1, 6)),
                "origin": str(draw.choice(["EWR", "JFK"])),
                "destination": str(draw.choice(["ORD", "BOS"])),
                "tailnum": str(draw.choice(["N1", "N2", "N3", "N4"])),
            }
            rows.append(flight(scheduled, delay=delay, cancelled=bool(draw.random() < 0.1), **changes))
    local = pl.col("scheduled_departure").dt.convert_time_zone("America/New_York")
    frame = table(FLIGHTS, rows).unique(["carrier", "flight", "origin", "scheduled_departure"], maintain_order=True)
    return frame.with_columns(service_date=local.dt.date(), scheduled_hour=local.dt.hour())


def random_weather(days: int, seed: int = 6) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    first = datetime(2013, 3, 1, tzinfo=UTC)
    rows = [
        weather(
            first + timedelta(hours=hour), precip_in=round(float(draw.random()), 2), temp_f=float(draw.integers(20, 70))
        )
        for hour in range(24 * (days + 1))
        if draw.random() < 0.9
    ]
    return table(WEATHER, rows)


def known_from(flights: pl.DataFrame, observations: pl.DataFrame) -> History:
    tables = {"flights": flights, "weather": observations, "planes": table(PLANES, [])}
    return History(tables, {source.name: source.clock for source in (FLIGHTS, WEATHER, PLANES)})


def test_what_is_built_is_what_is_declared() -> None:
    spine = spine_of(table(FLIGHTS, [flight(NOON)]))
    built = build_features(spine, history([flight(NOON)]))
    assert built.columns == spine.columns + [name for name in NAMES if name not in spine.columns]
    types = {"numeric": pl.Float64(), "categorical": pl.String()}
    assert {f.name: built.schema[f.name] for f in FEATURES} == {f.name: types[f.kind] for f in FEATURES}
    assert len(set(NAMES)) == len(NAMES)


def test_no_feature_is_a_calendar_that_runs_on() -> None:
    day, next_year = flight(NOON), flight(NOON + timedelta(days=364))
    first, second = (features_of(row, history([row])) for row in (day, next_year))
    assert {name for name in NAMES if first[name] != second[name]} == set()


def test_rows_come_back_in_their_order_with_their_columns() -> None:
    flights = random_flights(3, 60)
    spine = spine_of(flights).sample(fraction=1.0, shuffle=True, seed=1)
    built = build_features(spine, known_from(flights, random_weather(3)))
    assert built.select(spine.columns).equals(spine)


def test_a_departure_counts_from_a_quarter_of_an_hour_after_it() -> None:
    earlier = flight(NOON - timedelta(hours=3), delay=45, flight=2, tailnum="N2")
    asked = flight(NOON + timedelta(hours=1, minutes=0))
    before = features_of(flight(NOON - timedelta(hours=3) + timedelta(minutes=59) + LEAD), history([earlier]))
    after = features_of(flight(NOON - timedelta(hours=3) + timedelta(minutes=60) + LEAD), history([earlier]))
    assert before["origin_dep_delay_min_3h"] is None
    assert after["origin_dep_delay_min_3h"] == 45.0
    assert features_of(asked, history([earlier]))["carrier_dep_delay_min_24h"] == 45.0


def test_the_share_of_late_arrivals_counts_from_fifteen_minutes() -> None:
    landed = [
        flight(NOON - timedelta(hours=9), arrival_delay=14, flight=2),
        flight(NOON - timedelta(hours=8), arrival_delay=15, flight=3),
    ]
    found = features_of(flight(NOON), history(landed))
    assert found["route_arr_late_share_7d"] == 0.5
    assert found["carrier_destination_arr_delay_min_24h"] == 14.5
    assert found["flight_arr_late_share_7d"] is None


def test_a_diverted_flight_is_neither_late_nor_on_time() -> None:
    diverted = flight(NOON - timedelta(hours=9), flight=2) | {
        "arrived_at": None,
        "arr_delay_min": None,
        "is_diverted": True,
    }
    assert features_of(flight(NOON), history([diverted]))["origin_arr_late_share_7d"] is None


def test_the_previous_leg_is_told_as_far_as_it_is_known() -> None:
    earlier = flight(NOON - timedelta(hours=6), delay=30, arrival_delay=20, flight=2)
    landed = features_of(flight(NOON), history([earlier]))
    assert (landed["leg_gap_min"], landed["leg_dep_delay_min"], landed["leg_arr_delay_min"]) == (360.0, 30.0, 20.0)
    assert (landed["leg_has_departed"], landed["leg_has_arrived"], landed["leg_slack_min"]) == (1.0, 1.0, 220.0)
    in_the_air = features_of(flight(NOON - timedelta(hours=2)), history([earlier]))
    assert (in_the_air["leg_dep_delay_min"], in_the_air["leg_arr_delay_min"]) == (30.0, None)
    assert (in_the_air["leg_has_departed"], in_the_air["leg_has_arrived"]) == (1.0, 0.0)
    assert in_the_air["leg_slack_min"] == 240 - 120 - 30


def test_a_previous_leg_that_left_early_is_expected_on_time() -> None:
    earlier = flight(NOON - timedelta(hours=6), delay=-10, flight=2)
    found = features_of(flight(NOON - timedelta(hours=2)), history([earlier]))
    assert (found["leg_dep_delay_min"], found["leg_slack_min"]) == (-10.0, 240 - 120)


def test_a_previous_leg_that_has_not_left_is_overdue() -> None:
    earlier = flight(NOON - timedelta(hours=3), delay=None, flight=2)
    found = features_of(flight(NOON), history([earlier]))
    assert (found["leg_has_departed"], found["leg_overdue_min"], found["leg_slack_min"]) == (0.0, 60.0, 0.0)
    assert (found["origin_overdue"], found["origin_overdue_share"], found["origin_overdue_min"]) == (1.0, 1.0, 60.0)


def test_a_flight_is_not_overdue_before_half_an_hour() -> None:
    fresh = flight(NOON - timedelta(hours=2, minutes=29), delay=None, flight=2, tailnum="N2")
    assert features_of(flight(NOON), history([fresh]))["origin_overdue"] == 0.0
    assert features_of(flight(NOON + timedelta(minutes=1)), history([fresh]))["origin_overdue"] == 1.0


def test_one_delay_of_a_day_counts_as_four_hours() -> None:
    known = history([flight(NOON - timedelta(hours=30), delay=1300, flight=2)])
    assert features_of(flight(NOON), known)["origin_dep_delay_min_24h"] == 240.0


def test_a_cancelled_leg_is_not_overdue() -> None:
    earlier = flight(NOON - timedelta(hours=3), cancelled=True, flight=2)
    found = features_of(flight(NOON), history([earlier]))
    assert (found["leg_is_cancelled"], found["leg_overdue_min"], found["origin_overdue"]) == (1.0, 0.0, 0.0)
    assert found["origin_cancelled_share_6h"] == 1.0


def test_an_aircraft_without_an_earlier_leg_has_none() -> None:
    found = features_of(flight(NOON), history([flight(NOON), flight(NOON - timedelta(hours=25))]))
    assert {found[name] for name in NAMES if name.startswith("leg_")} == {None}


def test_weather_is_known_two_hours_after_the_hour_it_is_stamped_with() -> None:
    known = history(
        [], [weather(NOON - timedelta(hours=4), temp_f=60.0), weather(NOON - timedelta(hours=3), temp_f=70.0)]
    )
    assert (features_of(flight(NOON), known)["temp_f"], features_of(flight(NOON), known)["weather_age_h"]) == (
        60.0,
        2.0,
    )
    assert features_of(flight(NOON + timedelta(hours=1)), known)["temp_f"] == 70.0


def test_weather_older_than_six_hours_is_not_told() -> None:
    known = history([], [weather(NOON - timedelta(hours=9), temp_f=60.0)])
    assert features_of(flight(NOON - timedelta(hours=1)), known)["temp_f"] == 60.0
    assert features_of(flight(NOON), known)["temp_f"] is None


def test_rain_adds_up_over_the_hours_known() -> None:
    rain = [
        weather(NOON - timedelta(hours=hours), precip_in=inches) for hours, inches in ((5, 0.1), (4, 0.2), (3, 5.0))
    ]
    assert features_of(flight(NOON), history([], rain))["precip_in_6h"] == 0.3


def test_without_any_weather_the_features_are_null() -> None:
    found = features_of(flight(NOON), history([flight(NOON)]))
    assert {found[f.name] for f in FEATURES if f.group == "weather"} == {None}


def test_an_unknown_plane_is_null_and_a_known_one_has_its_age() -> None:
    plane = {
        "tailnum": "N1",
        "manufactured_year": 2003,
        "seats": 149,
        "engines": 2,
        "manufacturer": "BOEING",
        "model": "737",
    }
    found = features_of(flight(NOON), history([], [], [plane]))
    assert (found["plane_age_years"], found["plane_seats"], found["plane_model"]) == (10.0, 149.0, "737")
    stranger = features_of(flight(NOON, tailnum="N9"), history([], [], [plane]))
    assert {stranger[f.name] for f in FEATURES if f.group == "plane"} == {None}


def test_a_caller_may_leave_out_what_is_optional() -> None:
    known = history([flight(NOON - timedelta(days=1)), flight(NOON)])
    spine = spine_of(table(FLIGHTS, [flight(NOON)])).drop("tailnum", "scheduled_arrival", "distance_miles")
    found = build_features(spine, known).row(0, named=True)
    assert (found["route_miles"], found["scheduled_min"], found["leg_gap_min"], found["plane_seats"]) == (
        719.0,
        None,
        None,
        None,
    )
    nulls = spine.with_columns(tailnum=None, scheduled_arrival=None, distance_miles=None)
    assert build_features(nulls, known).select(NAMES).row(0) == tuple(found[name] for name in NAMES)


def test_a_category_never_seen_is_answered() -> None:
    found = features_of(flight(NOON, carrier="ZZ", destination="XXX"), history([flight(NOON - timedelta(hours=5))]))
    assert found["carrier_dep_delay_min_24h"] is None
    assert found["origin_dep_delay_min_24h"] == 0.0


def test_no_rows_give_no_rows() -> None:
    built = build_features(spine_of(table(FLIGHTS, [])), history([flight(NOON)]))
    assert built.shape == (0, len(INPUTS) + 1 + len([n for n in NAMES if n not in INPUTS]))


@pytest.mark.parametrize(
    ("departure", "day", "hour", "band", "minute"),
    [
        (datetime(2013, 11, 3, 3, 59, tzinfo=UTC), "Sat", "23", "after 19", 1439.0),
        (datetime(2013, 11, 3, 11, 0, tzinfo=UTC), "Sun", "06", "before 10", 360.0),
        (datetime(2013, 7, 4, 14, 0, tzinfo=UTC), "Thu", "10", "10 to 15", 600.0),
        (datetime(2013, 7, 4, 19, 0, tzinfo=UTC), "Thu", "15", "15 to 19", 900.0),
    ],
)
def test_the_calendar_is_local(departure: datetime, day: str, hour: str, band: str, minute: float) -> None:
    found = features_of(flight(departure), history([]))
    assert (found["day_of_week"], found["scheduled_hour"], found["hour_band"]) == (day, hour, band)
    assert found["scheduled_minute_of_day"] == minute


@pytest.mark.parametrize(
    ("day", "ahead", "past"),
    [
        (date(2013, 7, 4), 0.0, 0.0),
        (date(2013, 7, 2), 2.0, 10.0),
        (date(2013, 12, 28), 4.0, 3.0),
        (date(2013, 1, 3), 10.0, 2.0),
        (date(2012, 1, 1), 1.0, 6.0),
    ],
)
def test_holidays_are_counted_in_days_across_the_year_end(day: date, ahead: float, past: float) -> None:
    found = features_of(flight(datetime(day.year, day.month, day.day, 16, tzinfo=UTC)), history([]))
    assert (found["days_to_holiday"], found["days_since_holiday"]) == (ahead, past)


def test_the_federal_holidays_of_2013_are_ten() -> None:
    days = [date(1970, 1, 1) + timedelta(days=day) for day in federal_holidays(2013)]
    assert len(days) == 10
    assert {date(2013, 1, 21), date(2013, 11, 28)} <= set(days)


def test_congestion_counts_the_schedule_around_the_departure() -> None:
    times = [NOON - timedelta(minutes=m) for m in (230, 70, 30, 0)] + [NOON + timedelta(minutes=40)]
    rows = [flight(at, flight=i) for i, at in enumerate(times)]
    found = features_of(rows[3], history(rows))
    assert (found["origin_scheduled_1h"], found["origin_scheduled_4h"]) == (2.0, 4.0)
    assert found["origin_scheduled_same_hour"] == 2.0


def test_day_by_day_gives_the_bits_of_the_whole_range() -> None:
    flights, observations = random_flights(12, 50), random_weather(12)
    whole = build_features(spine_of(flights), known_from(flights, observations))
    for day in sorted(set(flights["service_date"])):
        landed = flights.filter(pl.col("service_date").is_between(day - LOOKBACK - timedelta(days=1), day))
        local_date = pl.col("observed_at").dt.convert_time_zone("America/New_York").dt.date()
        known = known_from(landed, observations.filter(local_date <= day))
        alone = build_features(spine_of(landed.filter(pl.col("service_date") == day)), known)
        assert alone.equals(whole.filter(flights["service_date"] == day))


def test_no_feature_knows_the_future_or_its_neighbours() -> None:
    flights = random_flights(40, 30)
    spine, known = spine_of(flights), known_from(flights, random_weather(40))
    built = build_features(spine, known)
    assert differing_features(spine, built, known, build_features, NAMES, lookback=LOOKBACK, sample=25, seed=1) == []


def test_a_departure_delay_planted_among_the_features_is_named() -> None:
    flights = random_flights(4, 30)
    spine, known = spine_of(flights), known_from(flights, random_weather(4))

    def planted(asked: pl.DataFrame, past: History) -> pl.DataFrame:
        key = ["carrier", "flight", "origin", "scheduled_departure"]
        outcome = past.tables["flights"].select(*key, dep_delay=pl.col("dep_delay_min"))
        return build_features(asked, past).join(outcome, on=key, how="left", maintain_order="left")

    names = [*NAMES, "dep_delay"]
    found = differing_features(
        spine, planted(spine, known), known, planted, names, lookback=LOOKBACK, sample=10, seed=1
    )
    assert {difference["feature"] for difference in found} == {"dep_delay"}
