"""Every reason to retrain is answered once, with its reasons, within cool-down, budget and quiet hours."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.automation import TRIGGERS, RetrainingPolicy, Trigger
from assets.logic.retraining import Decision, Evidence, Missing, PastDecision, RunStatus, decide
from assets.logic.retraining_times import is_quiet

NOW = datetime(2013, 9, 14, 6, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
POLICY = RetrainingPolicy()
DRIFT = Evidence(trigger="drift", id="drift/a", fired=True, why="The weather drifted.", observed_at=NOW)
AGE = Evidence(trigger="age", id="age/a", fired=True, why="The model is old.", observed_at=NOW)


def quiet(begin: time, end: time, timezone: str = "UTC", **changes: object) -> RetrainingPolicy:
    return RetrainingPolicy(quiet_hours=(begin, end), timezone=timezone, **changes)  # type: ignore[arg-type]


def past(decision: Decision | None, at: datetime = NOW, status: RunStatus = "succeeded") -> PastDecision:
    assert decision is not None
    return PastDecision(
        id=decision.id,
        decided_at=at,
        answer=decision.answer,
        triggers=decision.triggers,
        evidence_ids=decision.evidence_ids,
        not_before=decision.not_before,
        run_status=status if decision.answer == "retrain" else "none",
    )


def retrained(at: datetime, name: str = "age/old", status: RunStatus = "succeeded") -> PastDecision:
    return PastDecision(
        id=f"retrained for {name} at {at}",
        decided_at=at,
        answer="retrain",
        triggers=("age",),
        evidence_ids=(name,),
        not_before=None,
        run_status=status,
    )


def told(decision: Decision | None) -> str:
    assert decision is not None
    return " ".join(decision.reasons)


def test_nothing_is_decided_where_nothing_fired() -> None:
    assert decide([replace(DRIFT, fired=False), replace(AGE, fired=False)], [], POLICY, NOW) is None


def test_what_fires_begins_a_retraining_that_says_why() -> None:
    decision = decide([DRIFT], [], POLICY, NOW)
    assert decision is not None
    assert (decision.answer, decision.triggers, decision.evidence_ids) == ("retrain", ("drift",), ("drift/a",))
    assert "The weather drifted." in decision.reasons


def test_two_triggers_at_once_make_one_retraining_that_names_both() -> None:
    decision = decide([AGE, DRIFT], [], POLICY, NOW)
    assert decision is not None
    assert (decision.answer, decision.triggers) == ("retrain", ("drift", "age"))
    assert {"The weather drifted.", "The model is old."} <= {*decision.reasons}


@pytest.mark.parametrize("status", ["none", "in_flight", "succeeded"])
def test_the_same_evidence_is_answered_once(status: RunStatus) -> None:
    first = past(decide([DRIFT], [], POLICY, NOW), status=status)
    assert decide([DRIFT], [first], POLICY, NOW + HOUR) is None
    assert decide([replace(DRIFT, observed_at=NOW + WEEK)], [first], POLICY, NOW + WEEK) is None


def test_a_trigger_that_the_policy_does_not_count_only_warns_and_does_so_once() -> None:
    policy = RetrainingPolicy(triggers=frozenset({"age"}))
    decision = decide([DRIFT, AGE], [], policy, NOW)
    assert decision is not None
    assert (decision.answer, decision.triggers) == ("no", ("drift",))
    assert "only warns" in told(decision)
    second = decide([DRIFT, AGE], [past(decision)], policy, NOW)
    assert second is not None
    assert (second.answer, second.triggers) == ("retrain", ("age",))


def test_a_retraining_waits_for_the_end_of_the_cool_down_and_is_then_taken_up() -> None:
    policy = RetrainingPolicy(cool_down=3 * DAY)
    history = [retrained(NOW - DAY)]
    decision = decide([DRIFT], history, policy, NOW)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", NOW + 2 * DAY)
    assert "3 days lie between two" in told(decision)
    history.append(past(decision))
    assert decide([DRIFT], history, policy, NOW + 2 * DAY - HOUR) is None
    at_last = decide([replace(DRIFT, observed_at=NOW + DAY)], history, policy, NOW + 2 * DAY)
    assert at_last is not None
    assert at_last.answer == "retrain"


def test_a_retraining_over_budget_waits_until_the_oldest_of_the_week_is_a_week_ago() -> None:
    policy = RetrainingPolicy(cool_down=timedelta(0), per_week=2)
    decision = decide([DRIFT], [retrained(NOW - 6 * DAY), retrained(NOW - 5 * DAY)], policy, NOW)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", NOW + DAY)
    assert "no more than 2 may begin within seven days" in told(decision)


@pytest.mark.parametrize(
    ("begin", "end", "at", "until"),
    [
        (time(5), time(9), NOW, NOW + 3 * HOUR),
        (time(22), time(7), NOW, NOW + HOUR),
        (time(22), time(7), NOW.replace(hour=23), NOW + DAY + HOUR),
    ],
)
def test_quiet_hours_are_waited_out_also_over_midnight(begin: time, end: time, at: datetime, until: datetime) -> None:
    decision = decide([replace(DRIFT, observed_at=at)], [], quiet(begin, end), at)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", until)


def test_the_end_of_quiet_hours_is_in_hours() -> None:
    assert decide([DRIFT], [], quiet(time(2), time(6)), NOW) is not None
    assert told(decide([DRIFT], [], quiet(time(2), time(6)), NOW)).endswith("it begins.")


def test_equal_ends_are_no_quiet_hours() -> None:
    assert "it begins" in told(decide([DRIFT], [], quiet(time(6), time(6)), NOW))


@pytest.mark.parametrize(
    ("at", "begin", "end", "until"),
    [
        # New York, clocks forward on 10 March 2013: 2:00 is 3:00, and 2:30 is never.
        (datetime(2013, 3, 10, 6, 30, tzinfo=UTC), time(1), time(2, 30), datetime(2013, 3, 10, 7, 30, tzinfo=UTC)),
        (datetime(2013, 3, 10, 6, 10, tzinfo=UTC), time(1), time(2, 30), datetime(2013, 3, 10, 7, 30, tzinfo=UTC)),
        (datetime(2013, 3, 10, 6, 30, tzinfo=UTC), time(1), time(5), datetime(2013, 3, 10, 9, tzinfo=UTC)),
        # Clocks back on 3 November 2013: 1:00 to 2:00 comes twice.
        (datetime(2013, 11, 3, 5, 30, tzinfo=UTC), time(0), time(2), datetime(2013, 11, 3, 7, tzinfo=UTC)),
        (datetime(2013, 11, 3, 6, 15, tzinfo=UTC), time(1), time(1, 30), datetime(2013, 11, 3, 6, 30, tzinfo=UTC)),
    ],
)
def test_quiet_hours_are_those_of_the_clock_on_the_wall_when_it_is_set(
    at: datetime, begin: time, end: time, until: datetime
) -> None:
    decision = decide([replace(DRIFT, observed_at=at)], [], quiet(begin, end, "America/New_York"), at)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", until)


def test_a_wait_that_would_end_in_quiet_hours_ends_after_them() -> None:
    policy = quiet(time(5), time(9), cool_down=3 * DAY)
    decision = decide([DRIFT], [retrained(NOW - 3 * DAY + HOUR)], policy, NOW - HOUR)
    assert decision is not None
    assert decision.not_before == NOW + 3 * HOUR


def test_a_run_under_way_is_never_doubled_and_its_end_is_waited_for_in_one_row() -> None:
    running = retrained(NOW - 4 * DAY, status="in_flight")
    decision = decide([DRIFT], [running], POLICY, NOW)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", None)
    assert "under way" in told(decision)
    assert decide([DRIFT], [running, past(decision)], POLICY, NOW + HOUR) is None
    ended = replace(running, run_status="succeeded")
    after = decide([DRIFT], [ended, past(decision)], POLICY, NOW + HOUR)
    assert after is not None
    assert after.answer == "retrain"


def test_what_waits_for_the_end_of_a_cool_down_and_meets_a_run_is_one_row_more() -> None:
    waits = past(decide([DRIFT], [retrained(NOW - DAY)], POLICY, NOW))
    running = retrained(NOW + DAY, status="in_flight")
    history = [retrained(NOW - DAY), waits, running]
    later = [replace(DRIFT, observed_at=NOW + 2 * DAY)]
    decision = decide(later, history, POLICY, NOW + 2 * DAY)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", None)
    assert decide(later, [*history, past(decision, NOW + 2 * DAY)], POLICY, NOW + 2 * DAY + HOUR) is None


def test_a_retraining_that_has_no_run_yet_counts_as_under_way() -> None:
    asked = retrained(NOW - 4 * DAY, status="none")
    decision = decide([DRIFT], [asked], POLICY, NOW)
    assert decision is not None
    assert decision.answer == "wait"


def test_evidence_from_before_a_retraining_that_succeeded_is_answered_by_it() -> None:
    done = retrained(NOW - HOUR)
    decision = decide([replace(DRIFT, observed_at=NOW - 2 * HOUR)], [done], POLICY, NOW)
    assert decision is not None
    assert decision.answer == "no"
    assert f"Retraining {done.id} began after that was observed" in told(decision)


def test_evidence_from_before_a_retraining_that_failed_is_not_answered_by_it() -> None:
    failed = retrained(NOW - DAY, status="failed")
    decision = decide([replace(DRIFT, observed_at=NOW - DAY - HOUR)], [failed], POLICY, NOW)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", NOW + 2 * DAY)


def test_a_failed_retraining_is_reported_once_and_not_begun_again_for_the_same_reason() -> None:
    failed = past(decide([DRIFT], [], POLICY, NOW), status="failed")
    later = NOW + 4 * DAY
    same = replace(DRIFT, observed_at=later)
    decision = decide([same], [failed], POLICY, later)
    assert decision is not None
    assert decision.answer == "no"
    assert f"({failed.id}) failed, after all its retries" in told(decision)
    history = [failed, past(decision, later)]
    assert decide([same], history, POLICY, later + DAY) is None
    new = decide([replace(same, id="drift/b")], history, POLICY, later + DAY)
    assert new is not None
    assert new.answer == "retrain"


@pytest.mark.parametrize("fired", [True, False])
def test_stale_evidence_decides_nothing_and_that_is_on_record_once(fired: bool) -> None:
    old = replace(DRIFT, fired=fired, observed_at=NOW - POLICY.stale_after - HOUR)
    decision = decide([old], [], POLICY, NOW)
    assert decision is not None
    assert decision.answer == "no"
    assert "No decision is taken on drift" in told(decision)
    assert "older than 2 days" in told(decision)
    assert decide([old], [past(decision)], POLICY, NOW + HOUR) is None


def test_stale_evidence_that_is_confirmed_later_is_decided_on() -> None:
    stale = past(decide([replace(DRIFT, observed_at=NOW - 3 * DAY)], [], POLICY, NOW))
    decision = decide([DRIFT], [stale], POLICY, NOW)
    assert decision is not None
    assert decision.answer == "retrain"


def test_missing_evidence_decides_nothing_and_that_is_on_record_once() -> None:
    missing = Missing(trigger="performance", id="performance/missing/7", why="No report was written.")
    decision = decide([missing], [], POLICY, NOW)
    assert decision is not None
    assert (decision.answer, decision.triggers) == ("no", ("performance",))
    assert decision.reasons == ("No decision is taken on performance: No report was written.",)
    assert decide([missing], [past(decision)], POLICY, NOW) is None


def test_missing_evidence_of_a_trigger_that_the_policy_does_not_count_is_nothing_to_report() -> None:
    missing = Missing(trigger="performance", id="performance/missing/7", why="No report was written.")
    assert decide([missing], [], RetrainingPolicy(triggers=frozenset({"age"})), NOW) is None


@pytest.mark.parametrize("now", [replace(DRIFT, fired=False), replace(DRIFT, id="drift/b")])
def test_what_waited_and_has_passed_is_answered(now: Evidence) -> None:
    waits = past(decide([DRIFT], [retrained(NOW - DAY)], POLICY, NOW))
    decision = decide([now], [retrained(NOW - DAY), waits], POLICY, NOW + HOUR)
    assert decision is not None
    assert (decision.answer, decision.evidence_ids) == ("no", ("drift/a",))
    assert "has passed" in told(decision)


def test_what_waits_is_not_answered_by_the_silence_of_its_monitor() -> None:
    waits = past(decide([DRIFT], [retrained(NOW - DAY)], POLICY, NOW))
    assert decide([AGE], [retrained(NOW - DAY), waits], POLICY, NOW + HOUR) is not None
    assert decide([], [retrained(NOW - DAY), waits], POLICY, NOW + HOUR) is None


def test_what_joins_something_that_waits_is_decided_on_together_with_it() -> None:
    history = [retrained(NOW - DAY)]
    history.append(past(decide([DRIFT], history, POLICY, NOW)))
    decision = decide([DRIFT, AGE], history, POLICY, NOW + HOUR)
    assert decision is not None
    assert (decision.answer, decision.triggers) == ("wait", ("drift", "age"))


def test_a_clock_that_was_set_back_shortens_no_cool_down_and_is_told() -> None:
    ahead = retrained(NOW + 365 * DAY)
    decision = decide([DRIFT], [ahead], POLICY, NOW)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", NOW + POLICY.cool_down)
    assert "The clock was set back" in told(decision)


def test_a_wrong_clock_decades_ahead_holds_nothing_back_for_decades() -> None:
    ahead = retrained(NOW + 365 * DAY)
    waits = past(decide([DRIFT], [ahead], POLICY, NOW))
    then = NOW + POLICY.cool_down
    decision = decide([replace(DRIFT, observed_at=then)], [ahead, waits], POLICY, then)
    assert decision is not None
    assert decision.answer == "retrain"


def test_a_wait_of_the_future_is_taken_up_at_once() -> None:
    waits = past(decide([DRIFT], [retrained(NOW - DAY)], POLICY, NOW), NOW + 300 * DAY)
    decision = decide([DRIFT], [retrained(NOW - DAY), waits], POLICY, NOW)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", NOW + 2 * DAY)
    assert decision.id != waits.id


def test_what_waited_and_has_passed_only_by_a_clock_that_was_ahead_is_taken_up_again() -> None:
    history = [retrained(NOW - DAY)]
    history.append(past(decide([DRIFT], history, POLICY, NOW)))
    ahead = NOW + 300 * DAY
    quiet = replace(DRIFT, fired=False, observed_at=ahead)
    history.append(past(decide([quiet], history, POLICY, ahead), ahead))
    assert history[-1].answer == "no"
    decision = decide([DRIFT], history, POLICY, NOW + HOUR)
    assert decision is not None
    assert (decision.answer, decision.not_before) == ("wait", NOW + 2 * DAY)
    assert decide([DRIFT], [*history, past(decision, NOW + HOUR)], POLICY, NOW + 2 * HOUR) is None


def test_evidence_of_a_time_that_the_clock_has_not_reached_decides_nothing() -> None:
    decision = decide([replace(DRIFT, observed_at=NOW + 3 * DAY)], [], POLICY, NOW)
    assert decision is not None
    assert decision.answer == "no"
    assert "which the clock has not reached yet" in told(decision)


def test_evidence_is_refused_that_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="given twice"):
        decide([DRIFT, replace(DRIFT, id="drift/b")], [], POLICY, NOW)
    with pytest.raises(ValueError, match="begins with its trigger"):
        replace(DRIFT, id="age/b")
    with pytest.raises(ValueError, match="begins with its trigger"):
        Missing(trigger="age", id="drift/b", why="")


def test_times_without_a_zone_are_refused() -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(ValueError, match="names no time zone"):
        decide([DRIFT], [], POLICY, naive)
    with pytest.raises(ValueError, match="names no time zone"):
        replace(DRIFT, observed_at=naive)


# From here on: whatever happens in whatever order, over weeks of ticks.


@dataclass(frozen=True)
class World:
    """Events that each last for a while, how trainings go, and when somebody looks."""

    policy: RetrainingPolicy
    events: tuple[tuple[Trigger, int, int], ...]
    steps: tuple[int, ...]
    outcomes: tuple[tuple[int, RunStatus], ...]

    def evidence(self, hour: int) -> list[Evidence]:
        at, given = NOW + hour * HOUR, []
        for trigger in TRIGGERS:
            live = [(b, n) for n, (t, b, e) in enumerate(self.events) if t == trigger and b <= hour < e]
            name = f"{trigger}/{live[-1][1]}" if live else f"{trigger}/quiet"
            given.append(Evidence(trigger=trigger, id=name, fired=bool(live), why="So.", observed_at=at))
        return given

    def played(self) -> Iterator[tuple[int, list[PastDecision]]]:
        """Each tick's hour and the record after it; a training takes some hours and ends as told."""
        history: list[PastDecision] = []
        ends: dict[str, tuple[int, RunStatus]] = {}
        hour = 0
        for step in self.steps:
            hour += step
            history = [
                replace(p, run_status=ends[p.id][1]) if p.id in ends and ends[p.id][0] <= hour else p for p in history
            ]
            while (decision := decide(self.evidence(hour), history, self.policy, NOW + hour * HOUR)) is not None:
                history.append(past(decision, NOW + hour * HOUR, "in_flight"))
                if decision.answer == "retrain":
                    length, outcome = self.outcomes[len(ends) % len(self.outcomes)]
                    ends[decision.id] = (hour + length, outcome)
            yield hour, history


def worlds() -> st.SearchStrategy[World]:
    policies = st.builds(
        RetrainingPolicy,
        triggers=st.frozensets(st.sampled_from(TRIGGERS)),
        cool_down=st.integers(0, 100).map(lambda hours: hours * HOUR),
        per_week=st.integers(1, 3),
        quiet_hours=st.none() | st.tuples(st.builds(time, st.integers(0, 23)), st.builds(time, st.integers(0, 23))),
        timezone=st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
    )
    event = st.tuples(st.sampled_from(TRIGGERS), st.integers(0, 700), st.integers(1, 400)).map(
        lambda e: (e[0], e[1], e[1] + e[2])
    )
    outcome = st.tuples(st.integers(1, 60), st.sampled_from(["succeeded", "failed"]))
    return st.builds(
        World,
        policy=policies,
        events=st.lists(event, max_size=12).map(tuple),
        steps=st.lists(st.integers(1, 40), min_size=1, max_size=60).map(tuple),
        outcomes=st.lists(outcome, min_size=1, max_size=5).map(tuple),
    )


def begun(history: Sequence[PastDecision]) -> list[PastDecision]:
    return [p for p in history if p.answer == "retrain"]


def holds(claim: Callable[[World, list[PastDecision]], None]) -> None:
    """Hold a claim about the record at the end, which only grows."""

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(worlds())
    def played(world: World) -> None:
        claim(world, list(world.played())[-1][1])

    played()


def test_two_retrainings_never_begin_within_the_cool_down() -> None:
    def claim(world: World, history: list[PastDecision]) -> None:
        times = [p.decided_at for p in begun(history)]
        assert all(b - a >= world.policy.cool_down for a, b in pairwise(times))

    holds(claim)


def test_never_more_retrainings_begin_than_the_budget_of_any_seven_days() -> None:
    def claim(world: World, history: list[PastDecision]) -> None:
        times = [p.decided_at for p in begun(history)]
        assert all(sum(t <= other < t + WEEK for other in times) <= world.policy.per_week for t in times)

    holds(claim)


def test_none_begins_in_quiet_hours() -> None:
    def claim(world: World, history: list[PastDecision]) -> None:
        assert not any(is_quiet(p.decided_at, world.policy) for p in begun(history))

    holds(claim)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(worlds())
def test_two_are_never_under_way(world: World) -> None:
    for _, history in world.played():
        assert sum(p.is_under_way for p in history) <= 1


def test_the_same_evidence_never_begins_two_retrainings() -> None:
    def claim(world: World, history: list[PastDecision]) -> None:
        names = [name for p in begun(history) for name in p.evidence_ids]
        assert len(names) == len(set(names))

    holds(claim)


def test_what_is_waited_for_makes_a_row_only_when_it_is_due_or_something_joins_it() -> None:
    def claim(world: World, history: list[PastDecision]) -> None:
        open_waits: dict[str, PastDecision] = {}
        for p in history:
            early = [w for n in p.evidence_ids if (w := open_waits.get(n)) and w.not_before is not None]
            early = [w for w in early if p.decided_at < w.not_before]  # type: ignore[operator]
            joined = [n for n in p.evidence_ids if n not in open_waits]
            assert not early or joined or p.answer == "no"
            open_waits.update(dict.fromkeys(p.evidence_ids, p))

    holds(claim)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(worlds())
def test_everything_that_fires_is_answered_in_the_end(world: World) -> None:
    patient = replace(world, steps=(*world.steps, *[36] * 60))
    hours, histories = zip(*patient.played(), strict=True)
    seen = {e.id for hour in hours for e in world.evidence(hour) if e.fired}
    last = {name: p.answer for p in histories[-1] for name in p.evidence_ids}
    assert {name: last.get(name) for name in seen if last.get(name) not in {"retrain", "no"}} == {}


def test_a_decision_depends_on_nothing_but_its_arguments_and_not_on_the_order_of_evidence() -> None:
    history = [retrained(NOW - DAY)]
    evidence = [DRIFT, AGE, replace(DRIFT, trigger="performance", id="performance/a", fired=False)]
    assert len({decide(order, history, POLICY, NOW) for order in permutations(evidence)}) == 1


def test_ids_of_decisions_differ() -> None:
    def claim(world: World, history: list[PastDecision]) -> None:
        assert len({p.id for p in history}) == len(history)

    holds(claim)
