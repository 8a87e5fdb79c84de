"""Flights from BTS: each monthly file under `bts/` of the landing zone becomes the daily files that the line takes in.

Belongs here: which monthly files are new, and how a row of theirs lands. Does not belong here: reading a monthly file
(`bts_file.py`), and anything the line does with the days.

Cancelled and diverted flights land as in every other file of the flights: a cancelled one has no departure, one that
never arrived as planned has no arrival delay. A flight that left its gate, came back and was cancelled keeps its
departure: two hours before it nobody knew.
"""

import io
import json
import tempfile
from collections.abc import Callable, Collection, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from assets.partitions import Partitions
from pipelines.flight_delays.bts_columns import BtsError
from pipelines.flight_delays.bts_file import read_month
from pipelines.flight_delays.landed import DATE, Published, by_day, flights_file, in_order, put
from pipelines.flight_delays.rules import ORIGINS
from pipelines.flight_delays.source import FLIGHT_COLUMNS
from resources.objects import ObjectStore, StoredObject

FOLDER: Final = "bts/"
"""Where monthly files land, as they were downloaded, under any name that ends with `.zip`."""
DELIVERED: Final = f"{FOLDER}delivered.json"
"""Which monthly files have become days: fingerprint, origins and months by path. Without it all are read again."""
AIRPORTS: Final = "airports/airports.csv"
MISSING: Final = "NA"
"""A missing value, as the landed files of the flights write it."""

Echo = Callable[[str], None]


def monthly_files(landing: ObjectStore) -> list[StoredObject]:
    """The monthly files in the landing zone, by path."""
    return [stored for stored in landing.list(FOLDER) if stored.path.lower().endswith(".zip")]


def deliver_months(
    landing: ObjectStore, echo: Echo, partitions: Partitions, origins: Collection[str] = ORIGINS
) -> Published:
    """Turn every new or changed monthly file into daily files; days whose rows are the same are not touched.

    A month is written once it is read to its end without fault, so that a bad file changes nothing. One month is in
    memory at a time.

    Args:
        landing: Holds the monthly files, and the airports for their time zones.
        echo: Told of each month.
        partitions: Of the use case: days outside are refused.
        origins: Airports of departure to keep.

    Raises:
        BtsError: If a file is not usable, two hold the same month, or a month lies outside `partitions`.
        StoreError: If the landing zone cannot be read or written.
    """
    files = {stored.path: f"{stored.fingerprint} {','.join(sorted(origins))}" for stored in monthly_files(landing)}
    known = json.loads(landing.read(DELIVERED)) if landing.exists(DELIVERED) else {}
    delivered = {path: known[path] for path, mark in files.items() if known.get(path, {}).get("fingerprint") == mark}
    written: list[str] = []
    unchanged: list[str] = []
    for path in [path for path in files if path not in delivered]:
        rows = as_landed(_read(landing, path, origins), zones(landing, origins), origins)
        months = _months(rows, path, delivered, partitions)
        days = [flights_file(day, of_day) for day, of_day in by_day(rows)]
        done = put(landing, days, len(days))
        written += done.written
        unchanged += done.unchanged
        delivered[path] = {"fingerprint": files[path], "months": months}
        landing.write(DELIVERED, json.dumps(delivered, indent=2, sort_keys=True).encode())
        counts = f"{len(done.written)} days written, {len(done.unchanged)} as they were"
        echo(f"{path}: {len(rows):,} flights, {counts}")
    return Published(written=tuple(written), unchanged=tuple(unchanged))


def as_landed(rows: pl.DataFrame, zone_of: Mapping[str, str], origins: Collection[str] = ORIGINS) -> pl.DataFrame:
    """Rows of a monthly file as they land: text, in the columns and the order of the landed flights, beside `date`.

    `time_hour` is the service date and the scheduled hour in the zone of the origin, in UTC: of an hour that a clock
    shows twice the first, missing for one that it skips. A departure scheduled at 2400 keeps that hour, and the line's
    rules set the row aside: it does not say which midnight.

    Args:
        rows: As `bts_file.read_month` gives them, shape (n, 16).
        zone_of: IANA time zone by airport.
        origins: Airports that may be among the origins.

    Returns:
        Shape (n, 20), sorted as the landed files are.
    """
    is_cancelled, is_diverted = pl.col("cancelled").eq_missing(1), pl.col("diverted").eq_missing(1)
    hour = pl.col("sched_dep_time") // 100
    local = pl.col(DATE).cast(pl.Datetime("us")) + pl.duration(hours=hour)
    instants = [
        pl.when(pl.col("origin") == origin).then(
            local.dt.replace_time_zone(zone_of[origin], ambiguous="earliest", non_existent="null")
            .dt.convert_time_zone("UTC")
            .dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        )
        for origin in origins
    ]  # fmt: skip
    landed = rows.with_columns(
        year=pl.col(DATE).dt.year(),
        month=pl.col(DATE).dt.month(),
        day=pl.col(DATE).dt.day(),
        hour=hour,
        minute=pl.col("sched_dep_time") % 100,
        time_hour=pl.coalesce(instants),
        arr_delay=pl.when((is_cancelled | is_diverted).not_()).then("arr_delay"),
        **{name: pl.when(is_cancelled.not_()).then(name) for name in ("arr_time", "air_time")},
    )
    ordered = in_order(landed.select(DATE, *FLIGHT_COLUMNS))
    return ordered.with_columns(pl.col(FLIGHT_COLUMNS.keys()).cast(pl.String()).fill_null(MISSING))


def zones(landing: ObjectStore, origins: Collection[str]) -> dict[str, str]:
    """IANA time zone of each origin, from the register of airports that has landed.

    Raises:
        BtsError: If the register has not landed, or says nothing of an origin.
    """
    if not landing.exists(AIRPORTS):
        raise BtsError(
            f"{landing.uri(AIRPORTS)} has not landed: the time zones of the airports come from it; put it there"
        )
    airports = pl.read_csv(io.BytesIO(landing.read(AIRPORTS)), infer_schema=False, null_values=MISSING)
    zone_of: dict[str, str] = dict(airports.select("faa", "tzone").drop_nulls().iter_rows())
    if unknown := sorted(set(origins) - zone_of.keys()):
        raise BtsError(f"{landing.uri(AIRPORTS)} has no time zone for {', '.join(unknown)}; add it, or leave them out")
    return {origin: zone_of[origin] for origin in origins}


def _read(landing: ObjectStore, path: str, origins: Collection[str]) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as room:
        target = Path(room, path.rpartition("/")[2])
        landing.download(path, target)
        return read_month(target, origins)


def _months(
    rows: pl.DataFrame, path: str, delivered: Mapping[str, Mapping[str, Any]], partitions: Partitions
) -> list[str]:
    """The months of a file, which no other may hold and which the use case must be declared for."""
    months = rows[DATE].dt.strftime("%Y-%m").unique().sort().to_list()
    for other, entry in delivered.items():
        if shared := sorted(set(months) & set(entry["months"])):
            raise BtsError(f"{path} and {other} both hold flights of {', '.join(shared)}; keep one of them")
    first, last = rows[DATE][0], rows[DATE][-1]
    if first < partitions.start or last > (partitions.end or date.max):
        raise BtsError(
            f"{path} holds {first} to {last}, but the use case is declared for {partitions.start} to "
            f"{partitions.end or 'today'}; change `partitions` in pipelines/flight_delays/use_case.py"
        )
    return [str(month) for month in months]
