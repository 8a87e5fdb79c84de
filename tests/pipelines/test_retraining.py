"""However many feeders ask, however they end: each reason is on record once, and each decision has one run."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.logic.retraining import Missing
from assets.stages.common import asset_key
from assets.stages.retraining_decisions import retraining_decisions_spec
from pipelines import retraining, retraining_claims, retraining_runs
from tests.support.retraining import AGE, DAY, DRIFT, HOUR, NOW, Feeders, feeders, with_policy

ROOT = Path(__file__).parents[2]
DECISIONS = dg.AssetKey(["parcels", "retraining_decisions"])


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Feeders]:
    with feeders(tmp_path) as made:
        yield made


@pytest.fixture
def retrying(tmp_path: Path) -> Iterator[Feeders]:
    with feeders(tmp_path, retries=True) as made:
        yield made


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Feeders]:
    with feeders(tmp_path, on_disk=True) as made:
        yield made


def shown(line: Feeders) -> list[str]:
    records = line.instance.fetch_materializations(DECISIONS, limit=50).records
    events = [r.asset_materialization for r in reversed(records)]
    return [str(e.metadata["decision"].value) for e in events if e is not None]


def test_a_reason_becomes_a_run_that_names_it_and_a_row_that_tells_it(line: Feeders) -> None:
    request = line.ask(DRIFT, AGE).run_request
    assert request is not None
    row = line.ledger().row(0, named=True)
    assert request.job_name == "parcels_train_job"
    assert request.run_key == row["decision_id"]
    assert dict(request.tags) == {
        "throughline/trigger": "drift,age",
        "throughline/decision": row["decision_id"],
        "throughline/evidence": "/drift",
        "throughline/alone": "parcels/train",
        "dagster/max_retries": "1",
    }
    assert (row["number"], row["answer"], row["triggers"]) == (1, "retrain", ["drift", "age"])
    assert (row["champion"], row["feeder"], row["decided_at"]) == ("parcels/7", "a_sensor", NOW)
    assert "It drifted." in row["reasons"]


def test_a_sensor_and_a_schedule_can_return_it(line: Feeders) -> None:
    job = dg.define_asset_job("parcels_train_job", selection="*")
    request = line.ask(DRIFT).result

    @dg.sensor(job=job)
    def a_sensor(context: dg.SensorEvaluationContext) -> object:
        return request

    @dg.schedule(job=job, cron_schedule="0 6 * * *")
    def a_schedule(context: dg.ScheduleEvaluationContext) -> object:
        return request

    with dg.build_sensor_context(line.instance) as sensed, dg.build_schedule_context(line.instance) as scheduled:
        by_sensor = a_sensor.evaluate_tick(sensed).run_requests or []
        by_schedule = a_schedule.evaluate_tick(scheduled).run_requests or []
    assert by_sensor[0].run_key == by_schedule[0].run_key == line.ledger()["decision_id"][0]


def test_the_next_tick_asks_for_nothing_and_writes_nothing(line: Feeders) -> None:
    line.started(tags_of(line.ask(DRIFT)))
    again = line.ask(DRIFT, at=NOW + HOUR)
    assert (again.run_request, again.decisions) == (None, ())
    assert line.answers() == ["retrain"]


def tags_of(considered: retraining.Considered) -> dict[str, str]:
    assert considered.run_request is not None
    return dict(considered.run_request.tags)


def test_a_second_trigger_waits_for_the_run_and_is_taken_up_after_it(line: Feeders) -> None:
    line.trained(line.ask(DRIFT).run_request)
    assert line.ask(AGE, at=NOW + HOUR).run_request is None
    assert line.answers() == ["retrain", "wait"]
    assert line.ask(AGE, at=NOW + 2 * HOUR).decisions == ()
    assert line.ask(AGE, at=NOW + 3 * DAY).run_request is not None
    assert line.answers() == ["retrain", "wait", "retrain"]


def test_a_trigger_from_before_the_run_is_answered_by_it(line: Feeders) -> None:
    line.trained(line.ask(DRIFT).run_request)
    line.clock.set(NOW + HOUR)
    late = retraining.consider(
        line.use_case,
        [replace(AGE, observed_at=NOW - HOUR)],
        feeder="b_sensor",
        instance=line.instance,
        lake=line.lake,
        clock=line.clock,
        run_home=line.folder / "run",
    )
    assert [d.answer for d in late.decisions] == ["no"]


@pytest.mark.parametrize("selection", [None, frozenset({asset_key(with_policy(), "champion")})])
def test_a_training_that_somebody_began_by_hand_is_not_doubled(
    line: Feeders, selection: frozenset[dg.AssetKey] | None
) -> None:
    name = "parcels_train_job" if selection is None else "__ASSET_JOB"
    run = line.started(job_name=name, asset_selection=selection)
    considered = line.ask(DRIFT)
    assert considered.run_request is None
    assert f"by hand (run {run.run_id[:8]}) is under way" in considered.why
    assert line.ask(DRIFT, at=NOW + HOUR).decisions == ()
    line.instance.report_run_failed(run)
    assert line.ask(DRIFT, at=NOW + 2 * HOUR).run_request is not None


def test_the_endpoint_brought_up_by_the_training_job_is_no_training(line: Feeders) -> None:
    line.started(asset_selection=frozenset({asset_key(line.use_case, "endpoint")}))
    assert line.ask(DRIFT).run_request is not None


def test_the_training_of_another_use_case_holds_nothing_back(line: Feeders) -> None:
    line.started(job_name="letters_train_job")
    assert line.ask(DRIFT).run_request is not None


def test_a_training_that_failed_is_reported_and_not_begun_again(line: Feeders) -> None:
    assert not line.trained(line.ask(DRIFT).run_request, succeeds=False).success
    after = line.ask(DRIFT, at=NOW + 4 * DAY)
    assert after.run_request is None
    assert "failed, after all its retries" in after.why
    assert line.ask(DRIFT, at=NOW + 8 * DAY).decisions == ()
    assert line.answers() == ["retrain", "no"]


def test_a_training_that_dagster_is_to_run_again_has_not_failed_yet(retrying: Feeders) -> None:
    failed = retrying.trained(retrying.ask(DRIFT).run_request, succeeds=False)
    assert failed.dagster_run.tags["dagster/will_retry"] == "true"
    assert retrying.ask(DRIFT, at=NOW + 4 * DAY).decisions == ()
    assert "is under way" in retrying.ask(AGE, at=NOW + 4 * DAY).why
    # What Dagster's daemon writes, in its order (`_daemon/auto_run_reexecution`).
    group = {"dagster/root_run_id": failed.run_id, "dagster/parent_run_id": failed.run_id, "dagster/retry_number": "1"}
    tags = {name: value for name, value in failed.dagster_run.tags.items() if name != "dagster/will_retry"} | group
    retrying.instance.add_run_tags(failed.run_id, {"dagster/auto_retry_run_id": "the retry"})
    retry = retrying.started(tags, root_run_id=failed.run_id, parent_run_id=failed.run_id)
    assert retrying.ask(DRIFT, at=NOW + 5 * DAY).decisions == ()
    retrying.instance.report_run_failed(retry)
    assert "failed, after all its retries" in retrying.ask(DRIFT, at=NOW + 6 * DAY).why


def test_a_retry_that_nobody_makes_is_given_up(retrying: Feeders, monkeypatch: pytest.MonkeyPatch) -> None:
    retrying.trained(retrying.ask(DRIFT).run_request, succeeds=False)
    monkeypatch.setattr(retraining_runs, "GIVEN_UP_AFTER", timedelta(0))
    assert "failed, after all its retries" in retrying.ask(DRIFT, at=NOW + 4 * DAY).why


def test_a_policy_without_retries_fails_at_once(tmp_path: Path) -> None:
    with feeders(tmp_path, with_policy(retries=0), retries=True) as line:
        line.trained(line.ask(DRIFT).run_request, succeeds=False)
        assert "failed, after all its retries" in line.ask(DRIFT, at=NOW + 4 * DAY).why


def test_a_run_that_was_made_and_never_launched_is_given_up(line: Feeders, monkeypatch: pytest.MonkeyPatch) -> None:
    line.started(status=dg.DagsterRunStatus.NOT_STARTED)
    assert line.ask(DRIFT).run_request is None
    monkeypatch.setattr(retraining_runs, "GIVEN_UP_AFTER", timedelta(0))
    assert line.ask(DRIFT, at=NOW + HOUR).run_request is not None


def test_missing_evidence_is_on_record_once_and_starts_nothing(line: Feeders) -> None:
    missing = Missing(trigger="performance", id="performance/missing/parcels/7", why="There is no report.")
    assert line.ask(missing).run_request is None
    assert line.ask(missing, at=NOW + DAY).decisions == ()
    assert line.ledger()["reasons"].to_list() == [["No decision is taken on performance: There is no report."]]


def test_what_only_warns_stands_beside_what_starts_a_run(tmp_path: Path) -> None:
    with feeders(tmp_path, with_policy(triggers=frozenset({"age"}))) as line:
        considered = line.ask(DRIFT, AGE)
        assert [d.answer for d in considered.decisions] == ["no", "retrain"]
        assert considered.run_request is not None
        assert considered.run_request.tags["throughline/trigger"] == "age"


def test_every_decision_is_shown_once_with_those_before_it(line: Feeders) -> None:
    line.trained(line.ask(DRIFT).run_request)
    line.ask(AGE, at=NOW + HOUR)
    line.ask(AGE, at=NOW + 2 * HOUR)
    assert shown(line) == line.ledger()["decision_id"].to_list()
    event = line.instance.get_latest_materialization_event(DECISIONS)
    assert event is not None
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata
    assert told["answer"].value == "wait"
    assert "It is old." in str(told["reasons"].value)
    assert "[drift/" not in str(told["evidence"].value)
    assert str(told["ledger"].value).count("\n") == 3
    assert retraining_decisions_spec(line.use_case).key == DECISIONS


def test_a_lake_that_begins_anew_is_shown_from_its_first_decision(line: Feeders, tmp_path: Path) -> None:
    line.trained(line.ask(DRIFT).run_request)
    (tmp_path / "lake").rename(tmp_path / "old")
    assert line.ask(DRIFT, at=NOW + HOUR).decisions
    assert len(shown(line)) == 2


# Feeders that are killed, and feeders at the same time


def killed_before(line: Feeders, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A tick that comes to an end with nobody to tell before a step of its turn."""

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(retraining._Turn, step, die)
        with pytest.raises(Killed):
            line.ask(DRIFT)


@pytest.mark.parametrize("step", ["show", "hand_out"])
@pytest.mark.parametrize("next_feeder", ["a_sensor", "b_sensor"])
def test_a_tick_killed_after_the_row_is_made_good_by_whoever_ticks_next(
    line: Feeders, monkeypatch: pytest.MonkeyPatch, step: str, next_feeder: str
) -> None:
    killed_before(line, monkeypatch, step)
    assert line.answers() == ["retrain"]
    request = line.ask(DRIFT, at=NOW + HOUR, feeder=next_feeder).run_request
    assert request is not None
    assert request.run_key == line.ledger()["decision_id"][0]
    assert line.answers() == ["retrain"]
    assert shown(line) == line.ledger()["decision_id"].to_list()


def test_a_process_killed_right_after_the_row_leaves_no_lock_and_no_second_row(on_disk: Feeders) -> None:
    on_disk.clock.set(NOW)
    code = (
        "import os; from pathlib import Path; from pipelines import retraining as r; "
        "from tests.support.retraining import DRIFT, feeders; r._Turn.show = lambda *_: os._exit(9)\n"
        f"with feeders(Path({str(on_disk.folder)!r}), on_disk=True) as line: line.ask(DRIFT)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert killed.returncode == 9
    assert on_disk.ask(DRIFT, at=NOW + HOUR).run_request is not None
    assert on_disk.answers() == ["retrain"]


def test_a_run_that_was_handed_out_and_is_not_there_is_handed_out_again_to_the_same_sensor(
    line: Feeders, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = line.ask(DRIFT).run_request
    assert first is not None
    assert line.ask(DRIFT).run_request is None
    assert "is about to begin" in line.ask(DRIFT).why
    monkeypatch.setattr(retraining_claims, "LAUNCHED_WITHIN", timedelta(0))
    assert line.ask(DRIFT, feeder="b_sensor").run_request is None
    again = line.ask(DRIFT).run_request
    assert again is not None
    assert again.run_key == first.run_key


def test_what_a_sensor_has_in_hand_goes_to_another_when_its_tick_cannot_be_resumed_any_more(
    line: Feeders, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.ask(DRIFT)
    monkeypatch.setattr(retraining_claims, "RESUMED_WITHIN", timedelta(0))
    assert line.ask(DRIFT, feeder="b_sensor").run_request is not None


def test_what_a_schedule_has_in_hand_goes_to_anybody_once_it_had_time_to_launch_it(
    line: Feeders, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.ask(DRIFT, feeder="a_schedule")
    assert line.ask(DRIFT, feeder="b_sensor").run_request is None
    monkeypatch.setattr(retraining_claims, "LAUNCHED_WITHIN", timedelta(0))
    assert line.ask(DRIFT, feeder="b_sensor").run_request is not None


def test_a_run_is_not_handed_out_again_while_somebody_trains_by_hand(
    line: Feeders, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.ask(DRIFT)
    monkeypatch.setattr(retraining_claims, "LAUNCHED_WITHIN", timedelta(0))
    line.started()
    assert line.ask(DRIFT).run_request is None


def test_a_run_that_nobody_launched_for_a_week_is_on_record_as_failed(line: Feeders) -> None:
    line.ask(DRIFT)
    late = line.ask(DRIFT, at=NOW + 8 * DAY)
    assert late.run_request is None
    assert [d.answer for d in late.decisions] == ["no"]


def test_feeders_at_the_same_time_make_one_row_and_one_run(on_disk: Feeders) -> None:
    names = [f"feeder_{n}_sensor" for n in range(6)]
    on_disk.clock.set(NOW)
    with ThreadPoolExecutor(len(names)) as pool:
        asked = list(pool.map(lambda name: on_disk.ask(DRIFT, feeder=name), names))
    assert len([c for c in asked if c.run_request is not None]) == 1
    assert on_disk.answers() == ["retrain"]


def test_two_daemons_make_one_row_and_one_run(on_disk: Feeders) -> None:
    code = (
        "from pathlib import Path; from tests.support.retraining import DRIFT, feeders\n"
        f"with feeders(Path({str(on_disk.folder)!r}), on_disk=True) as line: print(bool(line.ask(DRIFT).run_request))"
    )
    daemons = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = [daemon.communicate()[0].strip() for daemon in daemons]
    assert sorted(told) == ["False", "True"]
    assert on_disk.answers() == ["retrain"]


def test_a_clock_that_was_set_back_delays_and_loses_nothing(line: Feeders) -> None:
    line.trained(line.ask(DRIFT, at=NOW + 300 * DAY).run_request)
    asked = line.ask(AGE, at=NOW)
    assert "The clock was set back" in asked.why
    assert line.ask(AGE, at=NOW + 3 * DAY).run_request is not None
    assert line.ledger()["number"].to_list() == [1, 2, 3]


def test_the_clock_of_the_line_decides_and_not_that_of_the_machine(line: Feeders) -> None:
    assert datetime.now(UTC) - NOW > 300 * DAY
    line.trained(line.ask(DRIFT).run_request)
    assert line.ask(AGE, at=NOW + HOUR).run_request is None
