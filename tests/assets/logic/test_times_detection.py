"""How a file writes its times is found out, and what cannot be known is said."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.logic.times import TimeSpec
from assets.logic.times_detection import TimeFinding, detect
from assets.logic.times_formats import formats_of, other_order
from resources.errors import InputError

START = datetime(2018, 1, 1, tzinfo=UTC)
TIMES = [START + timedelta(hours=7 * n) for n in range(400)]


def table(write: Callable[[datetime], str]) -> pl.DataFrame:
    draw = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "id": [str(100_000 + n) for n in range(len(TIMES))],
            "when": [write(t) for t in TIMES],
            "price": [f"{x:.2f}" for x in draw.uniform(1, 3000, len(TIMES))],
            "city": list(draw.choice(["Berlin", "May", "March"], len(TIMES))),
        }
    )


def best(frame: pl.DataFrame, wanted: str | None = None, zone: str = "UTC") -> TimeFinding:
    return detect(frame, wanted, zone)[0]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%Y-%m-%d %H:%M:%S", None),
        ("%Y-%m-%dT%H:%M", None),
        ("%Y-%m-%dT%H:%M:%SZ", None),
        ("%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M"),
        ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M"),
        ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M"),
        ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S %p"),
        ("%d.%m.%y %H:%M", "%d.%m.%y %H:%M"),
        ("%d %b %Y %H:%M", "%d %B %Y %H:%M"),
        ("%B %d, %Y %I:%M %p", "%B %d, %Y %I:%M %p"),
        ("%a, %d %b %Y %H:%M:%S +0000", "%A, %d %B %Y %H:%M:%S%#z"),
        ("%Y%m%d%H%M", "%Y%m%d%H%M"),
    ],
)
def test_the_way_a_column_is_written_is_found_among_others(form: str, expected: str | None) -> None:
    found = detect(table(lambda t: t.strftime(form)), None, "UTC")
    assert [finding.spec for finding in found] == [TimeSpec(columns={"instant": "when"}, format=expected)]
    assert (found[0].share, found[0].first, found[0].last) == (1.0, TIMES[0], TIMES[-1])
    assert (found[0].is_ambiguous, found[0].note) == (False, "")


@pytest.mark.parametrize(("unit", "size"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_counts_since_1970_are_told_apart_by_their_size(unit: str, size: int) -> None:
    found = best(table(lambda t: str(int(t.timestamp()) * size)))
    assert (found.spec.epoch, found.first, found.last) == (unit, TIMES[0], TIMES[-1])


def test_typed_times_are_found_as_they_are() -> None:
    frame = pl.DataFrame({"n": range(400), "when": TIMES, "day": [t.date() for t in TIMES]})
    assert [f.spec for f in detect(frame, None, "UTC")] == [
        TimeSpec(columns={"instant": "when"}),
        TimeSpec(columns={"instant": "day"}),
    ]


def test_a_day_above_twelve_tells_the_order_wherever_it_stands() -> None:
    early = [f"{1 + n % 12:02d}/{1 + n % 7:02d}/2018" for n in range(5000)]
    for odd, form in (("13/02/2018", "%d/%m/%Y"), ("02/13/2018", "%m/%d/%Y")):
        found = best(pl.DataFrame({"day": [*early, odd, *early]}))
        assert (found.spec.format, found.is_ambiguous, found.share) == (form, False, 1.0)


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y"])
@pytest.mark.parametrize("is_shuffled", [False, True])
def test_without_such_a_day_the_better_order_of_the_rows_decides_and_that_is_said(form: str, is_shuffled: bool) -> None:
    days = [date(2018, month, day).strftime(form) for month in range(1, 7) for day in range(1, 13)]
    order = np.random.default_rng(1).permutation(len(days)) if is_shuffled else np.arange(len(days))
    found = best(pl.DataFrame({"day": [days[n] for n in order]}))
    assert found.is_ambiguous
    assert "no row tells whether day or month comes first" in found.note
    assert is_shuffled or found.spec.format == form


@pytest.mark.parametrize(("text", "form"), [("01/02/2018", "%m/%d/%Y"), ("01.02.2018", "%d.%m.%Y")])
def test_a_single_date_is_read_as_is_usual_with_its_separators(text: str, form: str) -> None:
    found = best(pl.DataFrame({"day": [text]}))
    assert (found.spec.format, found.is_ambiguous) == (form, True)


def test_three_rows_in_a_hundred_that_do_not_parse_are_counted_and_shown() -> None:
    frame = table(lambda t: t.strftime("%d.%m.%Y %H:%M"))
    is_bad = pl.int_range(len(TIMES)) % 33 == 5
    found = best(frame.with_columns(when=pl.when(is_bad).then(pl.lit("unknown")).otherwise("when")))
    assert found.spec.format == "%d.%m.%Y %H:%M"
    assert found.share == 1 - 12 / 400
    assert found.failures == ("unknown",) * 3
    assert found.note == "12 of 400 rows do not parse, such as 'unknown'"


def test_empty_rows_do_not_count_against_a_column() -> None:
    frame = table(lambda t: t.strftime("%Y-%m-%d %H:%M"))
    is_empty = pl.int_range(len(TIMES)) % 2 == 0
    for empty in (None, "", "  "):
        found = best(frame.with_columns(when=pl.when(is_empty).then(pl.lit(empty, pl.String)).otherwise("when")))
        assert (found.share, found.rows) == (1.0, 200)


def written(**columns: Callable[[datetime], Any]) -> pl.DataFrame:
    return pl.DataFrame({name: [str(write(t)) for t in TIMES] for name, write in columns.items()})


@pytest.mark.parametrize(
    ("frame", "columns", "last"),
    [
        (
            written(
                is_late=lambda t: t.day % 2,
                arrival_date_year=lambda t: t.year,
                arrival_date_month=lambda t: t.strftime("%B"),
                arrival_date_week_number=lambda t: t.isocalendar().week,
                arrival_date_day_of_month=lambda t: t.day,
                lead_time=lambda t: t.day,
            ),
            {"year": "arrival_date_year", "month": "arrival_date_month", "day": "arrival_date_day_of_month"},
            TIMES[-1].replace(hour=0),
        ),
        (
            written(
                year=lambda t: t.year,
                month=lambda t: t.month,
                day=lambda t: t.day,
                dep_time=lambda t: t.hour * 100,
                hour=lambda t: t.hour,
                minute=lambda t: t.minute,
            ),
            {part: part for part in ("year", "month", "day", "hour", "minute")},
            TIMES[-1],
        ),
        (
            written(
                instant=lambda t: (t - START) // timedelta(hours=7),
                dteday=lambda t: t.date(),
                yr=lambda t: t.year - 2018,
                mnth=lambda t: t.month,
                hr=lambda t: t.hour,
                weekday=lambda t: t.isoweekday(),
            ),
            {"date": "dteday", "hour": "hr"},
            TIMES[-1],
        ),
        (
            written(Date=lambda t: t.strftime("%d/%m/%Y"), Time=lambda t: t.strftime("%H.%M.%S")),
            {"date": "Date", "time": "Time"},
            TIMES[-1],
        ),
        (
            written(date=lambda t: t.date(), time=lambda t: t.strftime("%I:%M %p")),
            {"date": "date", "time": "time"},
            TIMES[-1],
        ),
    ],
    ids=["hotel", "departures", "bikes", "air", "clock"],
)
def test_separate_columns_are_put_together(frame: pl.DataFrame, columns: dict[str, str], last: datetime) -> None:
    found = best(frame)
    assert dict(found.spec.columns) == columns
    assert (found.share, found.first, found.last) == (1.0, TIMES[0], last)


def test_a_day_and_a_month_without_a_year_are_no_time() -> None:
    assert detect(written(day=lambda t: t.day, month=lambda t: t.strftime("%b")), None, "UTC") == []


def test_a_wanted_column_is_the_only_one_looked_at() -> None:
    frame = table(lambda t: t.strftime("%Y-%m-%d")).with_columns(other=pl.lit("2020-01-01"))
    assert [dict(f.spec.columns) for f in detect(frame, "other", "UTC")] == [{"instant": "other"}]
    assert detect(frame, "city", "UTC") == []


def test_a_wanted_column_that_is_not_there_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="no column 'whn' for the time; did you mean 'when'"):
        detect(table(str), "whn", "UTC")


def test_the_zone_belongs_to_the_finding() -> None:
    found = best(table(lambda t: t.strftime("%Y-%m-%d %H:%M")), zone="Europe/Berlin")
    assert (found.spec.zone, found.first) == ("Europe/Berlin", START - timedelta(hours=1))


def test_numbers_and_words_are_not_taken_for_times() -> None:
    draw = np.random.default_rng(5)
    frame = pl.DataFrame(
        {
            "amount": [f"{x:.3f}" for x in draw.uniform(0, 99999, 500)],
            "zip": [f"{x:05d}" for x in draw.integers(10000, 99999, 500)],
            "phone": [str(x) for x in draw.integers(10**10, 10**11, 500)],
            "name": ["May", "June", "April", "Summer", "x"] * 100,
            "version": ["1.2.3", "10.4.1"] * 250,
            "nothing": [None] * 500,
        }
    )
    assert detect(frame, None, "UTC") == []


def test_an_empty_table_has_no_time() -> None:
    assert detect(pl.DataFrame({"when": pl.Series([], dtype=pl.String)}), None, "UTC") == []


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2060, 1, 1)).map(lambda t: t.replace(microsecond=0)),  # noqa: DTZ001
    st.sampled_from(["%Y", "%y"]),
    st.sampled_from("/.-"),
    st.sampled_from(["", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S%p"]),
    st.booleans(),
)
def test_the_format_of_a_written_time_is_among_those_of_its_shape(
    moment: datetime, year: str, sign: str, clock: str, day_first: bool
) -> None:
    order = ["%d", "%m"] if day_first else ["%m", "%d"]
    form = sign.join([*order, year]) + clock
    found = formats_of(moment.strftime(form))
    assert form in found
    assert other_order(form) in found


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.text(max_size=30))
def test_any_text_has_formats_or_none(text: str) -> None:
    assert isinstance(formats_of(text), list)
