"""Records that come in one by one against the same tables put together at once: the same features, bit for bit."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.contracts import UseCase
from pipelines import catalogue
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from tests.pipelines.flight_delays.test_features import random_flights, random_weather
from tests.support.live_records import as_they_happen, held, live, observe, offline, online, schema, spine
from tests.support.toy_use_case import TOY, parcels, storms

Tables = dict[str, pl.DataFrame]
SEEDED = settings(max_examples=10, derandomize=True, deadline=None)


def toy(random: Random) -> Tables:
    first = random.randrange(0, 400)
    return {"parcels": parcels(500)[first : first + 60], "storms": storms()[first : first + 60]}


def flights(random: Random) -> Tables:
    seed = random.randrange(1000)
    planes = pl.DataFrame(
        [
            {"tailnum": f"N{n}", "manufactured_year": 1990 + n, "seats": 100 + n, "model": random.choice(["a", None])}
            for n in (1, 2, 3)
        ],
        schema=schema(FLIGHT_DELAYS.table("planes")),
    )
    airports = pl.DataFrame(schema=schema(FLIGHT_DELAYS.table("airports")))
    return {
        "flights": random_flights(3, 9, seed),
        "weather": random_weather(3, seed)[:40],
        "planes": planes,
        "airports": airports,
    }


def traffic(random: Random) -> Tables:
    use_case = traffic_volume()
    table = use_case.table("readings")
    hours = pl.datetime_range(
        pl.datetime(2017, 3, 1), pl.datetime(2017, 4, 20), "1h", time_zone="UTC", time_unit="us", eager=True
    ).gather_every(24)
    numbers = {n: c.dtype for n, c in table.cleaned_columns.items()}

    def row(hour: datetime) -> dict[str, object]:
        times = {"datetime": hour, "traffic_volume_known_at": hour + timedelta(hours=1)}
        return {n: float(random.randint(0, 9)) for n, dtype in numbers.items() if dtype.is_float()} | times

    return {"readings": pl.DataFrame([row(hour) for hour in hours], schema=numbers)}


def traffic_volume() -> UseCase:
    return catalogue.use_case("traffic_volume")


WORLDS: Mapping[str, tuple[Callable[[], UseCase], Callable[[Random], Tables]]] = {
    "parcels": (lambda: TOY, toy),
    "flight_delays": (lambda: FLIGHT_DELAYS, flights),
    "traffic_volume": (traffic_volume, traffic),
}


def some_rows(frame: pl.DataFrame, random: Random) -> pl.DataFrame:
    return frame.filter(pl.Series([random.random() < 0.5 for _ in range(len(frame))], dtype=pl.Boolean))


@pytest.mark.parametrize("world", WORLDS)
@SEEDED
@given(st.integers(0, 10_000).map(Random))
def test_features_over_observed_records_are_those_over_tables_of_all_that_holds(world: str, random: Random) -> None:
    use_case, tables_of = WORLDS[world][0](), WORLDS[world][1]
    whole = tables_of(random)
    base = {name: some_rows(frame, random) for name, frame in whole.items()}
    records = as_they_happen(use_case, whole, random)
    known = live(use_case, base)
    done = 0
    while done < len(records):
        more = random.randint(1, max(1, len(records) // 2))
        observe(use_case, known, records[done : done + more])
        done += more
        if random.random() < 0.4:
            known.compact()
        asked = spine(use_case, whole[use_case.entity_table].sample(6, with_replacement=True, seed=done))
        expected = offline(use_case, held(use_case, base, records[:done]), asked)
        assert online(use_case, known, asked).equals(expected)
        assert online(use_case, known, asked[:1]).equals(expected[:1])
