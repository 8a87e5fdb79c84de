"""Great Expectations as a gate: verdicts, what was observed, and that nothing passes unseen."""

import polars as pl
import pytest
from great_expectations.expectations.row_conditions import Column

from assets.checks.expectations import NO_ROWS, ExpectationResult, told, validate
from assets.contracts import Expectation

FRAME = pl.DataFrame(
    {"id": [1, 2, 3, 4], "size": [10.0, None, 30.0, 4000.0], "colour": ["red", "blue", "red", "mauve"]},
    schema_overrides={"id": pl.Int32()},
)
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
HAS_ROWS = Expectation(check="there_are_rows", type="expect_table_row_count_to_be_between", arguments={"min_value": 1})
SMALL = Expectation(check="sizes_are_small", type=BETWEEN, arguments={"column": "size", "max_value": 100})
COLOURS = Expectation(
    check="colours_are_known",
    type=IN_SET,
    arguments={"column": "colour", "value_set": ["red", "blue"], "mostly": 0.7},
    severity="warning",
)
UNIQUE = Expectation(
    check="rows_are_unique", type="expect_compound_columns_to_be_unique", arguments={"column_list": ["id", "colour"]}
)
ABSENT = Expectation(check="weights_are_small", type=BETWEEN, arguments={"column": "weight", "max_value": 1})
ALL = [HAS_ROWS, SMALL, COLOURS, UNIQUE]


def one(frame: pl.DataFrame, expectation: Expectation) -> ExpectationResult:
    (result,) = validate(frame, [expectation])
    return result


def test_results_come_in_the_order_of_the_declarations() -> None:
    for order in (ALL, ALL[::-1]):
        assert [r.check for r in validate(FRAME, order)] == [e.check for e in order]


def test_a_table_is_judged_by_each_expectation() -> None:
    assert {r.check: r.passed for r in validate(FRAME, ALL)} == {
        "there_are_rows": True,
        "sizes_are_small": False,
        "colours_are_known": True,
        "rows_are_unique": True,
    }


def test_an_expectation_may_look_at_a_column_that_only_its_condition_names() -> None:
    red = {"row_condition": Column("colour") == "red"}
    reds_are_small = Expectation(check="s", type=BETWEEN, arguments={"column": "size", "max_value": 100, **red})
    assert one(FRAME, reds_are_small).error is None
    assert one(FRAME, reds_are_small).passed


def test_a_result_carries_the_declared_severity() -> None:
    assert [r.severity for r in validate(FRAME, [SMALL, COLOURS])] == ["critical", "warning"]


def test_a_failure_shows_how_many_values_and_which() -> None:
    observed = one(FRAME, SMALL).observed
    assert observed["unexpected_count"] == 1
    assert observed["missing_count"] == 1
    assert observed["unexpected_values"] == "4000.0"


def test_a_failure_says_why_and_a_success_says_nothing() -> None:
    assert one(FRAME, SMALL).why == "1 of 4 values are not as expected, such as 4000.0."
    assert one(FRAME, HAS_ROWS).why is None


def test_a_failure_of_the_whole_table_says_what_was_observed() -> None:
    many = Expectation(check="many", type="expect_table_row_count_to_be_between", arguments={"min_value": 5})
    assert one(FRAME, many).why == "Observed: 4."


def test_an_expectation_is_told_in_words() -> None:
    assert told(SMALL) == (
        "Expect column values to be between: column size, max value 100. Great Expectations, critical."
    )


def test_observed_values_are_plain_python() -> None:
    mean = Expectation(
        check="mean", type="expect_column_mean_to_be_between", arguments={"column": "size", "max_value": 1}
    )
    types = {type(v) for r in validate(FRAME, [*ALL, mean]) for v in r.observed.values()}
    assert types <= {int, float, str, bool}


def test_missing_values_are_counted_and_not_listed() -> None:
    reported = Expectation(
        check="sizes_are_reported", type="expect_column_values_to_not_be_null", arguments={"column": "size"}
    )
    observed = one(FRAME, reported).observed
    assert observed["unexpected_count"] == 1
    assert "unexpected_values" not in observed


def test_an_absent_column_fails_with_the_reason() -> None:
    result = one(FRAME, ABSENT)
    assert not result.passed
    assert "weight" in str(result.error)


def test_an_expectation_that_cannot_be_judged_leaves_the_others_judged() -> None:
    assert [r.passed for r in validate(FRAME, [ABSENT, HAS_ROWS])] == [False, True]


def test_a_table_without_rows_passes_nothing_vacuously() -> None:
    results = validate(FRAME.clear(), ALL)
    assert [r.passed for r in results] == [False] * len(ALL)
    assert [r.error for r in results if r.check != HAS_ROWS.check] == [NO_ROWS] * 3


def test_a_table_without_rows_is_still_counted() -> None:
    assert one(FRAME.clear(), HAS_ROWS).observed["observed_value"] == 0


def test_no_expectations_need_no_library_and_give_no_results() -> None:
    assert validate(FRAME, []) == []


def test_a_type_the_library_does_not_know_is_refused_by_name() -> None:
    nonsense = Expectation(check="nonsense", type="expect_miracles", arguments={})
    with pytest.raises(ValueError, match=r"'nonsense'.*expect_miracles"):
        validate(FRAME, [nonsense])


def test_arguments_the_library_does_not_know_are_refused_by_name() -> None:
    typo = Expectation(check="typo", type=BETWEEN, arguments={"column": "size", "maximum": 1})
    with pytest.raises(ValueError, match=r"'typo'.*maximum"):
        validate(FRAME, [typo])
