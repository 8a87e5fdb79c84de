"""From one target state to the next: what is live, beside and before, and what is refused."""

from datetime import UTC, datetime

import pytest

from resources.errors import EndpointError
from resources.serving.rollout import (
    Cause,
    begin,
    called_off,
    finished,
    refreshed,
    rolled_back,
    step_on,
    unrefreshed,
)
from resources.serving.states import Mode, Plan, State, Target, from_json, to_json

CAUSE = Cause(at=datetime(2026, 3, 1, 12, tzinfo=UTC), by="a test", reason="because")
DIGEST = "0123456789abcdef"
CANARY = Plan(mode="canary", steps=(0.1, 0.5, 1.0))


def target(number: int, online: str = DIGEST) -> Target:
    return Target(number=number, model=f"{number}-{DIGEST}", online=online, requested_at=str(number))


def canary() -> State:
    """Version 3 live, 2 before it, 4 beside it at its first step."""
    return begin(State(live=target(3), previous=target(2)), target(4), CANARY, CAUSE)


def standing(state: State) -> tuple[int, int | None, int | None]:
    """Numbers of the versions that are live, beside and before."""
    return (
        state.live.number,
        None if state.beside is None else state.beside.target.number,
        None if state.previous is None else state.previous.number,
    )


def test_an_immediate_version_is_live_and_the_one_before_it_is_kept() -> None:
    assert standing(begin(State(live=target(3)), target(4), Plan(), CAUSE)) == (4, None, 3)


@pytest.mark.parametrize("plan", [Plan(), CANARY, Plan(mode="shadow"), Plan(mode="ab")])
def test_a_first_version_is_live_at_once(plan: Plan) -> None:
    assert standing(begin(None, target(1), plan, CAUSE)) == (1, None, None)


@pytest.mark.parametrize(("mode", "share"), [("canary", 0.05), ("shadow", 1.0), ("ab", 0.5)])
def test_a_rollout_begins_beside_the_live_version(mode: Mode, share: float) -> None:
    state = begin(State(live=target(3), previous=target(2)), target(4), Plan(mode=mode), CAUSE)
    assert standing(state) == (3, 4, 2)
    assert state.beside is not None
    assert state.beside.share == share


def test_two_rollouts_of_the_same_version_try_other_entities() -> None:
    first, second = canary().beside, canary().beside
    assert first is not None
    assert second is not None
    assert first.salt != second.salt


def test_a_canary_grows_by_its_steps_and_is_then_live() -> None:
    second = step_on(canary(), CAUSE)
    assert second.beside is not None
    assert (standing(second), second.beside.share) == ((3, 4, 2), 0.5)
    assert standing(step_on(second, CAUSE)) == (4, None, 3)


def test_a_step_keeps_the_salt() -> None:
    first = canary()
    second = step_on(first, CAUSE)
    assert first.beside is not None
    assert second.beside is not None
    assert first.beside.salt == second.beside.salt


def test_a_rollout_that_is_rolled_back_leaves_what_was_there() -> None:
    assert standing(rolled_back(canary(), CAUSE)) == (3, None, 2)


def test_without_a_rollout_the_version_before_is_live_again() -> None:
    assert standing(rolled_back(State(live=target(3), previous=target(2)), CAUSE)) == (2, None, None)


def test_going_back_twice_does_not_bring_the_bad_version_back() -> None:
    once = rolled_back(State(live=target(3), previous=target(2)), CAUSE)
    with pytest.raises(EndpointError, match="no version to go back to: version 2 is the only one"):
        rolled_back(once, CAUSE)


def test_a_second_rollout_is_refused_and_names_the_first() -> None:
    with pytest.raises(EndpointError, match=r"the canary rollout of version 4 is under way since 2026-03-01.* at 10%"):
        begin(canary(), target(5), CANARY, CAUSE)


def test_an_immediate_version_is_refused_during_a_rollout_as_well() -> None:
    with pytest.raises(EndpointError, match="rollout of version 4 is under way"):
        begin(canary(), target(5), Plan(), CAUSE)


def test_a_rollout_may_replace_another_if_it_says_so() -> None:
    assert standing(begin(canary(), target(5), CANARY, CAUSE, is_replacing=True)) == (3, 5, 2)


def test_newer_history_for_the_live_model_leaves_the_rest_as_it_is() -> None:
    newer = target(3, online="f" * 16)
    state = begin(canary(), newer, CANARY, CAUSE)
    assert (standing(state), state.live) == ((3, 4, 2), newer)


def test_newer_history_for_the_model_beside_leaves_its_step() -> None:
    newer, second = target(4, online="f" * 16), step_on(canary(), CAUSE)
    state = begin(second, newer, CANARY, CAUSE)
    assert state.beside is not None
    assert second.beside is not None
    assert (state.beside.target, state.beside.step, state.beside.id) == (newer, 1, second.beside.id)


def test_a_rollout_may_be_finished_at_any_step() -> None:
    assert standing(finished(canary(), CAUSE)) == (4, None, 3)


def test_only_a_canary_has_a_next_step() -> None:
    with pytest.raises(EndpointError, match="no canary is under way"):
        step_on(begin(State(live=target(3)), target(4), Plan(mode="ab"), CAUSE), CAUSE)


def test_a_version_that_did_not_go_live_is_called_off() -> None:
    before = State(live=target(3), previous=target(2))
    after = called_off(begin(before, target(4), Plan(), CAUSE), target(4), before, CAUSE)
    assert after is not None
    assert standing(after) == (3, None, 2)


def test_what_was_asked_for_since_is_not_called_off() -> None:
    before = State(live=target(3))
    since = begin(begin(before, target(4), Plan(), CAUSE), target(5), Plan(), CAUSE)
    assert called_off(since, target(4), before, CAUSE) == since


def test_a_canary_that_did_not_load_is_called_off() -> None:
    state = called_off(canary(), target(4), None, CAUSE)
    assert state is not None
    assert (standing(state), state.event and state.event.change) == ((3, None, 2), "called off")


def test_a_first_version_that_did_not_go_live_leaves_none() -> None:
    assert called_off(begin(None, target(1), Plan(), CAUSE), target(1), None, CAUSE) is None


def test_an_event_says_what_was_live_before_and_after_at_what_share_and_why() -> None:
    event = step_on(step_on(canary(), CAUSE), CAUSE).event
    assert event is not None
    assert (event.change, event.from_version, event.to_version, event.version) == ("finished", 3, 4, 4)
    assert (event.beside, event.share, event.mode, event.reason, event.by) == (None, 1.0, "canary", "because", "a test")
    assert (event.revision, event.at) == (3, "2026-03-01T12:00:00+00:00")


@pytest.mark.parametrize("state", [State(live=target(3)), canary(), rolled_back(canary(), CAUSE)])
def test_a_state_is_the_same_after_a_way_through_json(state: State) -> None:
    assert from_json(to_json(state)) == state


@pytest.mark.parametrize(
    ("mode", "steps"),
    [
        ("canary", (0.05, 0.25)), ("canary", (0.5, 0.25, 1.0)), ("canary", (0.0, 1.0)), ("canary", (1.0,)),
        ("canary", (0.5, 2.0)), ("ab", (0.1, 0.5)), ("sideways", ()),
    ],
)  # fmt: skip
def test_steps_that_cannot_be_gone_are_refused(mode: Mode, steps: tuple[float, ...]) -> None:
    with pytest.raises(EndpointError, match=r"steps|share|mode"):
        Plan(mode=mode, steps=steps)


def test_a_newer_history_is_for_all_versions_that_answer() -> None:
    before, after = canary(), refreshed(canary(), "f" * 16, CAUSE)
    assert standing(after) == standing(before)
    assert after.beside is not None
    assert {after.live.online, after.beside.target.online} == {"f" * 16}
    assert after.previous == before.previous


def test_the_history_that_is_there_changes_nothing() -> None:
    before = canary()
    assert refreshed(before, DIGEST, CAUSE) is before


def test_a_newer_history_can_be_taken_back_and_the_rollout_goes_on() -> None:
    before = canary()
    after = unrefreshed(step_on(refreshed(before, "f" * 16, CAUSE), CAUSE), before, CAUSE)
    assert after.live == before.live
    assert after.beside is not None
    assert before.beside is not None
    assert (after.beside.target, after.beside.step) == (before.beside.target, 1)


def test_a_newer_history_is_not_taken_back_from_another_version() -> None:
    moved_on = finished(refreshed(canary(), "f" * 16, CAUSE), CAUSE)
    assert unrefreshed(moved_on, canary(), CAUSE) is moved_on
