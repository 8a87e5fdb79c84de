"""Every question over a table that records come in to, against the same question over the rows that hold."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.logic.live_history import LiveHistory
from assets.logic.live_upserts import Upserts
from assets.logic.point_in_time import History
from tests.assets.logic.test_point_in_time import (
    ORDERS,
    ORDERS_CLOCK,
    READINGS,
    READINGS_CLOCK,
    SEEDED_FEW,
    START,
    Row,
    every_answer,
    instants,
    items,
    maybe_instants,
    rows_of,
    shops,
    spine_of,
    spines,
)

SCHEMAS: dict[str, dict[str, Any]] = {
    "orders": {"number": pl.Int64(), **ORDERS},
    "readings": {"number": pl.Int64(), **READINGS},
}
CLOCKS = {"orders": ORDERS_CLOCK, "readings": READINGS_CLOCK}
KEYS = {"orders": ["number"], "readings": ["number"]}
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
numbers, stated = st.integers(0, 9), st.integers(1, 3).map(lambda s: LONG_AGO + timedelta(seconds=s))
orders = rows_of(
    0,
    12,
    number=numbers,
    due_at=instants,
    shop=shops,
    item=items,
    pieces=st.sampled_from([-2, 0, 1, None]),
    done_at=maybe_instants,
    is_bad=st.sampled_from([True, False, None]),
    dropped_at=maybe_instants,
)
readings = rows_of(
    0, 12, number=numbers, shop=shops, taken_at=maybe_instants, known_at=maybe_instants, value=st.integers(0, 3)
)


def frame(table: str, rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMAS[table], orient="row")


def once_each(rows: list[Row]) -> list[Row]:
    return [*{row["number"]: row for row in rows}.values()]


def known(order_rows: list[Row], reading_rows: list[Row] | None = None) -> LiveHistory:
    tables = {"orders": frame("orders", order_rows), "readings": frame("readings", reading_rows or [])}
    return LiveHistory(tables, CLOCKS, keys=KEYS, as_of=LONG_AGO)


def order(number: int, **values: object) -> Row:
    empty = dict.fromkeys(SCHEMAS["orders"])
    return empty | {"number": number, "due_at": START, "shop": "a", "item": 1, "pieces": 1} | values


def holds(table: str, base: list[Row], records: list[tuple[Row, datetime]]) -> pl.DataFrame:
    def rank(record: tuple[Row, datetime]) -> tuple[Any, ...]:
        row, as_of = record
        when = row["known_at"] if table == "readings" else None
        values = [row[name] for name in SCHEMAS[table]]
        known_values = sum(value is not None for value in values)
        return (when is not None, when), known_values, as_of, [(value is not None, value) for value in values]

    best: dict[int, tuple[Row, datetime]] = {}
    for record in [*((row, LONG_AGO) for row in base), *records]:
        now = best.get(record[0]["number"])
        if now is None or rank(now) < rank(record):
            best[record[0]["number"]] = record
    return frame(table, [row for row, _ in best.values()])


@SEEDED_FEW
@given(orders, orders, readings, readings, spines, st.lists(stated, min_size=24, max_size=24), st.booleans())
def test_every_question_is_answered_as_over_the_rows_that_hold(
    base: list[Row],
    later: list[Row],
    read: list[Row],
    reported: list[Row],
    asked: list[Row],
    times: list[datetime],
    is_compacted: bool,
) -> None:
    base, read, spine = once_each(base), once_each(read), spine_of(asked)
    records = {
        "orders": [*zip(later, times, strict=False)],
        "readings": [*zip(reported, reversed(times), strict=False)],
    }
    live = known(base, read)
    every_answer(live.history, spine)
    for table, observed in records.items():
        for row, as_of in observed:
            live.observe(table, frame(table, [row]), as_of=as_of)
    if is_compacted:
        live.compact()
    tables = {
        "orders": holds("orders", base, records["orders"]),
        "readings": holds("readings", read, records["readings"]),
    }
    expected = every_answer(History(tables, CLOCKS), spine)
    assert every_answer(live.history, spine).equals(expected)
    for i in range(len(asked)):
        assert every_answer(live.history, spine[i : i + 1]).equals(expected[i : i + 1])


def total(history: History, at: timedelta = timedelta(hours=1)) -> int:
    spine = spine_of([{"prediction_time": START + at, "due_at": START + at, "shop": "a", "item": 1}])
    found = history.windows(
        spine,
        table="orders",
        clock="due_at",
        by=["shop"],
        since={"day": timedelta(days=1)},
        sums={"n": pl.col("pieces")},
    )
    return int(found["day"]["n"][0])


def test_a_history_once_taken_never_changes() -> None:
    live = known([order(1, pieces=1)])
    before = live.history
    live.observe("orders", frame("orders", [order(2, pieces=10)]), as_of=START)
    assert (total(before), total(live.history)) == (1, 11)


def test_the_same_record_again_changes_nothing() -> None:
    live = known([order(1)])
    first = live.observe("orders", frame("orders", [order(1), order(2)]), as_of=START)
    again = live.observe("orders", frame("orders", [order(1), order(2)]), as_of=START)
    assert (first.changed, again.changed, live.generation, live.rows_observed, live.rows_changed) == (1, 0, 1, 4, 1)


def test_what_knows_less_does_not_undo_what_knows_more() -> None:
    live = known([])
    live.observe("orders", frame("orders", [order(1, pieces=5, done_at=START)]), as_of=START)
    late = live.observe("orders", frame("orders", [order(1, pieces=7)]), as_of=START + timedelta(days=1))
    assert (late.changed, total(live.history)) == (0, 5)


def test_of_records_that_know_equally_much_the_one_stated_later_holds() -> None:
    live = known([order(1, pieces=1)])
    live.observe("orders", frame("orders", [order(1, pieces=3)]), as_of=START + timedelta(seconds=2))
    live.observe("orders", frame("orders", [order(1, pieces=2)]), as_of=START + timedelta(seconds=1))
    assert total(live.history) == 3


def test_what_was_stated_before_the_tables_were_read_does_not_replace_them() -> None:
    live = known([order(1, pieces=1)])
    live.observe("orders", frame("orders", [order(1, pieces=3)]), as_of=LONG_AGO - timedelta(seconds=1))
    assert total(live.history) == 1


def test_a_record_stated_again_holds_against_one_stated_in_between() -> None:
    live = known([])
    for pieces, second in ((1, 1), (1, 3), (2, 2)):
        record = frame("orders", [order(1, pieces=pieces)])
        live.observe("orders", record, as_of=START + timedelta(seconds=second))
    assert total(live.history) == 1


def test_a_batch_is_seen_as_a_whole_while_it_comes_in() -> None:
    live = known([])
    seen: set[int] = set()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            seen.add(total(live.history))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(0, 60, 3):
        rows = frame("orders", [order(number + i, pieces=value) for i, value in enumerate((1, 10, 100))])
        live.observe("orders", rows, as_of=START)
        if number % 12 == 0:
            live.compact()
    is_over.set()
    reader.join()
    assert {n % 111 for n in seen} == {0}
    assert total(live.history) == 20 * 111


def test_records_that_come_in_during_a_compaction_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    live, compacted = known([order(1, pieces=1)]), Upserts.compacted
    live.observe("orders", frame("orders", [order(2, pieces=10)]), as_of=START)

    def meanwhile(self: Upserts, keep_since: datetime | None) -> Upserts:
        if self.name == "orders":
            live.observe(
                "orders", frame("orders", [order(2, pieces=20), order(3, pieces=100)]), as_of=START + timedelta(1)
            )
        return compacted(self, keep_since)

    monkeypatch.setattr(Upserts, "compacted", meanwhile)
    live.compact()
    assert total(live.history) == 121


def test_compacting_leaves_nothing_to_compact_and_drops_what_is_too_old() -> None:
    old = order(1, due_at=START - timedelta(hours=5), done_at=START - timedelta(hours=4))
    told_late = order(2, due_at=START - timedelta(hours=5), done_at=START - timedelta(hours=1))
    live = known([old, told_late])
    live.observe("orders", frame("orders", [order(3)]), as_of=START)
    assert live.rows_uncompacted == 1
    live.compact(keep_since=START - timedelta(hours=2))
    assert live.rows_uncompacted == 0
    assert sorted(live.history.tables["orders"]["number"]) == [2, 3]


def test_a_table_without_a_key_takes_every_other_record_once() -> None:
    row = order(1, pieces=5)
    tables = {"orders": frame("orders", [row, row])}
    live = LiveHistory(tables, CLOCKS, keys={"orders": []}, as_of=LONG_AGO)
    live.observe("orders", frame("orders", [row, order(1, pieces=6)]), as_of=START)
    assert sorted(live.history.tables["orders"]["pieces"]) == [5, 5, 6]


def test_where_a_row_landed_decides_nothing() -> None:
    landed = frame("orders", [order(1, pieces=1)]).with_columns(partition_key=pl.lit("2020-03-01"))
    live = LiveHistory({"orders": landed}, CLOCKS, keys=KEYS, as_of=LONG_AGO)
    same = live.observe("orders", frame("orders", [order(1, pieces=1)]), as_of=START)
    newer = live.observe("orders", frame("orders", [order(1, pieces=2)]), as_of=START)
    assert (same.changed, newer.changed, total(live.history)) == (0, 1, 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (frame("orders", [order(1) | {"number": None}]), r"key columns \['number'\] of observed rows hold nulls"),
        (frame("orders", [order(1)]).drop("pieces"), "other columns or types than declared: {'pieces': 'None'}"),
        (frame("orders", [order(1)]).cast({"pieces": pl.Int64}), "'pieces': 'Int64'"),
    ],
)
def test_of_a_batch_with_records_of_another_form_nothing_is_taken(rows: pl.DataFrame, message: str) -> None:
    live = known([order(1)])
    good = frame("readings", [dict.fromkeys(SCHEMAS["readings"]) | {"number": 1}])
    with pytest.raises(ValueError, match=message):
        live.observe_batch({"readings": good, "orders": rows}, as_of=START)
    assert (live.rows_observed, len(live.history.tables["readings"])) == (0, 0)


def test_records_of_a_table_that_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tables \['parcels'\] are not in this history"):
        known([]).observe("parcels", pl.DataFrame(), as_of=START)
