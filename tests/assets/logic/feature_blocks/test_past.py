"""Blocks that look into the past, against slow versions that look at one row after the other."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from math import isnan, nan
from statistics import fmean, stdev
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from assets.logic.feature_blocks.base import Block
from assets.logic.feature_blocks.past_values import Lag, SameSlot
from assets.logic.feature_blocks.rates import Frequency, TargetRate
from assets.logic.feature_blocks.records import Latest, SinceLast
from assets.logic.feature_blocks.windows import Window
from assets.logic.point_in_time import Clock, History
from assets.policies import DeclarationError
from resources.errors import InputError

Row = dict[str, Any]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ORDER_DELAY, READING_DELAY = timedelta(minutes=5), timedelta(minutes=7)
LATENESS = timedelta(days=2)


class World(Protocol):
    rows: dict[str, list[Row]]
    history: History
    spine: pl.DataFrame
    asked: list[Row]


def same(found: pl.Series, expected: Iterable[float | None]) -> None:
    wanted = list(expected)
    assert [value is None for value in found] == [value is None for value in wanted]
    assert found.drop_nulls().to_list() == pytest.approx([v for v in wanted if v is not None], abs=2e-6, rel=1e-6)


def built(world: World, block: Block) -> dict[str, pl.Series]:
    found = block.build(world.spine, world.history)
    assert list(found) == [feature.name for feature in block.features()]
    return found


def values_known(
    world: World, asked: Row, *, by: Sequence[str], since: timedelta, until: timedelta = timedelta(0)
) -> list[float]:
    """Minutes of orders that reached us in a window, by orders that were reported in time."""
    return [
        row["minutes"]
        for row in world.rows["orders"]
        if row["minutes"] is not None
        and asked["prediction_time"] - since < row["done_at"] + ORDER_DELAY <= asked["prediction_time"] - until
        and row["done_at"] + ORDER_DELAY - row["due_at"] <= LATENESS
        and all(row[key] is not None and row[key] == asked[key] for key in by)
    ]


@pytest.mark.parametrize("by", [(), ("shop",), ("shop", "pieces")])
@pytest.mark.parametrize("ago", [timedelta(0), 3 * DAY])
def test_windows_are_what_the_slow_version_computes(world: World, by: tuple[str, ...], ago: timedelta) -> None:
    block = Window(
        table="orders", column="minutes", by=by, over=(DAY, 9 * DAY), of=("count", "mean", "sum", "std"), ago=ago
    )
    found = list(built(world, block).values())
    statistics: list[Callable[[list[float]], float | None]] = [
        len,
        lambda v: fmean(v) if v else None,
        sum,
        lambda v: stdev(v) if len(v) > 1 else None,
    ]
    for number, length in enumerate((DAY, 9 * DAY)):
        known = [values_known(world, asked, by=by, since=length + ago, until=ago) for asked in world.asked]
        assert max(map(len, known)) > 1
        for statistic, series in zip(statistics, found[4 * number : 4 * number + 4], strict=True):
            same(series, [statistic(values) for values in known])


def test_a_window_over_rows_that_arrive_late_counts_them_when_they_arrive(world: World) -> None:
    found = built(world, Window(table="readings", by=("shop",), over=(2 * DAY,), of=("count",)))
    expected = [
        sum(
            row["known_at"] is not None
            and asked["prediction_time"] - 2 * DAY < row["known_at"] + READING_DELAY <= asked["prediction_time"]
            and row["known_at"] + READING_DELAY - row["taken_at"] <= LATENESS
            and row["shop"] is not None
            and row["shop"] == asked["shop"]
            for row in world.rows["readings"]
        )
        for asked in world.asked
    ]
    same(found["readings_count_2d_by_shop"], map(float, expected))
    # The test would prove little if no record came too late to count.
    assert any(r["known_at"] and r["known_at"] - r["taken_at"] > LATENESS for r in world.rows["readings"])


def back_on_the_wall_clock(instant: datetime, ago: timedelta, zone: str | None) -> datetime | None:
    if zone is None:
        return instant - ago
    wanted = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - ago
    utc = wanted.replace(tzinfo=ZoneInfo(zone)).astimezone(ZoneInfo("UTC"))
    return utc if utc.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wanted else None


def reading_at(world: World, asked: Row, target: datetime | None) -> float | None:
    known = [
        row
        for row in world.rows["readings"]
        if row["taken_at"] == target
        and row["known_at"] is not None
        and row["known_at"] + READING_DELAY <= asked["prediction_time"]
        and row["shop"] is not None
        and row["shop"] == asked["shop"]
    ]
    if not known:
        return None
    newest = max(row["known_at"] for row in known)
    values = {row["value"] for row in known if row["known_at"] == newest}
    assert len(values) == 1
    value: float | None = next(iter(values))
    return value


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "America/New_York"])
def test_a_lag_is_the_value_at_exactly_that_time_as_known_when_asked(world: World, zone: str | None) -> None:
    ago = (HOUR, 2 * HOUR, 7 * DAY, 21 * DAY)
    block = Lag(table="readings", column="value", by=("shop",), at="due_at", ago=ago, zone=zone)
    for series, length in zip(built(world, block).values(), ago, strict=True):
        expected = [
            reading_at(world, asked, back_on_the_wall_clock(asked["due_at"], length, zone)) for asked in world.asked
        ]
        assert sum(value is not None for value in expected) >= 5
        clean = [nan if value is not None and isnan(value) else value for value in expected]
        assert [value is None for value in series] == [value is None for value in clean]
        assert [v for v in series if v is not None] == pytest.approx(
            [v for v in clean if v is not None], nan_ok=True, abs=0
        )


def test_a_lag_of_an_outcome_is_null_until_the_outcome_is_known(world: World) -> None:
    found = built(world, Lag(table="orders", column="status", at="due_at", ago=(DAY,), kind="categorical"))
    for asked, status in zip(world.asked, found["status_1d_ago"], strict=True):
        rows = [row for row in world.rows["orders"] if row["due_at"] == asked["due_at"] - DAY]
        limit = asked["prediction_time"] - ORDER_DELAY
        allowed = {row["status"] if row["done_at"] and row["done_at"] <= limit else None for row in rows}
        assert status in (allowed or {None})
    assert found["status_1d_ago"].null_count() < len(world.asked)


def test_the_mean_of_the_same_slot_leaves_out_what_was_not_known(world: World) -> None:
    block = SameSlot(table="readings", column="value", by=("shop",), at="due_at", times=4, every=DAY)
    expected = []
    for asked in world.asked:
        values = [reading_at(world, asked, asked["due_at"] - number * DAY) for number in range(1, 5)]
        numbers = [value for value in values if value is not None and not isnan(value)]
        expected.append(fmean(numbers) if numbers else None)
    same(built(world, block)["value_mean_of_4x1d_by_shop"], expected)


def rows_known(world: World, asked: Row, by: Sequence[str], since: timedelta) -> list[Row]:
    return [
        row
        for row in world.rows["readings"]
        if row["known_at"] is not None
        and asked["prediction_time"] - since < row["known_at"] + READING_DELAY <= asked["prediction_time"]
        and row["known_at"] + READING_DELAY - row["taken_at"] <= LATENESS
        and all(row[key] is not None and row[key] == asked[key] for key in by)
    ]


def test_a_frequency_is_the_share_of_the_rows_known_with_the_same_category(world: World) -> None:
    found = built(world, Frequency(table="readings", by=("shop",), over=(5 * DAY,)))
    expected = []
    for asked in world.asked:
        whole = len(rows_known(world, asked, (), 5 * DAY))
        expected.append(len(rows_known(world, asked, ("shop",), 5 * DAY)) / whole if whole else None)
    same(found["shop_share_5d"], expected)


def test_a_target_rate_is_shrunk_to_the_mean_of_all_that_was_known(world: World) -> None:
    found = built(world, TargetRate(table="orders", column="minutes", by=("shop",), over=(9 * DAY,), smoothing=5))
    expected = []
    for asked in world.asked:
        ours = values_known(world, asked, by=("shop",), since=9 * DAY)
        whole = values_known(world, asked, by=(), since=9 * DAY)
        expected.append((sum(ours) + 5 * fmean(whole)) / (len(ours) + 5) if whole else None)
    same(found["minutes_rate_9d_by_shop"], expected)


def test_a_target_rate_of_a_class_counts_that_class(world: World) -> None:
    block = TargetRate(table="orders", column="status", equals="late", by=("shop",), over=(9 * DAY,), smoothing=5)
    late = {(row["due_at"], row["minutes"]): row["status"] == "late" for row in world.rows["orders"]}
    expected = []
    for asked in world.asked:
        counts = []
        for by in (("shop",), ()):
            known = [
                late[row["due_at"], row["minutes"]]
                for row in world.rows["orders"]
                if row["minutes"] is not None
                and asked["prediction_time"] - 9 * DAY < row["done_at"] + ORDER_DELAY <= asked["prediction_time"]
                and row["done_at"] + ORDER_DELAY - row["due_at"] <= LATENESS
                and all(row[key] is not None and row[key] == asked[key] for key in by)
            ]
            counts.append((sum(known), len(known)))
        (hits, count), (all_hits, everything) = counts
        expected.append((hits + 5 * all_hits / everything) / (count + 5) if everything else None)
    same(built(world, block)["status_late_rate_9d_by_shop"], expected)


def test_the_time_since_the_last_event_counts_only_events_known(world: World) -> None:
    found = built(world, SinceLast(table="readings", by=("shop",), within=3 * DAY))
    expected = []
    for asked in world.asked:
        at = asked["prediction_time"]
        taken = [
            row["taken_at"]
            for row in world.rows["readings"]
            if row["known_at"] is not None
            and row["known_at"] + READING_DELAY <= at
            and row["shop"] is not None
            and row["shop"] == asked["shop"]
        ]
        passed = at - max(taken) if taken else None
        expected.append(passed / HOUR if passed is not None and passed <= 3 * DAY else None)
    same(found["hours_since_last_readings_by_shop"], expected)


def test_the_time_since_the_last_scheduled_event_is_measured_up_to_the_time_asked_about(world: World) -> None:
    found = built(world, SinceLast(table="orders", by=("shop",), within=3 * DAY, at="due_at"))
    expected = []
    for asked in world.asked:
        due = [
            row["due_at"]
            for row in world.rows["orders"]
            if row["shop"] is not None and row["shop"] == asked["shop"] and row["due_at"] < asked["due_at"]
        ]
        passed = asked["due_at"] - max(due) if due else None
        expected.append(passed / HOUR if passed is not None and passed <= 3 * DAY else None)
    same(found["hours_since_last_orders_by_shop"], expected)


def test_a_register_is_joined_as_it_stands(world: World) -> None:
    found = built(world, Latest(table="shops", numbers=("size",), categories=("town",), by=("shop",)))
    assert list(found["shops_town_latest"]) == [{"a": "x", "b": "y"}.get(row["shop"]) for row in world.asked]
    assert list(found["shops_size_latest"]) == [{"a": 3.0}.get(row["shop"]) for row in world.asked]


def test_a_table_with_time_needs_to_say_how_old_its_latest_record_may_be(world: World) -> None:
    with pytest.raises(DeclarationError, match="'readings' has time, so it needs a field within"):
        Latest(table="readings", numbers=("value",)).build(world.spine, world.history)


def test_a_sum_of_numbers_too_large_for_their_decimals_is_refused(world: World) -> None:
    tables = {**world.history.tables}
    tables["readings"] = tables["readings"].with_columns(value=pl.lit(1e15))
    history = History(tables, world.history.clocks)
    block = Window(table="readings", column="value", over=(DAY,))
    with pytest.raises(InputError, match=r"'readings' holds numbers in 'value' too large .* 6 decimals"):
        block.build(world.spine, history)
    fewer = Window(table="readings", column="value", over=(DAY,), decimals=0).build(world.spine, history)
    assert fewer["value_mean_1d"].drop_nulls().unique().to_list() == [1e15]


def test_sums_that_would_overflow_64_bits_do_not() -> None:
    # 40 numbers of 4e18 in fixed point: together 17 times what a signed 64 bit integer holds.
    at = pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2020, 1, 2, 15), "1h", time_zone="UTC", eager=True)
    table = pl.DataFrame({"at": at.cast(pl.Datetime("us", "UTC")), "x": pl.Series([4e12] * 40)})
    history = History({"t": table}, {"t": Clock(event_time="at", known_at="at")})
    spine = pl.DataFrame({"prediction_time": table["at"].tail(1)})
    found = Window(table="t", column="x", over=(9 * DAY,), of=("sum",)).build(spine, history)
    assert found["x_sum_9d"].to_list() == [1.6e14]


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: Window(table="t", column="x", over=()), "Window, field over"),
        (lambda: Window(table="t", column="x", over=(timedelta(0),)), "Window, field over"),
        (lambda: Window(table="t", column="x", over=(DAY,), ago=-DAY), "field ago: .* look ahead"),
        (lambda: Window(table="t", over=(DAY,)), "without a column there is only the statistic count"),
        (lambda: Window(table="t", column="x", over=(DAY,), of=cast("Any", ("median",))), "'median'"),
        (lambda: Lag(table="t", column="x", at="y", ago=(DAY, DAY)), "Lag, field ago"),
        (lambda: Lag(table="t", column="x", at="y", ago=(DAY,), zone="Europe/Berln"), "Europe/Berlin"),
        (lambda: SameSlot(table="t", column="x", at="y", times=1), "use Lag"),
        (lambda: Frequency(table="t", by=(), over=(DAY,)), "Frequency, field by"),
        (lambda: TargetRate(table="t", column="x", by=("a",), over=(DAY,), smoothing=0), "field smoothing"),
        (lambda: Latest(table="t"), "name at least one column"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_naming_the_field(declare: Callable[[], Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declare()


@pytest.mark.parametrize(
    "block", [Window(table="tables", over=(DAY,), of=("count",)), Latest(table="tables", numbers=("x",))]
)
def test_an_unknown_table_is_named_with_those_that_are_known(world: World, block: Block) -> None:
    with pytest.raises(DeclarationError, match=r"no table 'tables'; known are \['orders', 'readings', 'shops'\]"):
        block.build(world.spine, world.history)
