"""Blocks that need only the row that asks: inputs, texts, ratios, the calendar."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from assets.logic.feature_blocks.calendar import HOLIDAY_DAYS, Calendar, Part, public_holidays
from assets.logic.feature_blocks.inputs import AsIs, Ratio, TextLength
from assets.logic.point_in_time import History
from assets.policies import DeclarationError

NOTHING = History({}, {})
UTC_TIME = pl.Datetime("us", "UTC")


def spine(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame(columns)


def at(*instants: datetime | None) -> pl.DataFrame:
    return pl.DataFrame({"at": instants}, schema={"at": UTC_TIME})


def test_inputs_pass_unchanged_and_codes_become_text() -> None:
    block = AsIs(numbers=("n", "b"), categories=("c",), codes=("k",))
    found = block.build(spine(n=[1, None], b=[True, False], c=["x", None], k=[7, None]), NOTHING)
    assert {name: series.to_list() for name, series in found.items()} == {
        "n": [1, None],
        "b": [True, False],
        "c": ["x", None],
        "k_code": ["7", None],
    }
    assert [(f.name, f.kind) for f in block.features()] == [
        ("n", "numeric"),
        ("b", "numeric"),
        ("c", "categorical"),
        ("k_code", "categorical"),
    ]


@pytest.mark.parametrize(("block", "column"), [(AsIs(numbers=("x",)), ["a"]), (AsIs(categories=("x",)), [1])])
def test_an_input_of_another_kind_than_declared_is_refused(block: AsIs, column: list[Any]) -> None:
    with pytest.raises(DeclarationError, match="'x' is"):
        block.build(spine(x=column), NOTHING)


def test_text_is_measured_in_characters_not_bytes_and_in_words_between_blanks() -> None:
    found = TextLength(columns=("t",)).build(spine(t=["ünï  cöde\tx", "", None]), NOTHING)
    assert found["t_characters"].to_list() == [11.0, 0.0, None]
    assert found["t_words"].to_list() == [3.0, 0.0, None]


def test_a_ratio_is_null_where_it_divides_by_nothing() -> None:
    frame = spine(a=[1.0, 1.0, None, 0.0, float("nan"), 1e300], b=[4, 0, 2, 0, 1, 2])
    frame = frame.with_columns(pl.when(pl.col("a") == 1e300).then(1e-300).otherwise("b").alias("b"))
    found = Ratio(numerator="a", denominator="b").build(frame, NOTHING)
    assert found["a_per_b"].to_list() == [0.25, None, None, None, None, None]


def test_a_ratio_of_something_unknown_names_it() -> None:
    with pytest.raises(DeclarationError, match=r"\['c'\] is neither an input nor a feature"):
        Ratio(numerator="a", denominator="c").build(spine(a=[1]), NOTHING)


HOURS = [datetime(2019, 12, 25, tzinfo=UTC) + timedelta(hours=7 * n, minutes=13) for n in range(1500)]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
def test_calendar_parts_are_those_of_the_local_clock(zone: str) -> None:
    parts = tuple(part for part in get_args(Part) if "holiday" not in part and part != "season")
    found = Calendar(column="at", zone=zone, parts=parts).build(at(*HOURS, None), NOTHING)
    local = [hour.astimezone(ZoneInfo(zone)) for hour in HOURS]
    expected: dict[str, list[Any]] = {
        "at_hour": [t.hour for t in local],
        "at_minute_of_day": [60 * t.hour + t.minute for t in local],
        "at_weekday": [t.isoweekday() for t in local],
        "at_weekday_hour": [f"{t.isoweekday()}-{t.hour:02d}" for t in local],
        "at_is_weekend": [t.isoweekday() > 5 for t in local],
        "at_day_of_month": [t.day for t in local],
        "at_month": [t.month for t in local],
    }
    assert {name: series.to_list() for name, series in found.items()} == {n: [*v, None] for n, v in expected.items()}


def test_the_season_runs_smoothly_over_the_turn_of_the_year() -> None:
    days = [datetime(2019, 12, 1, tzinfo=UTC) + timedelta(days=n) for n in range(62)]
    found = Calendar(column="at", parts=("season",)).build(at(*days), NOTHING)
    assert [f.name for f in Calendar(column="at", parts=("season",)).features()] == ["at_season_sin", "at_season_cos"]
    for series in found.values():
        assert series.diff().drop_nulls().abs().to_numpy().max() < 2 * 3.1416 / 365


def test_days_to_and_since_holidays_are_those_of_a_search_day_by_day() -> None:
    parts: tuple[Part, ...] = ("days_to_holiday", "days_since_holiday", "is_holiday")
    zone = "America/Chicago"
    found = Calendar(column="at", zone=zone, parts=parts, country="US").build(at(*HOURS, None), NOTHING)
    holidays = {day for year in range(2018, 2024) for day in public_holidays("US", None, year)}

    def distance(day: int, step: int) -> int:
        return next(n for n in range(HOLIDAY_DAYS + 1) if n == HOLIDAY_DAYS or day + step * n in holidays)

    days = [hour.astimezone(ZoneInfo(zone)).date().toordinal() - date(1970, 1, 1).toordinal() for hour in HOURS]
    assert found["at_days_to_holiday"].to_list() == [*(distance(day, 1) for day in days), None]
    assert found["at_days_since_holiday"].to_list() == [*(distance(day, -1) for day in days), None]
    assert found["at_is_holiday"].to_list() == [*(day in holidays for day in days), None]


def test_a_state_has_holidays_that_its_country_has_not() -> None:
    def is_holiday(subdivision: str | None) -> float:
        block = Calendar(column="at", parts=("is_holiday",), country="DE", subdivision=subdivision)
        return float(block.build(at(datetime(2020, 1, 6, tzinfo=UTC)), NOTHING)["at_is_holiday"][0])

    assert (is_holiday(None), is_holiday("BY")) == (0.0, 1.0)


def test_rows_without_any_instant_have_no_calendar() -> None:
    block = Calendar(column="at", parts=("hour", "days_to_holiday"), country="US")
    assert [s.to_list() for s in block.build(at(None, None), NOTHING).values()] == [[None, None]] * 2
    assert [len(s) for s in block.build(at(), NOTHING).values()] == [0, 0]


def test_the_version_of_the_list_of_holidays_is_part_of_the_declaration() -> None:
    assert "holidays=" in repr(Calendar(column="at", country="US"))
    assert "holidays=" not in repr(Calendar(column="at"))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"zone": "Berlin"}, "Europe/Berlin"),
        ({"parts": ("day_of_year",)}, "'day_of_year'"),
        ({"parts": ("is_holiday",)}, "need a country"),
        ({"country": "XX"}, "XX"),
        ({"country": "US", "subdivision": "QQ"}, "QQ"),
    ],
)
def test_a_calendar_that_cannot_work_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        Calendar(column="at", **declared)
