"""The point-in-time functions against slow versions that look at one row after the other, and their refusals."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.logic.asof_index import FEW_ROWS
from assets.logic.point_in_time import Clock, History

UTC_TIME = pl.Datetime("us", "UTC")
START = datetime(2020, 3, 1, tzinfo=UTC)
Row = dict[str, Any]

# Orders are known in advance, what became of them is not. Readings are known some time after they were taken.
ORDERS = {
    "due_at": UTC_TIME,
    "shop": pl.String(),
    "item": pl.Int32(),
    "pieces": pl.Int16(),
    "done_at": UTC_TIME,
    "is_bad": pl.Boolean(),
    "dropped_at": UTC_TIME,
}
ORDERS_CLOCK = Clock(
    event_time="due_at",
    known_at_by_column={"done_at": "done_at", "is_bad": "done_at", "dropped_at": "dropped_at"},
    available_after=timedelta(minutes=2),
)
READINGS = {"shop": pl.String(), "taken_at": UTC_TIME, "known_at": UTC_TIME, "value": pl.Int64()}
READINGS_CLOCK = Clock(event_time="taken_at", known_at="known_at", available_after=timedelta(minutes=3))
SPINE = {"prediction_time": UTC_TIME, "due_at": UTC_TIME, "shop": pl.String(), "item": pl.Int64()}

SEEDED = settings(max_examples=120, derandomize=True, deadline=None)
SEEDED_FEW = settings(SEEDED, max_examples=40)  # these ask every kind of question, some once per row
# Few values, so that ties, repeated groups and exact boundaries are the rule, and mostly not null, so that rows meet.
instants = st.integers(0, 20).map(lambda minute: START + timedelta(minutes=minute))
maybe_instants = st.sampled_from([*range(15), None]).map(lambda m: m if m is None else START + timedelta(minutes=m))
shops = st.sampled_from(["a", "a", "a", "b", None])
items = st.sampled_from([1, 1, 2, None])
lengths = st.integers(1, 12).map(lambda minute: timedelta(minutes=minute))


def rows_of(least: int, most: int, **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.fixed_dictionaries(columns), min_size=least, max_size=most)


orders = rows_of(
    8,
    16,
    due_at=instants,
    shop=shops,
    item=items,
    pieces=st.sampled_from([-2, 0, 1, 3, None]),
    done_at=maybe_instants,
    is_bad=st.sampled_from([True, True, False, None]),
    dropped_at=maybe_instants,
)
readings = rows_of(8, 16, shop=shops, taken_at=maybe_instants, known_at=maybe_instants, value=st.integers(0, 3))
asked_shops = st.sampled_from(["a", "a", "b", "unseen", None])
spines = rows_of(4, 8, prediction_time=instants, due_at=instants, shop=asked_shops, item=items)


def history(order_rows: Sequence[Row] = (), reading_rows: Sequence[Row] = ()) -> History:
    return History(
        {"orders": pl.DataFrame(order_rows, schema=ORDERS), "readings": pl.DataFrame(reading_rows, schema=READINGS)},
        {"orders": ORDERS_CLOCK, "readings": READINGS_CLOCK},
    )


def spine_of(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SPINE)


def is_same_group(row: Row, asked: Row, by: Sequence[str]) -> bool:
    return all(row[key] is not None and row[key] == asked[key] for key in by)


def slow_window(
    table: Sequence[Row],
    spine: Sequence[Row],
    *,
    clock: str,
    by: Sequence[str],
    since: timedelta,
    delay: timedelta,
    value: Callable[[Row], int | None],
    until: timedelta = timedelta(0),
    counts: Callable[[Row], bool | None] = bool,
    at: str = "prediction_time",
) -> list[tuple[int, int]]:
    answers = []
    for asked in spine:
        inside = [
            row
            for row in table
            if row[clock] is not None
            and asked[at] - since < row[clock] + delay <= asked[at] + until
            and is_same_group(row, asked, by)
            and counts(row)
        ]
        answers.append((len(inside), sum(value(row) or 0 for row in inside)))
    return answers


groupings = st.sampled_from([[], ["shop"], ["shop", "item"]])


@SEEDED
@given(orders, spines, groupings, lengths)
def test_a_window_over_outcomes_is_what_the_slow_version_counts(
    table: list[Row], asked: list[Row], by: list[str], since: timedelta
) -> None:
    found = history(table).window(
        spine_of(asked), table="orders", clock="done_at", by=by, since=since, sums={"bad": pl.col("is_bad")}
    )
    slow = slow_window(
        table, asked, clock="done_at", by=by, since=since, delay=timedelta(minutes=2), value=lambda row: row["is_bad"]
    )
    assert found.rows() == slow


@SEEDED
@given(orders, spines, groupings, lengths, st.integers(-3, 9))
def test_a_window_over_a_schedule_may_look_ahead_and_is_not_delayed(
    table: list[Row], asked: list[Row], by: list[str], since: timedelta, ahead: int
) -> None:
    until = max(timedelta(minutes=ahead), timedelta(minutes=1) - since)
    found = history(table).window(
        spine_of(asked),
        table="orders",
        clock="due_at",
        by=by,
        since=since,
        until=until,
        sums={"pieces": pl.col("pieces")},
        where=pl.col("pieces") > 0,
        at="due_at",
    )
    slow = slow_window(
        table,
        asked,
        clock="due_at",
        by=by,
        since=since,
        until=until,
        delay=timedelta(0),
        value=lambda row: row["pieces"],
        counts=lambda row: row["pieces"] is not None and row["pieces"] > 0,
        at="due_at",
    )
    assert found.rows() == slow


@SEEDED
@given(orders, spines, groupings, lengths)
def test_pending_is_what_has_opened_and_is_not_known_to_have_ended(
    table: list[Row], asked: list[Row], by: list[str], within: timedelta
) -> None:
    found = history(table).pending(
        spine_of(asked),
        table="orders",
        opened="due_at",
        closed=["done_at", "dropped_at"],
        by=by,
        within=within,
        sums={"pieces": pl.col("pieces")},
    )
    delay = timedelta(minutes=2)
    for i, question in enumerate(asked):
        at = question["prediction_time"]
        open_rows = [
            row
            for row in table
            if at - within < row["due_at"] <= at
            and not any(row[end] is not None and row[end] + delay <= at for end in ("done_at", "dropped_at"))
            and is_same_group(row, question, by)
        ]
        assert found["count"][i] == len(open_rows)
        assert found["pieces"][i] == sum(row["pieces"] or 0 for row in open_rows)


@SEEDED
@given(readings, spines, st.none() | lengths)
def test_latest_is_the_greatest_event_time_among_the_rows_known_when_asked(
    table: list[Row], asked: list[Row], tolerance: timedelta | None
) -> None:
    found = history(reading_rows=table).latest(
        spine_of(asked), table="readings", by=["shop"], columns=["taken_at", "value"], tolerance=tolerance
    )
    delay = timedelta(minutes=3)
    for question, answer in zip(asked, found.rows(), strict=True):
        at = question["prediction_time"]
        known = [
            row
            for row in table
            if row["taken_at"] is not None
            and row["known_at"] is not None
            and row["known_at"] + delay <= at
            and is_same_group(row, question, ["shop"])
        ]
        best = max(known, key=lambda row: (row["taken_at"], row["known_at"], row["value"]), default=None)
        if best is None or (tolerance is not None and at - best["taken_at"] > tolerance):
            assert answer == (None, None)
        else:
            assert answer == (best["taken_at"], best["value"])


@SEEDED
@given(orders, spines, st.none() | lengths)
def test_latest_before_a_date_shows_an_outcome_only_once_it_is_known(
    table: list[Row], asked: list[Row], tolerance: timedelta | None
) -> None:
    columns = ["due_at", "pieces", "done_at"]
    found = history(table).latest(
        spine_of(asked), table="orders", by=["shop"], columns=columns, before="due_at", tolerance=tolerance
    )
    for question, answer in zip(asked, found.rows(), strict=True):
        earlier = [
            row for row in table if row["due_at"] < question["due_at"] and is_same_group(row, question, ["shop"])
        ]
        # Of rows equal in time, the greatest by what is known with the row, nulls first; never by the outcome.
        best = max(
            earlier,
            key=lambda row: (row["due_at"], (row["item"] is not None, row["item"]), _none_first(row["pieces"])),
            default=None,
        )
        if best is None or (tolerance is not None and question["due_at"] - best["due_at"] > tolerance):
            assert answer == (None, None, None)
            continue
        assert answer[:2] == (best["due_at"], best["pieces"])
        tied = [
            row["done_at"] for row in earlier if all(row[c] == best[c] for c in ("due_at", "shop", "item", "pieces"))
        ]
        at = question["prediction_time"] - timedelta(minutes=2)
        assert answer[2] in [done if done is not None and done <= at else None for done in tied]


def _none_first(value: int | None) -> tuple[bool, int]:
    return (value is not None, value or 0)


@SEEDED
@given(orders, readings, instants, maybe_instants, maybe_instants)
def test_a_cut_keeps_exactly_what_was_known(
    order_rows: list[Row], reading_rows: list[Row], at: datetime, since: datetime | None, until: datetime | None
) -> None:
    def is_dated_inside(instant: datetime | None) -> bool:
        return instant is None or ((since is None or instant >= since) and (until is None or instant <= until))

    found = history(order_rows, reading_rows).cut(at, since, until)
    kept = [row for row in order_rows if is_dated_inside(row["due_at"])]
    waits_for = {"done_at": "done_at", "is_bad": "done_at", "dropped_at": "dropped_at"}
    assert found.tables["orders"].rows(named=True) == [
        row
        | {
            column: row[column] if row[clock] is not None and row[clock] + timedelta(minutes=2) <= at else None
            for column, clock in waits_for.items()
        }
        for row in kept
    ]
    assert found.tables["readings"].rows(named=True) == [
        row
        for row in reading_rows
        if row["known_at"] is not None
        and row["known_at"] + timedelta(minutes=3) <= at
        and is_dated_inside(row["taken_at"])
    ]


def every_answer(known: History, spine: pl.DataFrame) -> pl.DataFrame:
    """All kinds of questions about one spine, side by side."""
    since, sums = timedelta(minutes=9), {"bad": pl.col("is_bad")}
    done = known.window(spine, table="orders", clock="done_at", by=["shop", "item"], since=since, sums=sums)
    due = known.window(spine, table="orders", clock="due_at", by=["item"], since=since, until=since, at="due_at")
    pending = known.pending(spine, table="orders", opened="due_at", closed=["done_at"], by=["shop"], within=since)
    order = known.latest(
        spine, table="orders", by=["shop"], columns=["due_at", "item", "pieces"], before="due_at", tolerance=since
    )
    reading = known.latest(spine, table="readings", by=["shop"], columns=["taken_at", "value"])
    parts = [done, due, pl.DataFrame(pending), order, reading]
    named = [part.rename({c: f"{c}_{i}" for c in part.columns}) for i, part in enumerate(parts)]
    return pl.concat(named, how="horizontal")


@SEEDED_FEW
@given(orders, readings, spines)
def test_no_answer_changes_when_the_future_is_cut_off(
    order_rows: list[Row], reading_rows: list[Row], asked: list[Row]
) -> None:
    spine, known = spine_of(asked), history(order_rows, reading_rows)
    answers = every_answer(known, spine)
    for i, question in enumerate(asked):
        assert every_answer(known.cut(question["prediction_time"]), spine[i : i + 1]).equals(answers[i : i + 1])


@SEEDED_FEW
@given(orders, readings, spines, st.randoms(use_true_random=False))
def test_no_answer_depends_on_the_order_of_the_rows(
    order_rows: list[Row], reading_rows: list[Row], asked: list[Row], random: Random
) -> None:
    answers = every_answer(history(order_rows, reading_rows), spine_of(asked))
    shuffled = history(random.sample(order_rows, len(order_rows)), random.sample(reading_rows, len(reading_rows)))
    assert every_answer(shuffled, spine_of(asked)).equals(answers)


def many_orders(rows: int, seed: int = 7) -> list[Row]:
    draw = np.random.default_rng(seed)
    due = [START + timedelta(minutes=int(m)) for m in np.sort(draw.integers(0, 10 * 1440, rows))]
    return [
        {
            "due_at": at,
            "shop": str(draw.choice(["a", "b", "c"])),
            "item": int(draw.integers(0, 4)),
            "pieces": int(draw.integers(0, 5)),
            "done_at": at + timedelta(minutes=int(draw.integers(-5, 300))),
            "is_bad": bool(draw.random() < 0.3),
            "dropped_at": None,
        }
        for at in due
    ]


def as_spine(rows: Sequence[Row]) -> pl.DataFrame:
    return spine_of(
        [{**{k: row[k] for k in ("due_at", "shop", "item")}, "prediction_time": row["due_at"]} for row in rows]
    )


def test_day_by_day_gives_the_bits_of_the_whole_range() -> None:
    rows = many_orders(1500)
    whole = every_answer(history(rows), as_spine(rows))
    days = []
    for day in range(10):
        begin = START + timedelta(days=day)
        landed = [row for row in rows if begin - timedelta(days=2) <= row["due_at"] < begin + timedelta(days=1)]
        today = [row for row in landed if row["due_at"] >= begin]
        # The questions look ahead in the schedule, but not into the next day.
        days.append(every_answer(history(landed), as_spine(today)).drop("count_1"))
    assert pl.concat(days).equals(whole.drop("count_1"))


def test_a_row_asked_alone_gets_the_answer_it_gets_among_many() -> None:
    rows = many_orders(FEW_ROWS * 2)
    known, spine = history(rows), as_spine(rows)
    alone = [every_answer(known, spine[i : i + 1]) for i in range(0, len(rows), 16)]
    assert pl.concat(alone).equals(every_answer(known, spine).gather_every(16))


def test_many_threads_get_the_answer_of_one() -> None:
    rows = many_orders(400)
    spine = as_spine(rows)
    answer = every_answer(history(rows), spine)
    shared = history(rows)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: every_answer(shared, spine), range(16)))
    assert all(one.equals(answer) for one in answers)


def test_empty_tables_have_no_events_and_no_rows() -> None:
    answers = every_answer(history(), as_spine(many_orders(3)))
    assert answers.select("count_0", "bad_0", "count_1", "count_2").rows() == [(0, 0, 0, 0)] * 3
    assert answers.select("pieces_3", "value_4").rows() == [(None, None)] * 3


def test_no_questions_have_no_answers() -> None:
    assert every_answer(history(many_orders(3)), spine_of([])).height == 0


def test_several_lengths_at_once_are_the_single_windows() -> None:
    rows = many_orders(300)
    known, spine = history(rows), as_spine(rows)
    wanted = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
    several = known.windows(spine, table="orders", clock="done_at", by=["shop"], since=wanted)
    for name, since in wanted.items():
        single = known.window(spine, table="orders", clock="done_at", by=["shop"], since=since)
        assert pl.DataFrame(several[name]).equals(single)


def test_more_groups_than_sixteen_bits_count_are_kept_apart() -> None:
    table = [{"due_at": START, "item": item, "shop": "a"} for item in range(2**16 + 500)]
    asked = spine_of([{"prediction_time": START, **row} for row in table])
    found = history(table).window(asked, table="orders", clock="due_at", by=["item"], since=timedelta(hours=1))
    assert (found["count"] == 1).all()


def test_centuries_and_many_groups_do_not_overflow() -> None:
    rows = [
        {"due_at": datetime(1800 + i % 400, 1, 1, tzinfo=UTC), "item": i, "shop": "a"} for i in range(0, 400_000, 1_000)
    ]
    asked = [{"prediction_time": datetime(2199, 6, 1, tzinfo=UTC), **row} for row in rows]
    found = history(rows).window(
        spine_of(asked), table="orders", clock="due_at", by=["item"], since=timedelta(days=400 * 366)
    )
    assert found["count"].to_list() == [1] * len(rows)


@pytest.mark.parametrize(("too_old", "item"), [(timedelta(0), 1), (timedelta(microseconds=1), None)])
def test_a_tolerance_holds_to_the_microsecond(too_old: timedelta, item: int | None) -> None:
    known = history([{"due_at": START - timedelta(minutes=5) - too_old, "shop": "a", "item": 1}])
    asked = spine_of([{"prediction_time": START, "due_at": START, "shop": "a"}])
    found = known.latest(
        asked, table="orders", by=["shop"], columns=["item"], before="due_at", tolerance=timedelta(minutes=5)
    )
    assert found["item"].to_list() == [item]


def test_a_register_is_joined_as_it_stands() -> None:
    plants = pl.DataFrame({"shop": ["a", "b"], "city": ["Ulm", None]})
    known = History({"plants": plants}, {"plants": Clock()})
    asked = spine_of([{"prediction_time": START, "due_at": START, "shop": shop} for shop in ("b", "a", "unseen", None)])
    assert known.latest(asked, table="plants", by=["shop"], columns=["city"])["city"].to_list() == [
        None,
        "Ulm",
        None,
        None,
    ]


def test_a_clock_is_known_at_the_time_it_tells_even_if_that_is_not_declared() -> None:
    clock = Clock(event_time="due_at", known_at_by_column={"is_bad": "done_at"}, available_after=timedelta(minutes=2))
    row = {"due_at": START, "done_at": START + timedelta(minutes=5), "is_bad": True, "shop": "a"}
    known = History({"orders": pl.DataFrame([row], schema=ORDERS)}, {"orders": clock})
    assert known.cut(START + timedelta(minutes=6)).tables["orders"]["done_at"].to_list() == [None]
    with pytest.raises(ValueError, match="looks ahead"):
        known.window(
            spine_of([]), table="orders", clock="done_at", by=[], since=timedelta(1), until=timedelta(minutes=1)
        )


ASK: dict[str, Any] = {"table": "orders", "clock": "done_at", "by": [], "since": timedelta(hours=1)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"until": timedelta(minutes=1)}, "until=0:01:00 looks ahead, and 'done_at'"),
        (
            {"clock": "due_at", "sums": {"bad": pl.col("is_bad")}},
            "'is_bad' is known at 'done_at', which is not the clock",
        ),
        ({"clock": "due_at", "where": pl.col("is_bad")}, "'is_bad' is known at 'done_at'"),
        ({"clock": "dropped_at", "by": ["is_bad"]}, "'is_bad' is known at 'done_at'"),
        ({"table": "readings", "clock": "taken_at"}, "rows are known at 'known_at', so the clock cannot be 'taken_at'"),
        ({"sums": {"pieces": pl.col("pieces") / 2}}, "sum 'pieces' is Float64; scale, round and cast"),
        ({"sums": {"count": pl.col("pieces")}}, "'count' is the number of events"),
        ({"sums": {"next": pl.col("pieces").shift(-1)}}, "read no row but its own"),
        ({"sums": {"all": pl.sum_horizontal(pl.all())}}, "must name its columns"),
        ({"where": pl.col("pieces")}, "`where` must be boolean"),
        ({"since": timedelta(0)}, "are empty"),
        ({"at": "due_at"}, "at='due_at' is later than 'prediction_time'"),
        ({"at": "nowhere"}, "need a column 'nowhere' without nulls"),
        ({"table": "nothing"}, "'nothing' is not in this history; it holds"),
        ({"by": ["pieces"]}, "group column 'pieces' is Int16 in the table but None"),
        ({"by": ["due_at", "shop"], "clock": "due_at", "table": "readings"}, "rows are known at 'known_at'"),
    ],
)
def test_a_window_that_would_see_too_much_is_refused(changes: dict[str, Any], message: str) -> None:
    spine = spine_of([{"prediction_time": START, "due_at": START + timedelta(hours=2), "shop": "a", "item": 1}])
    with pytest.raises(ValueError, match=message):
        history(many_orders(3)).window(spine, **(ASK | changes))


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"table": "orders", "columns": ["pieces"]}, "needs `before`"),
        ({"table": "readings", "columns": ["value"], "before": "due_at"}, "no other takes it"),
        ({"table": "plants", "columns": ["city"], "tolerance": timedelta(1)}, "has no event time"),
        ({"table": "orders", "columns": ["is_bad"], "before": "due_at", "at": "due_at"}, "is later than"),
    ],
)
def test_an_as_of_join_that_would_see_too_much_is_refused(question: dict[str, Any], message: str) -> None:
    tables = history(many_orders(3)).tables | {"plants": pl.DataFrame({"shop": ["a"], "city": ["Ulm"]})}
    known = History(tables, {"orders": ORDERS_CLOCK, "readings": READINGS_CLOCK, "plants": Clock()})
    spine = spine_of([{"prediction_time": START, "due_at": START + timedelta(hours=2), "shop": "a", "item": 1}])
    with pytest.raises(ValueError, match=message):
        known.latest(spine, by=["shop"], **question)


def test_groups_of_another_type_are_refused() -> None:
    spine = spine_of([{"prediction_time": START, "due_at": START}]).with_columns(shop=pl.lit(1))
    with pytest.raises(ValueError, match="'shop' is String in the table but Int32"):
        history(many_orders(3)).window(spine, **(ASK | {"by": ["shop"]}))


def test_a_table_without_its_clock_column_is_refused() -> None:
    with pytest.raises(ValueError, match="table 'readings': clock column 'known_at' must be Datetime"):
        History({"readings": pl.DataFrame({"taken_at": [START]})}, {"readings": READINGS_CLOCK})


def test_a_table_without_a_clock_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tables \['plants'\] have no clock"):
        History({"plants": pl.DataFrame({"shop": ["a"]})}, {})


def test_a_cut_at_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="with a time zone"):
        history().cut(datetime(2020, 3, 1))  # noqa: DTZ001
