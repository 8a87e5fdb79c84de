"""How a declared use case rolls its champions out, and what answers may do to its labels."""

import pytest

from assets.policies import RolloutPolicy
from pipelines.declared.build import load_use_case
from pipelines.declared.reading import DeclaredError
from pipelines.declared.schema_rollout import Rollout
from tests.pipelines.declared.conftest import Declare

ORDERS = """
source: {uri: orders.csv}
time: {column: at, zone: UTC}
key: [number]
target: {column: returned, task: binary, known_after: 7d, influenced_by_answers: explored}
columns:
  number: {type: text}
"""


def test_all_of_a_rollout_can_be_said(declare: Declare) -> None:
    said = (
        "rollout: {mode: canary, steps: [0.1, 1.0], guardrails: {errors: 0.02, step_rows: 50}, advance: orchestrator}\n"
    )
    made = load_use_case(declare(ORDERS + said)).rollout
    assert (made.mode, made.steps, made.advance) == ("canary", (0.1, 1.0), "orchestrator")
    assert (made.guardrails.errors, made.guardrails.step_rows) == (0.02, 50)


def test_a_rollout_of_which_nothing_is_said_is_that_of_python(declare: Declare) -> None:
    assert load_use_case(declare(ORDERS)).rollout == RolloutPolicy()


def test_what_can_be_said_is_what_a_rollout_holds() -> None:
    said, made = Rollout(), RolloutPolicy()
    assert said.model_dump().keys() == vars(made).keys()
    assert said.guardrails.model_dump() == vars(made.guardrails)


def test_a_rollout_that_cannot_be_is_refused_at_its_line(declare: Declare) -> None:
    with pytest.raises(DeclaredError, match=r"use_case\.yaml:\d+ field rollout.*steps"):
        load_use_case(declare(ORDERS + "rollout: {mode: canary, steps: [0.5, 0.2]}\n"))


def test_whether_answers_change_outcomes_can_be_said(declare: Declare) -> None:
    assert load_use_case(declare(ORDERS)).target.influenced_by_answers == "explored"
