from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from assets.logic.profiling.labels import TargetError
from assets.logic.profiling.leaks import find_leaks
from assets.logic.profiling.suspicions import LeakWarning
from tests.assets.logic.profiling.example_tables import (
    TASKS,
    Landed,
    honest,
    hours,
    late_times,
    leak,
    ranks,
    table_of,
    text,
)

HONEST_TABLES = 120
FALSE_WARNINGS = 1 / 20
KINDS = {
    "binary": ["copy", "recoded", "other_units", "with_a_unit", "noisy", "flipped", "with_gaps", "filled_after"],
    "multiclass": ["copy", "recoded", "other_units", "noisy", "flipped", "with_gaps", "piece"],
    "regression": ["copy", "other_units", "with_a_unit", "noisy", "flipped", "with_gaps", "filled_after"],
    "count": ["copy", "recoded", "other_units", "with_a_unit", "noisy", "flipped", "with_gaps", "filled_after"],
}
EVERYWHERE = ["id_by_outcome", "closed_at"]


def found(table: Landed, **columns: pl.Series) -> list[LeakWarning]:
    times = {name: s for name, s in columns.items() if s.dtype.is_temporal()}
    landed = table.frame.with_columns(
        **{n: s.dt.strftime("%d/%m/%Y %I:%M %p") if n in times else s for n, s in columns.items()}
    )
    return find_leaks(landed, table.target, table.task, table.event_time, times=times, except_for=["happened_at"])


def test_honest_tables_raise_a_false_warning_in_at_most_one_of_twenty() -> None:
    # 120 tables: a rate of 1 in 20 is 6, and a finder that errs in 1 of 10 would stay below 7 with 2 % probability.
    warned = [seed for seed in range(HONEST_TABLES) if found(honest(seed))]
    assert len(warned) <= FALSE_WARNINGS * HONEST_TABLES


@pytest.mark.parametrize(("task", "kind"), [(t, k) for t in TASKS for k in [*KINDS[t], *EVERYWHERE]])
def test_a_planted_leak_is_named_first(task: str, kind: str) -> None:
    table = table_of(task)
    planted = late_times(table) if kind == "closed_at" else leak(kind, table)
    assert [w.column for w in found(table, known_after=planted)][:1] == ["known_after"]


@pytest.mark.parametrize("task", TASKS)
def test_the_same_tables_are_honest_without_the_leak(task: str) -> None:
    assert found(table_of(task)) == []


def test_several_leaks_in_one_table_are_all_named() -> None:
    table = table_of("binary")
    planted = {kind: leak(kind, table) for kind in ("noisy", "flipped", "with_gaps", "filled_after", "id_by_outcome")}
    assert {w.column for w in found(table, **planted)} == set(planted)


def test_a_column_filled_in_a_few_cases_of_one_outcome_only_is_named() -> None:
    table = table_of("binary")
    r = np.random.default_rng(1)
    refund = text(np.where((table.outcome == 1) & (r.random(2_000) < 0.3), 5.0, np.nan))
    (warning,) = found(table, refund=refund)
    assert (warning.column, warning.kind) == ("refund", "filled_after")
    assert "where it is filled, the outcome is 'yes' in 100.0%" in warning.sentence


def test_messy_times_after_the_question_are_told_with_their_share() -> None:
    table = table_of("regression")
    r = np.random.default_rng(2)
    late = r.random(2_000) < 0.25
    seen = pl.Series(
        [t + timedelta(minutes=5 if is_late else -50) for t, is_late in zip(table.event_time, late, strict=True)]
    )
    (warning,) = found(table, seen_at=seen)
    assert (warning.kind, warning.evidence) == ("later_than_question", pytest.approx(late.mean()))
    assert f"{late.mean():.1%} of the rows" in warning.sentence


def test_times_before_the_question_are_honest_and_a_lead_moves_the_question() -> None:
    table = table_of("count")
    booked = table.event_time - timedelta(hours=2)
    assert found(table, booked_at=booked) == []
    asked = table.event_time - timedelta(hours=3)
    frame = table.frame.with_columns(booked_at=booked)
    (warning,) = find_leaks(
        frame, table.target, table.task, table.event_time, asked_at=asked, except_for=["happened_at"]
    )
    assert (warning.column, warning.kind) == ("booked_at", "later_than_question")


@pytest.mark.parametrize("task", TASKS)
def test_a_file_sorted_by_outcome_is_said(task: str) -> None:
    table = table_of(task)
    order = np.argsort(table.outcome, kind="stable")
    frame, time = table.frame[order].drop("row_id"), table.event_time.gather(order)
    numbered = frame.with_columns(serial=text(np.arange(len(frame))))
    warnings = find_leaks(numbered, table.target, table.task, time, except_for=["happened_at"])
    assert {w.column: w.kind for w in warnings} == {"serial": "predicts_target", "": "row_order"}


def test_a_running_number_is_no_leak_because_the_target_has_a_trend() -> None:
    n = 3_000
    r = np.random.default_rng(4)
    growing = np.arange(n) + r.normal(size=n)
    frame = pl.DataFrame(
        {"serial": text(np.arange(n)), "x": text(r.normal(size=n)), "y": text(growing), "copy": text(growing * 2)}
    )
    assert [w.column for w in find_leaks(frame, "y", "regression", hours(n))] == ["copy"]


def test_an_earlier_value_of_a_steady_target_is_named_and_called_honest() -> None:
    n = 3_000
    r = np.random.default_rng(5)
    steady = np.zeros(n)
    for i in range(1, n):
        steady[i] = 0.99 * steady[i - 1] + r.normal()
    frame = pl.DataFrame({"yesterday": text(np.roll(steady, 1)), "x": text(r.normal(size=n)), "y": text(steady)})
    (warning,) = find_leaks(frame, "y", "regression", hours(n))
    assert "an earlier value of the target is honest" in warning.sentence


def test_columns_empty_where_the_label_is_missing_are_named() -> None:
    table = table_of("binary")
    unknown = np.arange(2_000) % 10 == 0
    target = pl.Series(np.where(unknown, "NA", table.frame[table.target].to_numpy()), dtype=pl.String)
    closed_by = pl.Series(np.where(unknown, "", "clerk"), dtype=pl.String)
    (warning,) = found(
        Landed(table.frame, table.target, "binary", table.event_time, table.outcome),
        outcome=target,
        closed_by=closed_by,
    )
    assert (warning.column, warning.kind) == ("closed_by", "filled_with_target")


def test_rows_missing_everywhere_are_an_outage_and_no_leak() -> None:
    table = table_of("regression")
    out = np.arange(2_000) % 20 == 0
    frame = table.frame.with_columns(
        pl.when(pl.Series(~out)).then(pl.exclude("happened_at")).otherwise(pl.lit("")).name.keep()
    )
    assert find_leaks(frame, table.target, "regression", table.event_time, except_for=["happened_at"]) == []


def test_a_rank_of_the_outcome_among_100_000_categories_is_named_and_the_categories_are_not() -> None:
    n = 200_000
    r = np.random.default_rng(6)
    y = r.normal(size=n)
    frame = pl.DataFrame(
        {
            "many": text([f"v{v}" for v in r.integers(0, 100_000, n)]),
            "bucket": text(np.floor(ranks(y) * 40)),
            "y": text(y),
        }
    )
    assert [w.column for w in find_leaks(frame, "y", "regression", hours(n))] == ["bucket"]


def test_five_rows_are_too_few_to_accuse_a_column() -> None:
    frame = pl.DataFrame({"copy": ["a", "b", "a", "b", "a"], "y": ["1", "0", "1", "0", "1"]})
    assert find_leaks(frame, "y", "binary", hours(5)) == []


def test_chance_among_1_000_columns_of_a_short_table_accuses_none() -> None:
    r = np.random.default_rng(9)
    frame = pl.DataFrame(r.normal(size=(60, 1_000)).round(3)).with_columns(y=text(np.arange(60) % 7 == 0))
    assert find_leaks(frame, "y", "binary", hours(60)) == []


def test_constant_empty_and_nested_columns_are_no_obstacle() -> None:
    n = 100
    frame = pl.DataFrame({"k": ["x"] * n, "e": ["NULL"] * n, "n": [[1, 2]] * n, "y": ["a", "b"] * (n // 2)})
    assert find_leaks(frame, "y", "binary", hours(n)) == []


def test_a_table_without_a_time_is_judged_in_the_order_of_its_rows() -> None:
    table = table_of("binary")
    frame = table.frame.with_columns(copy=text(table.outcome))
    no_time = pl.Series([None] * 2_000, dtype=pl.Datetime("us", "UTC"))
    assert [w.column for w in find_leaks(frame, table.target, "binary", no_time)] == ["copy"]


def test_a_target_that_is_not_there_is_an_error_with_the_near_name() -> None:
    table = table_of("binary")
    with pytest.raises(TargetError, match="did you mean 'outcome'"):
        find_leaks(table.frame, "outcom", "binary", table.event_time)


def test_a_leak_among_5_000_columns_is_named_alone() -> None:
    n = 400
    r = np.random.default_rng(7)
    values = r.normal(size=(n, 5_000)).round(3)
    y = r.random(n) < 0.4
    frame = pl.DataFrame({f"c{i}": values[:, i] for i in range(5_000)}).with_columns(
        leak=pl.Series(y.astype(float) + r.normal(size=n) * 0.1), y=text(y)
    )
    assert [w.column for w in find_leaks(frame, "y", "binary", hours(n))] == ["leak"]
