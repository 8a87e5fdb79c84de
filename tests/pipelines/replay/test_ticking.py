"""Sensors and schedules of a test's own: they are evaluated as Dagster's daemon evaluates them."""

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pipelines.replay import ticking
from pipelines.replay.folder import ReplayError
from pipelines.replay.launching import end_open_runs
from pipelines.replay.ticking import Happened, fire, firings, idle, settle
from pipelines.replay.world import World
from pipelines.retraining_claims import Claims
from pipelines.retraining_runs import DECISION, trainings
from resources.clock import Clock
from tests.support.landed_toy import LANDED_TOY

NOON = datetime(2020, 2, 1, 12, tzinfo=UTC)
RUNNING = dg.DefaultSensorStatus.RUNNING
MakeWorld = Callable[..., World]


@dg.op
def work(context: dg.OpExecutionContext) -> None:
    """Fails as often as the tags of the run say."""
    fails = int(context.run.tags.get("fails", "0"))
    if int(context.run.tags.get("dagster/retry_number", "0")) < fails:
        raise RuntimeError("not this time")


@dg.op
def stop_here() -> None:
    """Has itself interrupted, as by Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)


@dg.job
def interrupted() -> None:
    stop_here()


@dg.job(tags={"of": "the job"})
def toil() -> None:
    work()


def sensor(evaluate: Callable[..., object], name: str = "asking_sensor", **facts: object) -> dg.SensorDefinition:
    return dg.SensorDefinition(name=name, job=toil, evaluation_fn=evaluate, **{"default_status": RUNNING, **facts})


def at_noon(world: World) -> World:
    world.advance(NOON)
    return world


def test_sensors_are_asked_until_none_wants_anything(make_world: MakeWorld) -> None:
    def count(context: dg.SensorEvaluationContext) -> object:
        seen = int(context.cursor or "0")
        if seen == 3:
            return dg.SkipReason("enough")
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=str(seen))], cursor=str(seen + 1))

    world, happened = at_noon(make_world(sensors=[sensor(count)], jobs=[toil])), Happened()
    settle(world, happened)
    assert [run["by"] for run in happened.runs] == ["asking_sensor"] * 3
    assert world.folder.cursor("asking_sensor") == "3"


def test_a_job_with_a_configuration_of_its_own_form_runs_and_prints_nothing(
    make_world: MakeWorld, capfd: pytest.CaptureFixture[str]
) -> None:
    mapping = dg.ConfigMapping(config_schema={"x": dg.Field(int, default_value=1)}, config_fn=lambda _: {})
    mapped = dg.GraphDefinition(name="own_form", node_defs=[work]).to_job(config=mapping)
    asking = dg.SensorDefinition(
        name="asking_sensor", job=mapped, evaluation_fn=lambda _: dg.RunRequest(run_key="1"), default_status=RUNNING
    )
    world, happened = at_noon(make_world(sensors=[asking], jobs=[mapped])), Happened()
    settle(world, happened)
    assert [run["why"] for run in happened.runs] == [None]
    assert capfd.readouterr().err == ""


def test_a_run_key_is_run_once_even_if_what_the_sensor_wrote_down_is_lost(make_world: MakeWorld) -> None:
    def insist(_: dg.SensorEvaluationContext) -> object:
        return dg.RunRequest(run_key="always the same")

    world, happened = at_noon(make_world(sensors=[sensor(insist)], jobs=[toil])), Happened()
    for _ in range(3):
        settle(world, happened)
    assert len(happened.runs) == 1


def test_the_same_key_of_another_sensor_is_another_run(make_world: MakeWorld) -> None:
    def insist(_: dg.SensorEvaluationContext) -> object:
        return dg.RunRequest(run_key="always the same")

    both = [sensor(insist, name="one_sensor"), sensor(insist, name="other_sensor")]
    world, happened = at_noon(make_world(sensors=both, jobs=[toil])), Happened()
    settle(world, happened)
    assert [run["by"] for run in happened.runs] == ["one_sensor", "other_sensor"]


def test_sensors_that_never_come_to_rest_are_named(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticking, "MOST_ROUNDS", 3)
    world = at_noon(make_world(sensors=[sensor(lambda _: dg.RunRequest())], jobs=[toil]))
    with pytest.raises(ReplayError, match="asking_sensor"):
        settle(world, Happened())


def test_a_tick_that_fails_is_put_on_record_and_others_go_on(make_world: MakeWorld) -> None:
    def fail(_: dg.SensorEvaluationContext) -> object:
        raise LookupError("the source is gone")

    def ask(_: dg.SensorEvaluationContext) -> object:
        return dg.RunRequest(run_key="once")

    world = at_noon(make_world(sensors=[sensor(fail, name="a_sensor"), sensor(ask, name="b_sensor")], jobs=[toil]))
    happened = Happened()
    settle(world, happened)
    assert [run["by"] for run in happened.runs] == ["b_sensor"]
    assert {(fault["by"], fault["why"]) for fault in happened.faults} == {
        ("a_sensor", "LookupError: the source is gone")
    }


def test_an_interrupted_run_ends_the_replay_and_is_closed(make_world: MakeWorld) -> None:
    asking = dg.SensorDefinition(
        name="asking_sensor",
        job=interrupted,
        evaluation_fn=lambda _: dg.RunRequest(run_key="1"),
        default_status=RUNNING,
    )
    world = at_noon(make_world(sensors=[asking], jobs=[interrupted]))
    with pytest.raises(KeyboardInterrupt):
        settle(world, Happened())
    assert [run.status for run in world.instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


@pytest.fixture
def stops_once() -> dg.JobDefinition:
    """The training job, in whose first run with the retry number of its tag `stops_at` the replay is stopped."""
    stopped: list[str] = []

    @dg.op
    def train(context: dg.OpExecutionContext) -> None:
        number = context.run.tags.get("dagster/retry_number", "0")
        if not stopped and number == context.run.tags.get("stops_at", "0"):
            stopped.append(context.run_id)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        if not stopped:
            raise RuntimeError("not this time")

    @dg.job(name="parcels_train_job")
    def training() -> None:
        train()

    return training


def stop_and_go_on(world: World, tick: Callable[[Happened], object]) -> Happened:
    """What happens after a replay that was stopped in a run has been taken up again."""
    with pytest.raises(KeyboardInterrupt):
        tick(Happened())
    end_open_runs(world)
    again = Happened()
    tick(again)
    return again


@pytest.mark.parametrize("stops_at", ["0", "1"])
def test_a_training_that_the_replay_was_stopped_in_is_launched_again(
    make_world: MakeWorld, stops_once: dg.JobDefinition, stops_at: str
) -> None:
    tags = {DECISION: "one", "dagster/max_retries": "1", "stops_at": stops_at}
    world: World

    def ask(_: dg.SensorEvaluationContext) -> object:
        """As the line does: what has a run is not asked for again."""
        if "one" in trainings(LANDED_TOY, world.instance).of_decisions:
            return dg.SkipReason("it is known what becomes of it")
        return dg.RunRequest(run_key="one", tags=tags)

    asking = dg.SensorDefinition(name="asking_sensor", job=stops_once, evaluation_fn=ask, default_status=RUNNING)
    world = at_noon(make_world(sensors=[asking], jobs=[stops_once]))
    again = stop_and_go_on(world, lambda happened: settle(world, happened))
    assert [run["why"] for run in again.runs] == [None]
    assert trainings(LANDED_TOY, world.instance).of_decisions["one"] == "succeeded"


def test_what_a_schedule_asked_for_is_launched_again_if_the_replay_was_stopped_in_it(
    make_world: MakeWorld, stops_once: dg.JobDefinition
) -> None:
    firing = dg.ScheduleDefinition(
        name="daily_schedule",
        job=stops_once,
        cron_schedule="30 6 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    world = at_noon(make_world(schedules=[firing], jobs=[stops_once]))
    (schedule,) = world.repository.schedule_defs
    again = stop_and_go_on(world, lambda happened: fire(world, schedule, NOON, happened))
    assert [run["why"] for run in again.runs] == [None]


def test_a_run_whose_process_was_killed_is_launched_again(make_world: MakeWorld) -> None:
    def insist(_: dg.SensorEvaluationContext) -> object:
        return dg.RunRequest(run_key="once")

    world, happened = at_noon(make_world(sensors=[sensor(insist)], jobs=[toil])), Happened()
    tags = {"dagster/sensor_name": "asking_sensor", "dagster/run_key": "once"}
    killed = world.instance.create_run_for_job(toil, status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert end_open_runs(world) == [killed.run_id]
    settle(world, happened)
    assert len(happened.runs) == 1


def test_nobody_has_a_training_in_hand_when_a_replay_is_taken_up(make_world: MakeWorld) -> None:
    world = make_world()
    claims = Claims(world.folder.root / "run" / f"{LANDED_TOY.name}_retraining.json")
    assert claims.take("one", "one_sensor")
    assert not claims.take("one", "other_sensor")
    end_open_runs(world)
    assert claims.take("one", "other_sensor")


def test_a_failed_run_is_tried_again_as_often_as_it_says(make_world: MakeWorld) -> None:
    tags = {"fails": "1", "dagster/max_retries": "2"}

    def ask(_: dg.SensorEvaluationContext) -> object:
        return dg.RunRequest(run_key="once", tags=tags)

    world, happened = at_noon(make_world(sensors=[sensor(ask)], jobs=[toil])), Happened()
    settle(world, happened)
    assert [run["why"] for run in happened.runs] == ["work: RuntimeError: not this time", None]


def test_a_run_that_fails_once_and_has_no_retries_stays_failed(make_world: MakeWorld) -> None:
    def ask(_: dg.SensorEvaluationContext) -> object:
        return dg.RunRequest(run_key="once", tags={"fails": "1"})

    world, happened = at_noon(make_world(sensors=[sensor(ask)], jobs=[toil])), Happened()
    settle(world, happened)
    assert len(happened.runs) == 1


def test_what_follows_from_a_run_comes_after_it_by_the_clock(make_world: MakeWorld) -> None:
    def ask(context: dg.SensorEvaluationContext) -> object:
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=k) for k in "abc"])

    world, happened = at_noon(make_world(sensors=[sensor(ask)], jobs=[toil])), Happened()
    settle(world, happened)
    begun = [datetime.fromisoformat(run["at"]) for run in happened.runs]
    assert begun == [NOON, NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)]


def test_the_clock_is_never_set_back(make_world: MakeWorld) -> None:
    world = at_noon(make_world())
    world.advance(NOON - timedelta(hours=1))
    assert world.clock.now() == NOON


def test_a_sensor_is_given_the_clock_of_the_replay(make_world: MakeWorld) -> None:
    seen: list[datetime] = []

    @dg.sensor(name="looking_sensor", job=toil, default_status=RUNNING)
    def look(clock: Clock) -> dg.SkipReason:
        seen.append(clock.now())
        return dg.SkipReason("only looking")

    settle(at_noon(make_world(sensors=[look], jobs=[toil])), Happened())
    assert seen == [NOON]


def test_a_run_has_the_tags_of_request_and_job_and_says_who_launched_it(make_world: MakeWorld) -> None:
    def ask(_: dg.SensorEvaluationContext) -> object:
        return dg.RunRequest(run_key="once", tags={"of": "the request"})

    world, happened = at_noon(make_world(sensors=[sensor(ask)], jobs=[toil])), Happened()
    settle(world, happened)
    run = world.instance.get_run_by_id(happened.runs[0]["run_id"])
    assert run is not None
    wanted = {"of": "the request", "dagster/run_key": "once", "dagster/sensor_name": "asking_sensor"}
    assert wanted.items() <= run.tags.items()
    assert run.tags["throughline/launched_by"] == "replay"


def test_what_is_stopped_is_not_evaluated_and_named(make_world: MakeWorld) -> None:
    stopped = sensor(lambda _: dg.RunRequest(), default_status=dg.DefaultSensorStatus.STOPPED)
    world, happened = at_noon(make_world(sensors=[stopped], jobs=[toil])), Happened()
    settle(world, happened)
    assert (happened.runs, idle(world)) == ([], {"asking_sensor": "it is stopped"})


def daily(cron: str | list[str] = "30 6 * * *", zone: str = "America/New_York") -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="daily_schedule",
        job=toil,
        cron_schedule=cron,
        execution_timezone=zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def test_schedules_fire_at_their_local_time_across_a_change_of_the_clocks(make_world: MakeWorld) -> None:
    world = make_world(schedules=[daily()], jobs=[toil])
    span = datetime(2013, 11, 2, 0, tzinfo=UTC), datetime(2013, 11, 4, 0, tzinfo=UTC)
    assert [at for at, _ in firings(world, *span)] == [
        datetime(2013, 11, 2, 10, 30, tzinfo=UTC),
        datetime(2013, 11, 3, 11, 30, tzinfo=UTC),
    ]


def test_each_time_belongs_to_exactly_one_of_two_spans_that_meet(make_world: MakeWorld) -> None:
    world = make_world(schedules=[daily("0 * * * *", "UTC")], jobs=[toil])
    spans = [(NOON - timedelta(hours=2), NOON), (NOON, NOON + timedelta(hours=2))]
    found = [at for span in spans for at, _ in firings(world, *span)]
    assert found == [NOON + timedelta(hours=n) for n in (-1, 0, 1, 2)]


def test_a_time_of_a_schedule_is_carried_out_once(make_world: MakeWorld) -> None:
    world, happened = at_noon(make_world(schedules=[daily()], jobs=[toil])), Happened()
    (schedule,) = world.repository.schedule_defs
    assert fire(world, schedule, NOON, happened)
    assert not fire(world, schedule, NOON, happened)
    assert fire(world, schedule, NOON + timedelta(days=1), happened)
