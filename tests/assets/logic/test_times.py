"""Written times and the instants they mean: a table of cases, round trips, the days on which clocks change."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.logic.times import Role, TimeSpec
from assets.policies import DeclarationError

SEEDED = settings(max_examples=60, derandomize=True, deadline=None)
NOON = datetime(2018, 1, 2, 12, 0, tzinfo=UTC)
Columns = dict[str, list[Any]]


def parse(spec: TimeSpec, columns: Columns) -> list[datetime | None]:
    frame = pl.DataFrame(columns)
    return frame.lazy().select(t=spec.parse(frame.schema)).collect()["t"].to_list()


def one(text: Any, **declared: Any) -> datetime | None:
    return parse(TimeSpec(columns={"instant": "t"}, **declared), {"t": [text]})[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-01-02T12:00:00", NOON),
        ("2018-01-02 12:00:00", NOON),
        ("2018-01-02 12:00", NOON),
        (" 2018-01-02  12:00 ", NOON),
        ("2018-01-02T12:00:00Z", NOON),
        ("2018-01-02 12:00 UTC", NOON),
        ("2018-01-02T13:30:00+01:30", NOON),
        ("2018-01-02T13:30:00+0130", NOON),
        ("2018-01-02T04:00-08", NOON),
        ("2018-01-02 11:30:00.000000-00:30", NOON),
        ("2018-01-02T12:00:00.25", NOON + timedelta(seconds=0.25)),
        ("2018-01-02T12:00:00,123456789", NOON + timedelta(microseconds=123456)),
        ("2018-01-02", NOON - timedelta(hours=12)),
        ("2018-01-01 24:00", NOON - timedelta(hours=12)),
        ("2018-02-30", None),
        ("2018-01-02 25:00", None),
        ("2018-01-02 12:60", None),
        ("2018-01-02 12:00:00 Berlin", None),
        ("02.01.2018", None),
        ("0018-01-02", None),
        ("", None),
        (None, None),
        ("n/a", None),
    ],
)
def test_iso_8601_is_read_in_its_usual_forms(text: str | None, expected: datetime | None) -> None:
    assert one(text) == expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("02/01/2018 12:00", "%d/%m/%Y %H:%M", NOON),
        ("1/2/2018 12:00 PM", "%m/%d/%Y %I:%M %p", NOON),
        ("01/02/2018 12:00:00 am", "%m/%d/%Y %I:%M:%S %p", NOON - timedelta(hours=12)),
        ("1/2/2018 1 PM", "%m/%d/%Y %I %p", NOON + timedelta(hours=1)),
        ("2018-01-02 13", "%Y-%m-%d %H", NOON + timedelta(hours=1)),
        ("02.01.18", "%d.%m.%y", NOON - timedelta(hours=12)),
        ("2 january 2018", "%d %B %Y", NOON - timedelta(hours=12)),
        ("2 JAN 2018", "%d %B %Y", NOON - timedelta(hours=12)),
        ("Tuesday, 2 Jan 2018 13:00:00 +0100", "%A, %d %B %Y %H:%M:%S %z", NOON),
        ("20180102", "%Y%m%d", NOON - timedelta(hours=12)),
        (20180102, "%Y%m%d", NOON - timedelta(hours=12)),
        ("2018-01", "%Y-%m", datetime(2018, 1, 1, tzinfo=UTC)),
        ("Jan 2018", "%B %Y", datetime(2018, 1, 1, tzinfo=UTC)),
        ("2018", "%Y", datetime(2018, 1, 1, tzinfo=UTC)),
        ("31/12/18", "%d/%m/%Y", None),
        ("13/13/2018", "%d/%m/%Y", None),
        ("1/2/2018 13:00 PM", "%m/%d/%Y %I:%M %p", None),
    ],
)
def test_a_format_reads_what_it_says_and_nothing_else(text: Any, form: str, expected: datetime | None) -> None:
    assert one(text, format=form) == expected


@pytest.mark.parametrize(
    ("columns", "data", "expected"),
    [
        (("year", "month", "day"), ("2018", "January", "2"), NOON - timedelta(hours=12)),
        (("year", "month", "day"), (2018, 1, 2), NOON - timedelta(hours=12)),
        (("year", "month", "day"), ("18", "jan.", "02"), NOON - timedelta(hours=12)),
        (("year", "month", "day"), ("2018.0", "1.0", "2.0"), NOON - timedelta(hours=12)),
        (("year", "month"), (2018, "SEPT"), datetime(2018, 9, 1, tzinfo=UTC)),
        (("year",), (2018,), datetime(2018, 1, 1, tzinfo=UTC)),
        (("year", "month", "day", "hour"), (2018, 1, 2, "12"), NOON),
        (("year", "month", "day", "hour", "minute"), (2018, 1, 2, 11, 60), None),
        (("year", "month", "day", "hour", "minute", "second"), (2018, 1, 2, 11, 59, 59), NOON - timedelta(seconds=1)),
        (("year", "month", "day", "time"), (2018, 1, 2, "12:00 pm"), NOON),
        (("year", "month", "day"), (2018, 2, 29), None),
        (("year", "month", "day"), (2020, 2, 29), datetime(2020, 2, 29, tzinfo=UTC)),
        (("year", "month", "day"), (2018, "Janvier", 2), None),
        (("year", "month", "day"), (2018, 13, 2), None),
        (("year", "month", "day"), (2018, 1, 0), None),
        (("year", "month", "day"), (2018, 1.5, 2), None),
        (("date", "time"), ("2018-01-02", "12:00"), NOON),
        (("date", "time"), ("2018-01-02", "12:00:00.5"), NOON + timedelta(seconds=0.5)),
        (("date", "time"), ("2018-01-02", "12.00.00"), NOON),
        (("date", "time"), ("2018-01-02", "1:05 PM"), NOON + timedelta(minutes=65)),
        (("date", "time"), ("2018-01-02", "12:00 a.m."), NOON - timedelta(hours=12)),
        (("date", "time"), ("2018-01-02", "13:00 pm"), None),
        (("date", "time"), ("2018-01-02", 1200), NOON),
        (("date", "time"), ("2018-01-02", 5), NOON - timedelta(hours=12) + timedelta(minutes=5)),
        (("date", "time"), ("2018-01-01", "2400"), NOON - timedelta(hours=12)),
        (("date", "time"), ("2018-01-01", "2401"), None),
        (("date", "time"), ("2018-01-02", "noon"), None),
        (("date", "time"), (date(2018, 1, 2), time(12)), NOON),
        (("date", "hour"), ("2018-01-02", 12), NOON),
        (("date", "hour"), (date(2018, 1, 2), "12"), NOON),
        (("date", "hour"), (date(2018, 1, 2), 24), NOON + timedelta(hours=12)),
    ],
)
def test_separate_columns_make_one_time(columns: tuple[Role, ...], data: tuple[Any, ...], expected: Any) -> None:
    names = dict(zip(columns, columns, strict=True))
    found = parse(TimeSpec(columns=names), {role: [value] for role, value in zip(columns, data, strict=True)})
    assert found == [expected]


@pytest.mark.parametrize(
    ("unit", "count"), [("s", 1514894400), ("ms", 1514894400000), ("us", 1514894400000000), ("ns", 1514894400000000000)]
)
def test_counts_since_1970_are_exact_typed_and_written(unit: Any, count: int) -> None:
    small = timedelta(microseconds=1) if unit in ("us", "ns") else timedelta(0)
    more = count + {"us": 1, "ns": 1999}.get(unit, 0)
    assert one(more, epoch=unit) == one(str(more), epoch=unit) == one(f" {more} ", epoch=unit) == NOON + small
    assert [one(text, epoch=unit) for text in ("x", "9" * 30, None)] == [None] * 3


def test_fractions_of_a_count_are_kept_and_nan_is_null() -> None:
    quarter = NOON + timedelta(seconds=0.25)
    assert one("1514894400.25", epoch="s") == one(1514894400.25, epoch="s") == quarter
    assert one("1514894400250.0", epoch="ms") == quarter
    assert [one(value, epoch="s") for value in (float("nan"), float("inf"), 1e300, -1e300)] == [None] * 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2018, 1, 2), datetime(2018, 1, 1, 23, tzinfo=UTC)),
        (datetime(2018, 1, 2, 13), NOON),  # noqa: DTZ001 - without a zone, that is the case
        (datetime(2018, 1, 2, 12, tzinfo=UTC), NOON),
        (datetime(2018, 1, 2, 7, tzinfo=ZoneInfo("America/New_York")), NOON),
    ],
)
def test_typed_columns_are_read_as_what_they_are(value: Any, expected: datetime) -> None:
    assert one(value, zone="Europe/Berlin") == expected


CHANGES = {
    "Europe/Berlin": ("2018-03-25 02:30", "2018-10-28 02:30", datetime(2018, 10, 28, 0, 30, tzinfo=UTC)),
    "America/New_York": ("2018-03-11 02:30", "2018-11-04 01:30", datetime(2018, 11, 4, 5, 30, tzinfo=UTC)),
}
FORMS: list[Callable[[str], tuple[TimeSpec, Columns]]] = [
    lambda text: (TimeSpec(columns={"instant": "t"}), {"t": [text]}),
    lambda text: (TimeSpec(columns={"instant": "t"}, format="%Y-%m-%d %H:%M"), {"t": [text]}),
    lambda text: (TimeSpec(columns={"date": "d", "time": "c"}), {"d": [text[:10]], "c": [text[11:]]}),
    lambda text: (TimeSpec(columns={"instant": "t"}), {"t": [datetime.fromisoformat(text)]}),
]


@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("form", FORMS)
def test_a_time_that_the_clocks_skip_is_null_and_of_a_doubled_hour_the_first_is_meant(
    zone: str, form: Callable[[str], tuple[TimeSpec, Columns]]
) -> None:
    def read(text: str) -> datetime | None:
        spec, columns = form(text)
        return parse(TimeSpec(columns=spec.columns, format=spec.format, zone=zone), columns)[0]

    skipped, doubled, first = CHANGES[zone]
    assert read(skipped) is None
    assert read(doubled) == first
    before = datetime.fromisoformat(skipped) - timedelta(hours=2)
    assert read(str(before)[:16]) == before.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize("zone", CHANGES)
def test_every_hour_of_a_year_on_the_local_clock_comes_back(zone: str) -> None:
    hours = [datetime(2018, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(8760)]
    texts = [hour.astimezone(ZoneInfo(zone)).strftime("%d/%m/%Y %I:%M %p") for hour in hours]
    found = parse(TimeSpec(columns={"instant": "t"}, format="%d/%m/%Y %I:%M %p", zone=zone), {"t": texts})
    differing = [(hour, read) for hour, read in zip(hours, found, strict=True) if hour != read]
    # Only the second of the doubled hour, and it is read as the first.
    assert [hour - read for hour, read in differing if read] == [timedelta(hours=1)]
    assert len(differing) == 1


moments = st.datetimes(datetime(1970, 1, 2), datetime(2068, 1, 1)).map(lambda t: t.replace(microsecond=0))  # noqa: DTZ001
ROUND_TRIPS = [
    "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%y %H:%M:%S", "%d %B %Y %H:%M:%S",
    "%B %d, %Y %I:%M:%S %p", "%Y%m%d%H%M%S",
]  # fmt: skip


@SEEDED
@given(st.lists(moments, min_size=1, max_size=20), st.sampled_from(ROUND_TRIPS))
def test_what_is_written_by_a_format_is_read_back(times: list[datetime], form: str) -> None:
    found = parse(TimeSpec(columns={"instant": "t"}, format=form), {"t": [t.strftime(form) for t in times]})
    assert found == [t.replace(tzinfo=UTC) for t in times]


@SEEDED
@given(st.lists(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 30)), min_size=1), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_iso_with_any_offset_is_read_back_to_the_microsecond(times: list[datetime], minutes: int) -> None:
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    texts = [f"{t.isoformat()}{sign}{size // 60:02d}:{size % 60:02d}" for t in times]
    expected = [t.replace(tzinfo=UTC) - timedelta(minutes=minutes) for t in times]
    inside = [t if t.year >= 1000 else None for t in expected]
    assert parse(TimeSpec(columns={"instant": "t"}), {"t": texts}) == inside


@SEEDED
@given(st.lists(moments, min_size=1, max_size=20))
def test_separate_numbers_are_read_back(times: list[datetime]) -> None:
    roles: tuple[Role, ...] = ("year", "month", "day", "hour", "minute", "second")
    columns: Columns = {role: [str(getattr(t, role)) for t in times] for role in roles}
    expected = [t.replace(tzinfo=UTC) for t in times]
    assert parse(TimeSpec(columns={role: role for role in roles}), columns) == expected


@SEEDED
@given(st.lists(st.text(max_size=25), min_size=1), st.sampled_from([None, "%d/%m/%Y %H:%M", "%Y"]))
def test_no_text_at_all_is_an_error(texts: list[str], form: str | None) -> None:
    parse(TimeSpec(columns={"instant": "t"}, format=form), {"t": texts})
    parse(TimeSpec(columns={"date": "t", "time": "t"}), {"t": texts})
    parse(TimeSpec(columns={"year": "t", "month": "t", "day": "t", "hour": "t"}), {"t": texts})
    parse(TimeSpec(columns={"instant": "t"}, epoch="ns"), {"t": texts})


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"columns": {}}, "needs one of"),
        ({"columns": {"instant": "a", "day": "b"}}, "stands alone"),
        ({"columns": {"date": "a", "month": "b"}}, "holds month and day already"),
        ({"columns": {"date": "a", "time": "b", "hour": "c"}}, "holds hour, minute"),
        ({"columns": {"year": "a", "day": "b"}}, "`day` needs `month`"),
        ({"columns": {"date": "a", "minute": "b"}}, "`minute` needs `hour`"),
        ({"columns": {"when": "a"}}, "'when'"),
        ({"columns": {"instant": "a"}, "zone": "Europe/Berln"}, "Europe/Berlin"),
        ({"columns": {"instant": "a"}, "epoch": "h"}, "field epoch"),
        ({"columns": {"instant": "a"}, "epoch": "s", "format": "%Y"}, "field epoch"),
        ({"columns": {"year": "a"}, "format": "%Y"}, "field format"),
    ],
)
def test_a_declaration_that_names_no_time_is_refused_naming_the_field(declared: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        TimeSpec(**declared)


def test_an_absent_column_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DeclarationError, match="no column 'start_tme' for instant; did you mean 'start_time'"):
        TimeSpec(columns={"instant": "start_tme"}).parse({"start_time": pl.String(), "x": pl.String()})


def test_a_column_of_a_type_that_holds_no_time_is_refused() -> None:
    with pytest.raises(DeclarationError, match="'t' is Float64"):
        TimeSpec(columns={"instant": "t"}).parse({"t": pl.Float64()})


def test_parsing_does_not_depend_on_where_the_frame_is_cut() -> None:
    texts = [f"{day:02d}/{month:02d}/2018 0{day % 9}:15" for month in range(1, 13) for day in range(1, 32)]
    frame, spec = pl.DataFrame({"t": texts}), TimeSpec(columns={"instant": "t"}, format="%d/%m/%Y %H:%M")
    whole = frame.select(spec.parse(frame.schema))
    assert pl.concat([part.select(spec.parse(frame.schema)) for part in frame.iter_slices(7)]).equals(whole)
    assert whole.to_series().null_count() == 7


def test_a_written_time_is_taken_apart_once_however_many_pieces_it_has() -> None:
    # Two million rows took two minutes when every use of a piece ran the regular expression again, and take one second.
    whole = str(TimeSpec(columns={"instant": "t"}).parse({"t": pl.String()}))
    assert whole.count("extract_groups") == 2
    split = str(TimeSpec(columns={"date": "d", "time": "c"}).parse({"d": pl.String(), "c": pl.String()}))
    assert split.count("extract_groups") <= 3


def test_it_says_in_words_what_it_reads() -> None:
    assert "`d` + `h`" in TimeSpec(columns={"date": "d", "hour": "h"}, zone="Europe/Berlin").describe()
    assert TimeSpec(columns={"instant": "t"}, epoch="ms").describe() == "`t`, ms since 1970"
