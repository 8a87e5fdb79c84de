"""Typing and quarantine: what refuses a file, what sets a row aside, and that no row is lost or doubled."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.contracts import Column, Rule
from assets.logic.intake import IntakeError, quarantine, typed

COLUMNS = {
    "id": Column(dtype=pl.Int32(), description="Identifier."),
    "at": Column(dtype=pl.Datetime("us", "UTC"), description="Instant."),
    "amount": Column(dtype=pl.Float64(), description="Amount.", unit="EUR"),
    "note": Column(dtype=pl.String(), description="Free text."),
}
TOO_MUCH = Rule(name="too_much", description="Above 100.", rejects=pl.col("amount") > 100)
NEGATIVE = Rule(name="negative", description="Below 0.", rejects=pl.col("amount") < 0)


def landed(**changes: list[str | None]) -> pl.LazyFrame:
    """Three good rows as they land, text only, with columns replaced by `changes`."""
    columns: dict[str, list[str | None]] = {
        "id": ["1", "2", "3"],
        "at": ["2024-01-01T10:00:00Z"] * 3,
        "amount": ["1.5", None, "3"],
        "note": ["a", "b", None],
    }
    return pl.LazyFrame(columns | changes, schema_overrides=dict.fromkeys(changes, pl.String))


def rows(*amounts: tuple[int | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame(amounts, schema={"id": pl.Int32(), "amount": pl.Float64()}, orient="row")


def test_landed_text_becomes_the_declared_types() -> None:
    frame = typed(landed(), COLUMNS, "orders.csv")
    assert dict(frame.schema) == {name: column.dtype for name, column in COLUMNS.items()}
    assert frame.row(0) == (1, datetime(2024, 1, 1, 10, tzinfo=UTC), 1.5, "a")


def test_a_missing_value_stays_missing() -> None:
    assert typed(landed(), COLUMNS, "orders.csv")["amount"].to_list() == [1.5, None, 3.0]


def test_columns_come_out_in_the_declared_order() -> None:
    shuffled = landed().select("note", "amount", "id", "at")
    assert typed(shuffled, COLUMNS, "orders.csv").columns == list(COLUMNS)


def test_a_renamed_column_is_refused_by_both_names() -> None:
    with pytest.raises(IntakeError, match=r"orders\.csv.*missing: \['amount'\].*not declared: \['Amount'\]"):
        typed(landed().rename({"amount": "Amount"}), COLUMNS, "orders.csv")


def test_an_extra_column_is_refused_by_name() -> None:
    with pytest.raises(IntakeError, match=r"not declared: \['surprise'\]"):
        typed(landed().with_columns(surprise=pl.lit("x")), COLUMNS, "orders.csv")


def test_a_wrong_type_is_refused_with_row_and_value() -> None:
    with pytest.raises(IntakeError, match=r"orders\.csv.*'id' has 1 value\(s\) that are no Int32 \(row 2: 'two'\)"):
        typed(landed(id=["1", "two", "3"]), COLUMNS, "orders.csv")


def test_all_faults_of_a_file_are_told_at_once() -> None:
    with pytest.raises(IntakeError, match=r"row 3: 'x'.*row 1: 'noon'"):
        typed(landed(id=["1", "2", "x"], at=["noon", None, None]), COLUMNS, "orders.csv")


@pytest.mark.parametrize("text", ["1.0", "1e3", " 1", "99999999999", "0x1", ""])
def test_a_text_that_is_not_exactly_the_number_is_refused(text: str) -> None:
    with pytest.raises(IntakeError, match="Int32"):
        typed(landed(id=[text, "2", "3"]), COLUMNS, "orders.csv")


@pytest.mark.parametrize("text", ["NaN", "inf", "-inf"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(IntakeError, match="Float64"):
        typed(landed(amount=[text, "2", "3"]), COLUMNS, "orders.csv")


def test_an_instant_with_an_offset_is_converted() -> None:
    frame = typed(landed(at=["2024-01-01T10:00:00+02:00"] * 3), COLUMNS, "orders.csv")
    assert frame["at"][0] == datetime(2024, 1, 1, 8, tzinfo=UTC)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(IntakeError, match="2024-01-01T10:00:00"):
        typed(landed(at=["2024-01-01T10:00:00"] * 3), COLUMNS, "orders.csv")


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("2024-02-29", pl.Date(), date(2024, 2, 29)),
        ("2024-02-29T07:30:00", pl.Datetime("us"), datetime(2024, 2, 29, 7, 30)),  # noqa: DTZ001  # local on purpose
        ("True", pl.Boolean(), True),
        ("0", pl.Boolean(), False),
        ("007", pl.String(), "007"),
    ],
)
def test_other_declared_types_are_parsed(text: str, dtype: pl.DataType, value: object) -> None:
    columns = {"x": Column(dtype=dtype, description="X.")}
    assert typed(pl.LazyFrame({"x": [text]}), columns, "x.csv").item() == value


@pytest.mark.parametrize(("text", "dtype"), [("2024-02-30", pl.Date()), ("maybe", pl.Boolean())])
def test_what_is_no_date_or_boolean_is_refused(text: str, dtype: pl.DataType) -> None:
    with pytest.raises(IntakeError, match=text):
        typed(pl.LazyFrame({"x": [text]}), {"x": Column(dtype=dtype, description="X.")}, "x.csv")


def test_typed_input_that_fits_is_narrowed() -> None:
    frame = pl.LazyFrame({"x": pl.Series([1, None, 3], dtype=pl.Int64)})
    assert typed(frame, {"x": Column(dtype=pl.Int8(), description="X.")}, "x.parquet")["x"].to_list() == [1, None, 3]


@pytest.mark.parametrize("values", [[1.5], [1e9]])
def test_typed_input_that_would_be_cut_is_refused(values: list[float]) -> None:
    with pytest.raises(IntakeError, match="row 1"):
        typed(pl.LazyFrame({"x": values}), {"x": Column(dtype=pl.Int8(), description="X.")}, "x.parquet")


def test_a_missing_value_in_a_required_column_is_refused_with_its_row() -> None:
    columns = COLUMNS | {"id": Column(dtype=pl.Int32(), description="Identifier.", nullable=False)}
    with pytest.raises(IntakeError, match=r"'id' is declared without missing values but has 1 \(row 3\)"):
        typed(landed(id=["1", "2", None]), columns, "orders.csv")


def test_a_file_with_a_header_only_has_no_rows_and_all_types() -> None:
    frame = typed(landed().head(0), COLUMNS, "orders.csv")
    assert (len(frame), dict(frame.schema)) == (0, {name: column.dtype for name, column in COLUMNS.items()})


def test_a_rejected_row_carries_the_name_of_its_rule() -> None:
    split = quarantine(rows((1, 5), (2, 500)), [TOO_MUCH], ["id"])
    assert split.rejected.rows() == [(2, 500.0, "too_much")]


def test_the_first_rule_that_rejects_gives_the_reason() -> None:
    odd = Rule(name="odd", description="Odd.", rejects=pl.col("id") % 2 == 1)
    assert quarantine(rows((1, 500)), [odd, TOO_MUCH], ["id"]).rejected["reason"].to_list() == ["odd"]


def test_a_rule_that_knows_nothing_rejects_nothing() -> None:
    assert len(quarantine(rows((1, None)), [TOO_MUCH, NEGATIVE], ["id"]).valid) == 1


def test_a_row_without_its_key_is_set_aside() -> None:
    split = quarantine(rows((None, 5), (1, 5)), [TOO_MUCH], ["id"])
    assert split.rejected["reason"].to_list() == ["missing_key"]


def test_one_of_several_equal_rows_is_kept() -> None:
    split = quarantine(rows((1, 5), (1, 5), (1, 5)), [], ["id"])
    assert (split.valid.rows(), split.rejected["reason"].to_list()) == ([(1, 5.0)], ["repeated_row"] * 2)


def test_equal_rows_with_missing_values_are_equal() -> None:
    split = quarantine(rows((1, None), (1, None)), [], ["id"])
    assert (len(split.valid), split.rejected["reason"].to_list()) == (1, ["repeated_row"])


def test_a_file_that_holds_its_content_twice_yields_each_row_once() -> None:
    once = rows((1, 5), (2, 500), (3, None))
    split = quarantine(pl.concat([once, once]), [TOO_MUCH], ["id"])
    assert split.valid.equals(quarantine(once, [TOO_MUCH], ["id"]).valid)


def test_rows_that_contradict_each_other_are_all_set_aside() -> None:
    split = quarantine(rows((1, 5), (1, 6), (2, 7)), [], ["id"])
    assert (split.valid.rows(), split.rejected["reason"].to_list()) == ([(2, 7.0)], ["conflicting_key"] * 2)


def test_a_broken_copy_does_not_take_the_good_row_with_it() -> None:
    split = quarantine(rows((1, 500), (1, 5)), [TOO_MUCH], ["id"])
    assert (split.valid.rows(), split.rejected["reason"].to_list()) == ([(1, 5.0)], ["too_much"])


def test_a_broken_row_that_repeats_is_broken_each_time() -> None:
    split = quarantine(rows((1, 500), (1, 500)), [TOO_MUCH], ["id"])
    assert split.rejected["reason"].to_list() == ["too_much"] * 2


def test_rows_of_a_table_without_a_key_may_repeat() -> None:
    assert len(quarantine(rows((1, 5), (1, 5)), [], []).valid) == 2


def test_ten_of_ten_rows_can_be_rejected() -> None:
    split = quarantine(rows(*((i, 500.0) for i in range(10))), [TOO_MUCH], ["id"])
    assert (len(split.valid), len(split.rejected)) == (0, 10)


def test_a_column_named_reason_is_refused() -> None:
    with pytest.raises(IntakeError, match="'reason'"):
        quarantine(rows((1, 5)).with_columns(reason=pl.lit("x")), [], ["id"])


def test_an_unknown_key_column_is_refused() -> None:
    with pytest.raises(IntakeError, match=r"\['day'\]"):
        quarantine(rows((1, 5)), [], ["id", "day"])


FRAMES = st.lists(
    st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from([-1.0, 5.0, 500.0])), max_size=20
).map(lambda drawn: rows(*drawn))


@given(frame=FRAMES, key=st.sampled_from([(), ("id",), ("id", "amount")]))
def test_every_row_is_in_exactly_one_frame(frame: pl.DataFrame, key: tuple[str, ...]) -> None:
    numbered = frame.with_row_index("row") if not key else frame
    split = quarantine(numbered, [TOO_MUCH, NEGATIVE], list(key))
    both = pl.concat([split.valid, split.rejected.drop("reason")])
    assert len(both) == len(frame)
    assert both.sort(both.columns).equals(numbered.sort(numbered.columns))


@given(frame=FRAMES)
def test_valid_rows_have_distinct_keys_and_no_rule_against_them(frame: pl.DataFrame) -> None:
    valid = quarantine(frame, [TOO_MUCH, NEGATIVE], ["id"]).valid
    assert valid["id"].is_unique().all()
    assert valid["id"].null_count() == 0
    assert valid["amount"].drop_nulls().is_between(0, 100).all()


@given(frame=FRAMES)
def test_quarantine_of_the_valid_rows_rejects_nothing_more(frame: pl.DataFrame) -> None:
    valid = quarantine(frame, [TOO_MUCH], ["id"]).valid
    assert quarantine(valid, [TOO_MUCH], ["id"]).rejected.is_empty()
