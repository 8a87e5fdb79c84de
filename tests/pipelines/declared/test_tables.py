"""What becomes of the rows of a declared table: typed, labelled, or kept aside with a reason."""

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest

from assets.stages.cleaned import cleaned_code_version
from tests.pipelines.declared.conftest import Line

ORDERS = """
    source: {uri: orders.csv}
    time: {column: at}
    partitions: {start: 2024-01-01}
    target: {column: late, task: binary, positive: yes}
    columns:
      price: {type: number}
"""
Make = Callable[..., Line]


def test_values_come_out_in_their_declared_types(line: Make) -> None:
    text = """
        source: {uri: orders.csv}
        time: {column: at}
        target: {column: y, task: regression}
        columns:
          n: {type: integer}
          big: {type: integer}
          p: {type: number}
          b: {type: boolean}
          t: {type: time, format: "%d.%m.%Y", zone: Europe/Berlin}
          s: {}
    """
    made = line(text, orders="at,y,n,big,p,b,t,s\n2024-01-01,1.5, 5.0,9007199254740993,1e3,Ja,31.12.2023,007\n")
    row = made.cleaned().rows.drop("partition_key", "y_known_at").row(0, named=True)
    assert row == {
        "at": datetime(2024, 1, 1, tzinfo=UTC),
        "n": 5,
        "big": 9007199254740993,
        "p": 1000.0,
        "b": True,
        "t": datetime(2023, 12, 30, 23, tzinfo=UTC),
        "s": "007",
        "y": 1.5,
    }


def test_personal_columns_are_declared_and_change_no_table(line: Make) -> None:
    plain = line(ORDERS, orders="at,late,price\n2024-01-01,yes,1\n").use_case.tables[0]
    text = ORDERS.replace("type: number", "type: number, personal: hash")
    table = line(text, orders="at,late,price\n2024-01-01,yes,1\n").use_case.tables[0]
    assert (table.personal("hash"), table.personal("drop"), plain.personal("hash")) == ({"price"}, set(), set())
    assert cleaned_code_version(table) == cleaned_code_version(plain)


def test_a_value_of_another_type_sends_its_row_to_quarantine_and_not_the_file(line: Make) -> None:
    made = line(ORDERS, orders="at,late,price\n2024-01-01,yes,1\n2024-01-01,no,cheap\n2024-01-01,no,NA\n")
    assert (made.reasons(), made.column("price").to_list()) == ({"price_is_no_number": 1}, [1.0, None])


def test_a_value_of_another_type_can_count_as_missing(line: Make) -> None:
    text = ORDERS.replace("type: number", "type: number, invalid: missing")
    made = line(text, orders="at,late,price\n2024-01-01,yes,1\n2024-01-01,no,cheap\n")
    assert (made.reasons(), made.column("price").to_list()) == ({}, [1.0, None])


def test_times_that_do_not_parse_or_cannot_be_send_their_rows_to_quarantine(line: Make) -> None:
    rows = "at,late,price\nsoon,no,1\n2024-01-01,no,2\n31/31/2024,no,3\n1824-01-01,no,4\n2999-01-01,no,5\n,no,6\n"
    made = line(ORDERS, orders=rows)
    assert made.reasons() == {"time_does_not_parse": 3, "time_is_implausible": 2}
    assert made.column("price").to_list() == [2.0]


def test_no_row_is_lost_on_the_way(line: Make) -> None:
    rows = "at,late,price\n" + "".join(f"2024-01-{d:02},{'yes' if d % 2 else 'no'},{d}\n" for d in range(1, 29))
    made = line(ORDERS, orders=rows + "never,no,1\n")
    assert len(made.cleaned().rows) + len(made.cleaned().rejected) == 29


def test_rows_without_a_key_may_repeat(line: Make) -> None:
    made = line(ORDERS, orders="at,late,price\n" + 3 * "2024-01-01,yes,1\n")
    assert (made.use_case.entity, len(made.cleaned().rows)) == ((), 3)


def test_with_a_key_a_repeated_row_counts_once(line: Make) -> None:
    text = ORDERS.replace("columns:", "key: [id]\n    columns:\n      id: {}")
    made = line(text, orders="id,at,late,price\n" + 2 * "a,2024-01-01,yes,1\n" + "b,2024-01-01,yes,1\n")
    assert (made.reasons(), len(made.cleaned().rows)) == ({"repeated_row": 1}, 2)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ("min: 2", "price_is_out_of_range"),
        ("max: 0.5", "price_is_out_of_range"),
        ("allowed: [2, 3]", "price_is_not_allowed"),
    ],
)
def test_declared_limits_hold(line: Make, limits: str, reason: str) -> None:
    text = ORDERS.replace("type: number", f"type: number, {limits}")
    assert line(text, orders="at,late,price\n2024-01-01,yes,1\n").reasons() == {reason: 1}


def test_a_missing_value_can_be_refused(line: Make) -> None:
    text = ORDERS.replace("type: number", "type: number, nullable: false")
    made = line(text, orders="at,late,price\n2024-01-01,yes,null\n")
    assert (made.reasons(), made.use_case.optional_inputs) == ({"price_is_missing": 1}, ())


def test_an_outcome_that_is_missing_is_no_mistake(line: Make) -> None:
    made = line(ORDERS, orders="at,late,price\n2024-01-01,,1\n2024-01-01,no,1\n")
    rows = made.cleaned().rows
    assert rows["late"].to_list() == [None, 0]
    assert rows["late_known_at"].to_list() == [None, datetime(2024, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("task", "values", "labels", "rejected"),
    [
        ("binary", ["Yes", "0", "maybe"], [1, 0], {"late_is_no_outcome": 1}),
        ("binary, positive: 2", ["2", "2.0", "1"], [1, 1, 0], {}),
        ("multiclass", ["a", " b", "NA"], ["a", "b", None], {}),
        ("regression", ["-1.5", "2", "x"], [-1.5, 2.0], {"late_is_no_number": 1}),
        ("count", ["0", "7.0", "-1", "1.5"], [0, 7], {"late_is_no_count": 2}),
    ],
)
def test_labels_are_what_the_task_needs(
    line: Make, task: str, values: list[str], labels: list[object], rejected: dict[str, int]
) -> None:
    text = ORDERS.replace("task: binary, positive: yes", f"task: {task}")
    rows = "at,late,price\n" + "".join(f"2024-01-01,{v},{n}\n" for n, v in enumerate(values))
    made = line(text, orders=rows)
    assert (made.column("late").to_list(), made.reasons()) == (labels, rejected)


def test_the_time_of_several_columns_is_one_input_in_utc(line: Make) -> None:
    text = """
        source: {uri: stays.csv}
        time: {columns: {year: y, month: m, day: d}, zone: America/New_York}
        partitions: {every: month, start: 2015-07-01}
        key: [hotel, y, m, d]
        target: {column: gone, task: binary}
        columns:
          hotel: {}
    """
    made = line(text, stays="hotel,y,m,d,gone\nA,2015,July,1,1\nA,2015,August,31,0\n")
    assert made.keys() == ["2015-07-01", "2015-08-01"]
    assert made.use_case.entity == ("hotel", "event_time")
    assert made.column("event_time").to_list()[0] == datetime(2015, 7, 1, 4, tzinfo=UTC)


def test_local_days_decide_the_partition(line: Make) -> None:
    text = ORDERS.replace("column: at", "column: at, zone: America/New_York")
    made = line(text, orders="at,late,price\n2024-01-01T23:30:00,yes,1\n2024-01-03T02:00:00Z,no,2\n")
    assert (made.keys(), made.reasons()) == (["2024-01-01", "2024-01-02"], {})


def test_a_lead_that_differs_by_row_is_the_time_of_the_question(line: Make) -> None:
    text = ORDERS + "  lead: {type: integer}\n    predict: {lead: {column: lead, unit: days}, longest: 400d}\n"
    text = text.replace("      price: {type: number}\n  lead", "      price: {type: number}\n      lead")
    made = line(text, orders="at,late,price,lead\n2024-01-09,yes,1,3\n2024-01-09,no,2,-1\n2024-01-09,no,2,\n")
    assert made.reasons() == {"question_has_no_time": 1, "question_is_at_an_impossible_time": 1}
    asked = made.cleaned().rows.select(made.use_case.asking).item()
    assert asked == datetime(2024, 1, 6, tzinfo=UTC)
    assert "lead" not in made.use_case.optional_inputs


def test_the_question_can_be_asked_at_a_time_in_a_column(line: Make) -> None:
    text = """
        source: {uri: orders.csv}
        time: {column: at}
        predict: {at: booked, longest: 30d}
        target: {column: late, task: binary}
        columns:
          booked: {type: time}
    """
    made = line(text, orders="at,late,booked\n2024-01-09,yes,2024-01-02\n2024-01-09,no,2024-01-10\n")
    assert made.reasons() == {"question_is_at_an_impossible_time": 1}
    assert made.cleaned().rows.select(made.use_case.asking).item() == datetime(2024, 1, 2, tzinfo=UTC)


def test_an_outcome_can_have_its_own_clock(line: Make) -> None:
    text = """
        source: {uri: orders.csv}
        time: {column: at}
        target: {column: late, task: binary, known_at: came}
        columns:
          came: {type: time, role: known_later}
    """
    made = line(text, orders="at,late,came\n2024-01-09,yes,2024-02-02\n2024-01-09,no,\n2024-01-09,,\n")
    assert made.use_case.target.known_at == "came"
    assert made.reasons() == {"late_is_known_at_no_time": 1}


def test_further_tables_have_their_own_clocks(line: Make) -> None:
    text = """
        source: {uri: orders.csv}
        time: {column: at}
        target: {column: late, task: binary}
        columns:
          city: {}
        tables:
          cities: {source: {uri: cities.csv}, key: [city], columns: {city: {}, size: {type: integer}}}
          weather:
            source: {uri: weather.csv}
            time: {column: seen}
            key: [city, seen]
            columns: {city: {}, rain: {type: number}}
            available_after: 1h
        features:
          as_is: [city]
          latest:
            - {table: cities, columns: [size], by: [city]}
            - {table: weather, columns: [rain], by: [city], within: 1d}
    """
    made = line(
        text,
        orders="at,late,city\n2024-01-09T10:00,yes,K\n2024-01-09T10:00,no,B\n",
        cities="city,size\nK,5\n",
        weather="city,seen,rain\nK,2024-01-09T08:30,1.5\nK,2024-01-09T09:30,9\nK,2024-01-09T11:00,7\n",
    )
    spine = made.cleaned().rows.select(*made.use_case.inputs, made.use_case.asking.alias("prediction_time"))
    built = made.use_case.build_features(spine, made.history())
    # Half past nine is an hour under way at ten.
    assert built.sort("city").select("cities_size_latest", "weather_rain_latest").rows() == [(None, None), (5.0, 1.5)]
    assert made.use_case.table("cities").is_partitioned is False
    assert isinstance(made.use_case.table("weather").cleaned_columns["seen"].dtype, pl.Datetime)
