"""Days, weeks and months as partitions."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from assets.partitions import Partitions
from assets.policies import DeclarationError

DAYS = Partitions(start=date(2020, 1, 1))
WEEKS = Partitions(start=date(2020, 1, 6), every="week")
MONTHS = Partitions(start=date(2020, 1, 1), every="month")


@pytest.mark.parametrize(
    ("partitions", "key"), [(DAYS, "2020-02-29"), (WEEKS, "2020-02-24"), (MONTHS, "2020-02-01")], ids=str
)
def test_a_day_belongs_to_the_partition_named_by_its_first_day(partitions: Partitions, key: str) -> None:
    day = date(2020, 2, 29)
    column = pl.DataFrame({"day": [day, None]}).select(partitions.keys(pl.col("day"))).to_series().to_list()
    assert (partitions.key(day), column) == (key, [key, None])


@pytest.mark.parametrize(("partitions", "key", "after"), [
    (DAYS, "2020-02-28", "2020-02-29"), (WEEKS, "2020-02-24", "2020-03-02"), (MONTHS, "2020-12-01", "2021-01-01"),
], ids=["day", "week", "month"])  # fmt: skip
def test_partitions_follow_one_another(partitions: Partitions, key: str, after: str) -> None:
    assert partitions.following(key) == after


@pytest.mark.parametrize("partitions", [DAYS, WEEKS, MONTHS], ids=["day", "week", "month"])
@pytest.mark.parametrize("days", [0, 1, 6, 7, 28, 31, 365])
def test_the_reach_covers_every_day_looked_back_to(partitions: Partitions, days: int) -> None:
    keys = partitions.between("2020-01-06" if partitions is WEEKS else "2020-01-01", "2022-12-01")
    for at, key in enumerate(keys[partitions.reach(days) :], start=partitions.reach(days)):
        assert keys.index(partitions.before(key, days)) >= at - partitions.reach(days)


def test_a_gap_in_the_partitions_is_a_gap_in_the_ranges() -> None:
    keys = ["2020-01-01", "2020-02-01", "2020-04-01"]
    assert MONTHS.ranges(reversed(keys)) == [("2020-01-01", "2020-02-01"), ("2020-04-01", "2020-04-01")]


def test_the_local_day_decides_not_that_of_utc() -> None:
    local = Partitions(start=date(2020, 1, 1), timezone="America/New_York")
    instants = pl.DataFrame({"at": [datetime(2020, 1, 2, 3, tzinfo=UTC)]})
    assert instants.select(local.local_day(pl.col("at"))).item() == date(2020, 1, 1)


def test_a_start_in_the_middle_of_a_week_is_refused_with_the_right_one() -> None:
    with pytest.raises(DeclarationError, match="write 2020-01-06"):
        Partitions(start=date(2020, 1, 8), every="week")


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(DeclarationError, match="lies before start"):
        Partitions(start=date(2020, 1, 8), end=date(2020, 1, 7))


@pytest.mark.parametrize(
    ("key", "is_held"), [("2019-12-31", False), ("2020-01-01", True), ("2020-03-01", True), ("2020-04-01", False)]
)
def test_partitions_outside_the_declared_time_are_not_held(key: str, is_held: bool) -> None:
    assert Partitions(start=date(2020, 1, 1), end=date(2020, 3, 15), every="month").holds(key) is is_held
