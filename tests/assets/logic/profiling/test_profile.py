from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from assets.logic.profiling.labels import TargetError
from assets.logic.profiling.profile import TableError, profile
from tests.assets.logic.profiling.example_tables import hours, text

R = np.random.default_rng(3)
N = 600
TIME = hours(N)
TABLE = pl.DataFrame(
    {
        "at": TIME.dt.strftime("%Y-%m-%d %H:%M"),
        "station": text([f"s{v}" for v in R.integers(0, 4, N)]),
        "level": text(R.normal(size=N)),
        "Outcome Class": text(R.choice(["low", "middle", "high"], N)),
    }
)


def target_of(values: list[object], task: str | None = None) -> object:
    frame = pl.DataFrame({"x": [1] * len(values), "y": values}, strict=False)
    return profile(frame, "y", hours(len(values)), task=task).target  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("binary", ["won", "lost", None] * 20),
        ("binary", [0, 1] * 20),
        ("multiclass", ["a", "b", "c"] * 20),
        ("multiclass", [1, 2, 3, 4, 5] * 20),
        ("count", [0, 0, 0, 1, 1, 2, 7] * 20),
        ("count", ["0", "0", "1", "3", "NA"] * 20),
        ("regression", [0.5, 1.5, 2.25] * 20),
        ("regression", list(range(300, 900))),
        ("regression", ["12.5", "13", "-1"] * 20),
    ],
)
def test_the_task_is_inferred_from_the_values(task: str, values: list[object]) -> None:
    assert target_of(values).task == task  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([None, "NA", ""], None, "empty in all 3 rows"),
        (["yes", "yes", None], None, "is 'yes' wherever it is known"),
        (["a", "b", "c"], "binary", "a binary task needs 2"),
        (["a", "b", "c"], "regression", "a regression needs numbers"),
        ([1, 2, -3], "count", "choose regression"),
    ],
)
def test_a_target_that_nothing_can_be_learnt_from_is_refused_in_a_sentence(
    values: list[object], task: str | None, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        target_of(values, task)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("outcome_class", "did you mean 'Outcome Class'"),
        ("class", "did you mean 'Outcome Class'"),
        ("zzz", "it has 'at', 'station', 'level', 'Outcome Class'"),
    ],
)
def test_a_wrong_target_name_is_answered_with_near_ones(wrong: str, hint: str) -> None:
    with pytest.raises(TargetError, match=hint):
        profile(TABLE, wrong)


def test_classes_that_come_late_and_rare_ones_are_said() -> None:
    kinds = np.where(np.arange(N) > 550, "new", R.choice(["a", "b"], N))
    kinds[100] = "one"
    found = profile(TABLE.with_columns(y=text(kinds)), "y", TIME).target
    assert {c.value for c in found.classes if c.is_late} == {"new"}
    assert {c.value for c in found.classes if c.is_rare} == {"new", "one"}
    assert next(c for c in found.classes if c.value == "new").first_seen == TIME[551]
    assert any("'new' first appear(s) in the last third" in note for note in found.notes)


def test_the_value_spelled_as_yes_is_the_positive_one_and_else_the_rarer() -> None:
    assert target_of(["no", "yes", "yes"]).positive == "yes"  # type: ignore[attr-defined]
    assert target_of(["kept", "left", "kept"]).positive == "left"  # type: ignore[attr-defined]
    assert target_of([0.0, 1.0, 1.0]).positive == "1"  # type: ignore[attr-defined]


def test_labels_missing_at_the_end_are_a_delay() -> None:
    label = pl.Series([None if i >= N - 48 else "ab"[i % 2] for i in range(N)])
    found = profile(TABLE.with_columns(y=label), "y", TIME).target
    assert (found.gaps, found.missing, found.label_delay) == ("at_the_end", 48, timedelta(hours=48))


def test_labels_missing_throughout_are_unknown_outcomes() -> None:
    label = pl.Series([None if i % 10 == 0 else "ab"[i % 2] for i in range(N)])
    found = profile(TABLE.with_columns(y=label), "y", TIME).target
    assert (found.gaps, found.label_delay) == ("throughout", None)


def test_a_few_texts_in_a_target_of_numbers_are_named_and_count_as_missing() -> None:
    found = target_of([*[f"{v:.2f}" for v in R.normal(size=97)], "void", "void", "?"])
    assert (found.task, found.missing, found.misfits) == ("regression", 3, ("void",))  # type: ignore[attr-defined]


def test_five_rows_are_profiled_and_said_to_be_too_few() -> None:
    found = profile(TABLE.head(5), "Outcome Class", TIME.head(5))
    assert found.notes[0] == "5 rows are too few to train and judge a model; everything else works."
    assert len(found.columns) == 4


def test_no_rows_are_an_error() -> None:
    with pytest.raises(TableError, match="a header and no rows"):
        profile(TABLE.head(0), "level")


def test_the_smallest_key_is_found_and_the_target_is_never_part_of_it() -> None:
    two = pl.concat([TABLE.with_columns(station=pl.lit(s)) for s in ("north", "south")])
    found = profile(two.with_columns(y=text(np.arange(2 * N) * 1.5)), "y", time_columns=["at"])
    assert found.key.columns == ("at", "station")


def test_a_unique_measurement_is_no_key() -> None:
    frame = pl.DataFrame({"x": text(np.arange(N) / 7), "y": text(np.arange(N) % 2)})
    assert profile(frame, "y").key.columns == ()


def test_repeated_rows_without_a_key_are_counted_and_kept() -> None:
    rows = TABLE.select("station", "Outcome Class")
    found = profile(rows, "Outcome Class").key
    assert (found.columns, found.repeated_rows) == ((), N - 12)
    assert "all are kept" in found.sentence


def test_repeated_rows_do_not_make_a_key_of_what_is_left() -> None:
    found = profile(pl.concat([TABLE, TABLE.head(3)]), "Outcome Class", time_columns=["at"]).key
    assert (found.columns, found.repeated_rows) == ((), 3)


def test_repeated_rows_with_an_id_are_copies_of_one_row() -> None:
    numbered = TABLE.with_columns(order_id=text([f"o{i:06d}x" for i in R.permutation(N)]))
    found = profile(pl.concat([numbered, numbered.head(3)]), "Outcome Class").key
    assert (found.columns, found.repeated_rows) == (("order_id",), 3)


def test_constant_and_empty_columns_are_named() -> None:
    frame = TABLE.with_columns(k=pl.lit("same"), e=pl.lit("NULL"))
    notes = profile(frame, "level").notes
    assert notes == ("1 column(s) hold one value only: 'k'.", "1 column(s) are empty: 'e'.")


def test_5_000_columns_are_profiled_with_advice() -> None:
    wide = pl.DataFrame(R.normal(size=(50, 5_000)).round(2)).with_columns(y=text(np.arange(50) % 2))
    found = profile(wide, "y")
    assert len(found.columns) == 5_001
    assert any("5,001 columns: name those you need" in note for note in found.notes)


def test_times_are_said_in_utc() -> None:
    found = profile(TABLE, "Outcome Class", TIME).target
    assert min(c.first_seen for c in found.classes if c.first_seen) == datetime(2022, 1, 3, tzinfo=UTC)
