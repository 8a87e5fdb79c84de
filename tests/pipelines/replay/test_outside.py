from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from assets.contracts import Partitions
from pipelines.replay.outside import Outside, delivered_at
from resources.objects import ObjectStore
from tests.support.landed_toy import FIRST_DAY, LANDED_TOY, land

NEW_YORK = Partitions(start=date(2013, 1, 1), timezone="America/New_York")


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    store = ObjectStore(str(tmp_path / "outside"))
    land(store, FIRST_DAY, FIRST_DAY + timedelta(days=4))
    store.write("storms/storms.csv", b"shop,seen_at,wind_kmh\n")
    return Outside(use_case=LANDED_TOY, store=store, landing=tmp_path / "landing")


def landed(outside: Outside) -> dict[str, datetime]:
    return {o.path: o.modified_at for o in ObjectStore(str(outside.landing)).list()}


@pytest.mark.parametrize(
    ("day", "hour"),
    [(date(2013, 9, 1), 7), (date(2013, 11, 1), 7), (date(2013, 11, 2), 8), (date(2013, 12, 1), 8)],
)
def test_a_day_is_delivered_at_three_in_the_morning_after_it(day: date, hour: int) -> None:
    after = day + timedelta(days=1)
    assert delivered_at(NEW_YORK, day) == datetime(after.year, after.month, after.day, hour, tzinfo=UTC)


def test_a_file_bears_the_time_of_its_delivery(outside: Outside) -> None:
    outside.deliver(FIRST_DAY)
    assert landed(outside) == {"parcels_2020-01-01.csv": datetime(2020, 1, 2, 3, tzinfo=UTC)}


def test_delivering_again_changes_nothing(outside: Outside) -> None:
    outside.deliver(FIRST_DAY)
    before = ObjectStore(str(outside.landing)).list()
    assert [arrival.partition for arrival in outside.deliver(FIRST_DAY)] == ["2020-01-01"]
    assert ObjectStore(str(outside.landing)).list() == before


def test_before_a_day_whole_tables_and_all_earlier_days_have_landed(outside: Outside) -> None:
    outside.deliver_before(FIRST_DAY + timedelta(days=2))
    assert set(landed(outside)) == {"storms/storms.csv", "parcels_2020-01-01.csv", "parcels_2020-01-02.csv"}


def test_a_week_lands_after_its_last_day(tmp_path: Path) -> None:
    weekly = replace(LANDED_TOY, partitions=Partitions(start=date(2019, 12, 30), every="week"))
    store = ObjectStore(str(tmp_path / "outside"))
    store.write("parcels_2019-12-30.csv", b"parcel\n1\n")
    outside = Outside(use_case=weekly, store=store, landing=tmp_path / "landing")
    assert not outside.deliver(date(2020, 1, 4))
    assert len(outside.deliver(date(2020, 1, 5))) == 1
