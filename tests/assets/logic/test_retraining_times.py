"""A clock that jumps and returns shortens no cool-down and no budget, whichever way it jumped."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.automation import RetrainingPolicy
from assets.logic.retraining import Evidence, PastDecision, decide
from assets.logic.retraining_times import earliest_begin, latest_possible

NOW = datetime(2013, 9, 14, 6, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
YEAR = 365 * DAY
POLICY = RetrainingPolicy(cool_down=3 * DAY, per_week=2)


@pytest.mark.parametrize(
    ("recorded", "latest"),
    [
        # In order: as recorded.
        ([NOW - 3 * DAY, NOW - DAY, NOW - DAY, NOW], [NOW - 3 * DAY, NOW - DAY, NOW - DAY, NOW]),
        # Ahead and returned: by the next one, or by now.
        ([NOW - 3 * DAY, NOW + YEAR, NOW - DAY], [NOW - 3 * DAY, NOW - DAY, NOW - DAY]),
        ([NOW - 3 * DAY, NOW + YEAR], [NOW - 3 * DAY, NOW]),
        # Back and returned: what was before stays, what was made meanwhile counts as the next one.
        ([NOW - DAY, NOW - YEAR, NOW - HOUR], [NOW - DAY, NOW - HOUR, NOW - HOUR]),
        ([NOW - DAY, NOW - YEAR], [NOW - DAY, NOW]),
        # Ahead, then back, and returned.
        ([NOW - DAY, NOW + YEAR, NOW - YEAR, NOW - HOUR], [NOW - DAY, NOW - HOUR, NOW - HOUR, NOW - HOUR]),
    ],
)
def test_what_a_jumping_clock_recorded_counts_as_late_as_it_can_have_been(
    recorded: list[datetime], latest: list[datetime]
) -> None:
    assert latest_possible(recorded, NOW) == latest


def row(at: datetime, answer: str = "retrain") -> PastDecision:
    return PastDecision(
        id=f"{answer} at {at}",
        decided_at=at,
        answer=answer,  # type: ignore[arg-type]
        triggers=("age",),
        evidence_ids=(f"age/{at}",),
        not_before=None,
        run_status="succeeded" if answer == "retrain" else "none",
    )


@pytest.mark.parametrize(
    ("history", "begins"),
    [
        # The clock went back a year, evidence of the future made a row, and it returned.
        ([row(NOW - DAY), row(NOW - YEAR, "no")], NOW + 2 * DAY),
        # It went ahead a year, a row was made, and it returned.
        ([row(NOW - DAY), row(NOW + YEAR, "no")], NOW + 2 * DAY),
        # Both, in either order.
        ([row(NOW - DAY), row(NOW + YEAR, "no"), row(NOW - YEAR, "no")], NOW + 2 * DAY),
        ([row(NOW - DAY), row(NOW - YEAR, "no"), row(NOW + YEAR, "no")], NOW + 2 * DAY),
        # The retraining itself began while the clock was wrong; it may have been just now.
        ([row(NOW - DAY, "no"), row(NOW - YEAR)], NOW + 3 * DAY),
        ([row(NOW - DAY, "no"), row(NOW + YEAR)], NOW + 3 * DAY),
        ([row(NOW - DAY, "no"), row(NOW + YEAR), row(NOW - YEAR, "no")], NOW + 3 * DAY),
    ],
)
def test_after_a_clock_has_returned_the_cool_down_holds(history: list[PastDecision], begins: datetime) -> None:
    decision = decide([drift(NOW)], history, POLICY, NOW)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", begins)


def test_a_retraining_that_a_wrong_clock_dated_is_told_to_be_so() -> None:
    decision = decide([drift(NOW)], [row(NOW - DAY, "no"), row(NOW - YEAR)], POLICY, NOW)
    assert decision is not None
    assert "The clock was set back" in " ".join(decision.reasons)


def drift(at: datetime) -> Evidence:
    return Evidence(trigger="drift", id="drift/a", fired=True, why="The weather drifted.", observed_at=at)


# From here on: any record, any jumps.


@dataclass(frozen=True)
class Jumps:
    """When things truly happened, and what a clock that jumped and returned put on record for them."""

    true: tuple[datetime, ...]
    recorded: tuple[datetime, ...]
    now: datetime


@st.composite
def jumps(draw: st.DrawFn) -> Jumps:
    """Up to three stretches of rows under a wrong clock; the first row and the present are under a right one.

    A clock that is back is so by more than the time since the last row under a right one: less leaves no trace.
    """
    hours = list(accumulate(draw(st.lists(st.integers(0, 100), min_size=2, max_size=14))))
    true = [NOW + hour * HOUR for hour in hours]
    recorded = list(true)
    for place in sorted(draw(st.sets(st.integers(1, len(true) - 1), max_size=3))):
        last_right = max(n for n in range(place) if recorded[n] == true[n])
        end = draw(st.integers(place + 1, len(true)))
        far = draw(st.integers(1, 3000)) * HOUR
        is_ahead = draw(st.booleans())
        shift = far if is_ahead else -far - (true[end - 1] - true[last_right])
        recorded[place:end] = [at + shift for at in true[place:end]]
    return Jumps(true=tuple(true), recorded=tuple(recorded), now=true[-1] + draw(st.integers(0, 100)) * HOUR)


def policies() -> st.SearchStrategy[RetrainingPolicy]:
    hours = st.builds(time, st.integers(0, 23))
    return st.builds(
        RetrainingPolicy,
        cool_down=st.integers(0, 100).map(lambda hours: hours * HOUR),
        per_week=st.integers(1, 3),
        quiet_hours=st.none() | st.tuples(hours, hours),
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(jumps(), policies(), st.data())
def test_jumping_the_clock_and_returning_never_lets_a_retraining_begin_earlier(
    jumped: Jumps, policy: RetrainingPolicy, data: st.DataObject
) -> None:
    is_begin = data.draw(st.lists(st.booleans(), min_size=len(jumped.true), max_size=len(jumped.true)))
    counted = latest_possible(jumped.recorded, jumped.now)
    begun = [at for at, is_one in zip(counted, is_begin, strict=True) if is_one]
    truly = [at for at, is_one in zip(jumped.true, is_begin, strict=True) if is_one]
    assert earliest_begin(begun, policy, jumped.now)[0] >= earliest_begin(truly, policy, jumped.now)[0]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(jumps(), policies())
def test_what_waits_after_a_jump_is_answered_in_the_end(jumped: Jumps, policy: RetrainingPolicy) -> None:
    history, now = [row(at) for at in jumped.recorded], jumped.now
    for _ in range(len(history) + 2):
        decision = decide([drift(now)], history, policy, now)
        assert decision is not None
        if decision.answer != "wait":
            return
        history.append(row(now, "wait"))
        now = decision.not_before or now
    pytest.fail("it waits and waits")
