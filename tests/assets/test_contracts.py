"""A declaration that cannot work is refused when it is made, by the name of the field."""

from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from typing import Any, get_args

import polars as pl
import pytest

from assets.contracts import Column, Expectation, Rule, SourceTable, Target, UseCase
from assets.logic.metrics import task_metrics
from assets.policies import DeclarationError, PromotionPolicy, RolloutPolicy, Task, TimeSplit
from pipelines.flight_delays.use_case import FLIGHT_DELAYS
from resources.serving.ranges import Range
from resources.serving.states import Plan
from tests.support.toy_use_case import PARCELS, TOY

WISH = Expectation(check="is_fine", type="expect_table_row_count_to_be_between", arguments={"min_value": 1})
RULE = Rule(name="is_fine", description="It is not.", rejects=pl.lit(False))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "toy-case"}, "field name must be a Python identifier"),
        ({"entity_table": "letters"}, r"field entity_table: \['letters'\] is not declared; known are .*'parcels'"),
        ({"entity_table": "storms", "entity": ("shop",), "inputs": ("shop",)}, r"field.* \['came_at'\]|inputs"),
        ({"entity": ("shop", "letter")}, r"field entity: \['letter'\]"),
        ({"inputs": (*TOY.inputs, "colour")}, r"field inputs: \['colour'\]"),
        ({"inputs": tuple(n for n in TOY.inputs if n != "due_at")}, r"entity and event_time of inputs: \['due_at'\]"),
        ({"optional_inputs": ("colour",)}, r"field optional_inputs: \['colour'\]"),
        ({"slices": ("colour",)}, r"field slices: \['colour'\]"),
        ({"baseline_by": ("colour",)}, r"field baseline_by: \['colour'\]"),
        ({"target": replace(TOY.target, known_at="guessed_at")}, r"field target\.known_at: \['guessed_at'\]"),
        ({"trainers": ()}, "field trainers is empty"),
        ({"prediction_lead": timedelta(hours=-1)}, "prediction_lead is negative, so the outcome would be known"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_use_case_that_cannot_work_is_refused_by_field(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        replace(TOY, **changes)


@pytest.mark.parametrize("dtype", [pl.String(), pl.Boolean(), pl.Datetime("us", "UTC")])
def test_a_range_with_bounds_of_what_is_no_number_is_refused(dtype: pl.DataType) -> None:
    with pytest.raises(DeclarationError, match=r"field range: bounds are for numbers, and the column 'When\.' is"):
        Column(dtype=dtype, description="When.", range=Range(lowest=0.0))


def test_an_entity_table_without_event_time_is_refused() -> None:
    timeless = replace(PARCELS, event_time=None)
    with pytest.raises(DeclarationError, match="table 'parcels' is the entity table and needs an event_time"):
        replace(TOY, tables=(timeless, *TOY.tables[1:]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": ("letter",)}, r"table 'parcels', field key: \['letter'\]"),
        ({"event_time": "guessed_at"}, r"fields event_time, known_at: \['guessed_at'\]"),
        ({"known_at": "guessed_at"}, r"fields event_time, known_at: \['guessed_at'\]"),
        ({"rules": (RULE, RULE)}, r"\['is_fine'\] stand twice"),
        ({"rules": (RULE,), "expectations": (WISH,)}, r"\['is_fine'\] stand twice"),
    ],
    ids=["key", "event_time", "known_at", "two rules", "a rule and an expectation"],
)
def test_a_table_that_cannot_work_is_refused_by_field(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        replace(PARCELS, **changes)


def test_a_column_that_waits_for_a_clock_that_is_not_there_is_refused() -> None:
    columns = {**PARCELS.cleaned_columns, "x": Column(dtype=pl.Int8(), description="X.", known_at="guessed_at")}
    with pytest.raises(DeclarationError, match="guessed_at"):
        replace(PARCELS, cleaned_columns=columns)


@pytest.mark.parametrize("field", ["validation", "test"])
def test_a_window_of_less_than_two_days_is_refused(field: str) -> None:
    lengths = {"validation": timedelta(days=7), "test": timedelta(days=7), field: timedelta(days=1)}
    with pytest.raises(DeclarationError, match="at least 2 days"):
        TimeSplit(**lengths)


def test_a_table_that_is_not_declared_is_named_with_those_that_are() -> None:
    with pytest.raises(DeclarationError, match=r"\['letters'\] is not declared; known are \['parcels', 'storms'\]"):
        TOY.table("letters")


def test_names_follow_from_the_declaration_in_its_order() -> None:
    assert TOY.feature_names == [f.name for f in TOY.features]
    assert TOY.categorical == [f.name for f in TOY.features if f.kind == "categorical"]
    assert TOY.slice_columns == [*TOY.inputs, *TOY.feature_names]
    assert TOY.table("parcels") is PARCELS


def test_clocks_are_those_of_the_tables() -> None:
    clock = TOY.clocks["parcels"]
    assert clock.event_time == "due_at"
    assert clock.known_at_by_column == {"came_at": "came_at", "late_min": "came_at"}
    assert clock.available_after == timedelta(minutes=5)


@pytest.mark.parametrize("value", [TOY, PARCELS, TOY.target, TOY.split, TOY.trainers[0], TOY.features[0]])
def test_a_declaration_cannot_be_changed_once_made(value: UseCase | SourceTable | Target | TimeSplit) -> None:
    with pytest.raises(FrozenInstanceError):
        value.name = "other"  # type: ignore[misc,union-attr]


@pytest.mark.parametrize("task", get_args(Task))
def test_every_gate_is_on_by_default(task: Task) -> None:
    policy, limits = PromotionPolicy(), task_metrics(task).limits
    assert {policy.margin, policy.slice_margin, policy.leakage_ceiling, policy.calibration_limit} == {None}
    assert limits.margin.over(100.0, 100.0) is not None
    assert limits.slice_margin.over(100.0, 100.0) is not None
    assert 0.5 < limits.leakage_ceiling < 1
    assert 0 < limits.calibration_limit <= 0.1
    assert policy.confidence >= 0.9
    assert policy.minimum_rows >= 1_000


def test_the_flights_are_declared_without_contradiction() -> None:
    assert replace(FLIGHT_DELAYS) == FLIGHT_DELAYS


def test_a_rollout_that_cannot_be_gone_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"rollout: a canary begins with a share and ends with 1\.0"):
        RolloutPolicy(mode="canary", steps=(0.05, 0.25))


def test_a_use_case_that_says_nothing_has_its_champion_live_at_once() -> None:
    assert TOY.rollout.plan == Plan(mode="immediate")
