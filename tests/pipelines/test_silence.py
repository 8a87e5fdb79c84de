"""What is noticed because it did not happen, on a real Dagster instance whose records are a given time old."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from assets.automation import Automation, DriftPolicy, PerformancePolicy
from assets.partitions import Partitions
from pipelines import watchman
from pipelines.silence import Beat, beats_of, silent_beats, silent_daemons, silent_monitors, stale_assets
from pipelines.watchman import build_silence_sensor, silent_in
from resources.clock import Clock
from resources.notifier import Notifier
from tests.support.instance import write_instance_file
from tests.support.toy_use_case import TOY

NOW = datetime(2030, 5, 10, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=365)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NUMBERS = count()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    folder = tmp_path_factory.mktemp("dagster")
    write_instance_file(folder)
    with dg.DagsterInstance.from_config(str(folder)) as made:
        yield made


@dataclass(frozen=True)
class Recorded:
    """A sensor or schedule of its own, and what a daemon put on record of it."""

    instance: dg.DagsterInstance
    beat: Beat
    location: str = "parcels"

    @property
    def state(self) -> InstigatorState:
        target = LoadableTargetOrigin(module_name=self.location)
        location = InProcessCodeLocationOrigin(loadable_target_origin=target, location_name=self.location)
        origin = RemoteRepositoryOrigin(location, "__repository__").get_instigator_origin(self.beat.name)
        if self.beat.cron is None:
            return InstigatorState(
                origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, SensorInstigatorData()
            )
        data = ScheduleInstigatorData(self.beat.cron, start_timestamp=LONG_AGO.timestamp())
        return InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.DECLARED_IN_CODE, data)

    def add(self, status: InstigatorStatus = InstigatorStatus.DECLARED_IN_CODE) -> "Recorded":
        self.instance.add_instigator_state(self.state.with_status(status))
        return self

    def tick(self, at: datetime, status: TickStatus = TickStatus.SKIPPED, error: str | None = None) -> "Recorded":
        self.instance.create_tick(
            TickData(
                instigator_origin_id=self.state.instigator_origin_id,
                instigator_name=self.beat.name,
                instigator_type=self.state.instigator_type,
                status=status,
                timestamp=at.timestamp(),
                selector_id=self.state.selector_id,
                error=_wrapped(error) if error else None,
            )
        )
        return self

    def silences(self, since: datetime = LONG_AGO) -> list[str]:
        return [s.about.partition("/")[0] for s in silent_beats(self.instance, [self.beat], NOW, since)]


def _wrapped(error: str) -> SerializableErrorInfo:
    """An error as Dagster keeps it: its own around that of the code."""
    return SerializableErrorInfo("Error in a sensor", [], "Outer", SerializableErrorInfo(error, [], "Fault"))


def sensor(instance: dg.DagsterInstance, interval: timedelta = MINUTE) -> Recorded:
    return Recorded(instance, Beat(name=f"sensor_{next(NUMBERS)}", is_on=True, interval=interval))


def schedule(instance: dg.DagsterInstance, cron: str = "0 6 * * *", timezone: str = "UTC") -> Recorded:
    return Recorded(instance, Beat(name=f"schedule_{next(NUMBERS)}", is_on=True, cron=cron, timezone=timezone))


def test_a_sensor_that_ticks_is_not_silent(instance: dg.DagsterInstance) -> None:
    assert sensor(instance).add().tick(NOW - 2 * MINUTE).silences() == []


def test_a_sensor_without_a_tick_for_ten_intervals_is_silent(instance: dg.DagsterInstance) -> None:
    ticked = sensor(instance).add().tick(NOW - 11 * MINUTE)
    assert ticked.silences() == ["silent"]
    assert replace(ticked, beat=replace(ticked.beat, interval=2 * MINUTE)).silences() == []


def test_a_sensor_that_never_ticked_is_silent_once_it_had_the_time(instance: dg.DagsterInstance) -> None:
    assert sensor(instance).silences(since=NOW - 9 * MINUTE) == []
    assert sensor(instance).silences(since=NOW - 11 * MINUTE) == ["silent"]


def test_a_daemon_that_was_just_started_is_given_time(instance: dg.DagsterInstance) -> None:
    assert sensor(instance).add().tick(NOW - DAY).silences(since=NOW - MINUTE) == []
    assert schedule(instance).add().tick(NOW - 2 * DAY).silences(since=NOW - MINUTE) == []


def test_a_tick_that_hangs_is_silence(instance: dg.DagsterInstance) -> None:
    assert sensor(instance).add().tick(NOW - HOUR, TickStatus.STARTED).silences() == ["silent"]


def test_a_last_tick_that_failed_is_told_of_with_its_reason(instance: dg.DagsterInstance) -> None:
    failed = sensor(instance).add().tick(NOW - 2 * MINUTE, TickStatus.FAILURE, "the source is out of reach")
    failed.tick(NOW - MINUTE, TickStatus.STARTED)
    (silence,) = silent_beats(instance, [failed.beat], NOW, LONG_AGO)
    assert silence.about == f"failed/{failed.beat.name}"
    assert "the source is out of reach" in silence.text


def test_a_failure_that_another_tick_made_good_is_forgotten(instance: dg.DagsterInstance) -> None:
    failed = sensor(instance).add().tick(NOW - 2 * MINUTE, TickStatus.FAILURE, "out of reach")
    assert failed.tick(NOW - MINUTE).silences() == []


@pytest.mark.parametrize("make", [sensor, schedule])
def test_what_is_switched_off_is_told_of(instance: dg.DagsterInstance, make: type) -> None:
    recorded = make(instance)
    assert recorded.add(InstigatorStatus.STOPPED).silences() == ["off"]
    off = replace(recorded.beat, is_on=False, name=f"{recorded.beat.name}_too")
    assert Recorded(instance, off).silences() == ["off"]


def test_what_was_switched_on_by_hand_is_on(instance: dg.DagsterInstance) -> None:
    recorded = sensor(instance)
    recorded.add(InstigatorStatus.RUNNING).tick(NOW)
    assert replace(recorded, beat=replace(recorded.beat, is_on=False)).silences() == []


def test_of_a_code_location_that_was_renamed_the_newest_record_counts(instance: dg.DagsterInstance) -> None:
    new = sensor(instance).add().tick(NOW - MINUTE)
    replace(new, location="old").add(InstigatorStatus.STOPPED).tick(NOW - DAY)
    assert new.silences() == []


def test_a_schedule_that_did_not_run_when_it_should_have_is_silent(instance: dg.DagsterInstance) -> None:
    today = NOW.replace(hour=6)
    assert schedule(instance).add().tick(today).silences() == []
    assert schedule(instance).add().tick(today - DAY).silences() == ["silent"]
    assert schedule(instance).silences() == ["silent"]


def test_a_schedule_may_be_a_quarter_of_an_hour_late(instance: dg.DagsterInstance) -> None:
    assert schedule(instance, "50 11 * * *").add().tick(NOW - DAY - 10 * MINUTE).silences() == []


def test_a_schedule_keeps_the_time_of_its_zone(instance: dg.DagsterInstance) -> None:
    in_new_york = schedule(instance, "0 6 * * *", "America/New_York").add()
    assert in_new_york.tick(NOW.replace(hour=10)).silences() == []


def test_a_schedule_is_not_expected_before_it_was_switched_on(instance: dg.DagsterInstance) -> None:
    recorded = schedule(instance, "0 6 1 1 *")
    data = ScheduleInstigatorData("0 6 1 1 *", start_timestamp=(NOW - DAY).timestamp())
    instance.add_instigator_state(recorded.state.with_data(data))
    assert recorded.silences() == []


def beat(instance: dg.DagsterInstance, *kinds: str, at: datetime = NOW) -> None:
    for kind in kinds:
        instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), kind, "one", []))


@pytest.fixture
def daemon(instance: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """An instance whose daemon is well."""
    beat(instance, *instance.get_required_daemon_types())
    yield instance
    instance.wipe_daemon_heartbeats()


def test_a_daemon_that_is_well_is_not_silent(daemon: dg.DagsterInstance) -> None:
    assert silent_daemons(daemon, NOW + MINUTE) == []


def test_a_daemon_that_is_dead_or_never_was_is_one_silence(instance: dg.DagsterInstance) -> None:
    assert [s.about for s in silent_daemons(instance, NOW)] == ["daemon"]
    beat(instance, *instance.get_required_daemon_types(), at=NOW - HOUR)
    (silence,) = silent_daemons(instance, NOW)
    assert "2030-05-10 11:00 UTC" in silence.text
    instance.wipe_daemon_heartbeats()


def test_one_part_of_the_daemon_that_hangs_is_named(daemon: dg.DagsterInstance) -> None:
    beat(daemon, "SCHEDULER", at=NOW - HOUR)
    assert [s.about for s in silent_daemons(daemon, NOW)] == ["daemon/SCHEDULER"]


def test_while_the_daemon_is_dead_nothing_that_follows_from_it_is_told(instance: dg.DagsterInstance) -> None:
    found = silent_in(instance, TOY, DEFS.get_repository_def(), NOW, LONG_AGO)
    assert [s.about for s in found] == ["daemon"]


@dg.schedule(cron_schedule="0 6 * * *", target="*", default_status=dg.DefaultScheduleStatus.RUNNING)
def parcels_monitoring_schedule() -> None:
    """Nothing."""


DEFS = dg.Definitions(
    assets=[
        dg.AssetSpec(["parcels", "drift_report"]),
        dg.asset(
            name="raw",
            key_prefix="parcels",
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=DAY),
        )(lambda: None),
    ],
    sensors=[build_silence_sensor(TOY)],
    schedules=[parcels_monitoring_schedule],
)


def test_sensors_and_schedules_are_taken_from_the_code_location() -> None:
    found = {beat.name: (beat.is_on, beat.interval, beat.cron) for beat in beats_of(DEFS.get_repository_def())}
    assert found == {
        "parcels_silence_sensor": (True, 5 * MINUTE, None),
        "parcels_monitoring_schedule": (True, None, "0 6 * * *"),
    }


def made(instance: dg.DagsterInstance, use_case: str, asset: str, *partitions: str) -> None:
    for partition in partitions:
        instance.report_runless_asset_event(dg.AssetMaterialization([use_case, asset], partition=partition))


@pytest.mark.parametrize(
    ("every", "later", "expected"),
    [("day", 1.9, 0), ("day", 2.1, 1), ("week", 13.9, 0), ("week", 14.1, 1), ("month", 61, 0), ("month", 63, 1)],
)
def test_a_monitor_without_result_two_periods_after_data_was_scored_is_silent(
    instance: dg.DagsterInstance, every: str, later: float, expected: int
) -> None:
    name = f"parcels_{next(NUMBERS)}"
    partitions = Partitions(start=date(2018, 1, 1), every=every)  # type: ignore[arg-type]
    windows = Automation(drift=DriftPolicy(window=93 * DAY), performance=PerformancePolicy(window=93 * DAY))
    use_case = replace(TOY, name=name, partitions=partitions, automation=windows)
    known = [dg.AssetKey([name, m]) for m in ("drift_report", "performance_report")]
    made(instance, name, "predictions", "2020-01-01", "2020-02-01")
    made(instance, name, "drift_report", "2020-01-01")
    made(instance, name, "performance_report", "2020-02-01")
    found = silent_monitors(instance, use_case, known, datetime.now(UTC) + timedelta(days=later))
    assert [s.about for s in found] == ["monitor/drift_report"] * expected


def test_a_monitor_that_was_never_there_is_not_missed(instance: dg.DagsterInstance) -> None:
    name = f"parcels_{next(NUMBERS)}"
    made(instance, name, "predictions", "2020-01-01")
    assert list(silent_monitors(instance, replace(TOY, name=name), [], datetime.now(UTC) + 9 * DAY)) == []


@dataclass
class Watch:
    """The silence sensor with what it remembers."""

    instance: dg.DagsterInstance
    notifier: Notifier
    cursor: str | None = None

    def tick(self) -> str:
        resources = {"notifier": self.notifier, "clock": Clock()}
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=DEFS, resources=resources
        ) as context:
            ticked = DEFS.resolve_sensor_def("parcels_silence_sensor").evaluate_tick(context)
        self.cursor = ticked.cursor
        return str(ticked.skip_message)

    def slept(self, hours: float, *, up: bool = True) -> None:
        """As if its last tick, or only its first one, was so many hours ago."""
        known = json.loads(str(self.cursor))
        moment = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        self.cursor = json.dumps({"since": moment, "last": known["last"] if up else moment})

    @property
    def keys(self) -> list[str]:
        log = Path(self.notifier.root) / "notices.jsonl"
        return [json.loads(line)["key"] for line in log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def watch(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[Watch]:
    beat(instance, *instance.get_required_daemon_types(), at=datetime.now(UTC))
    yield Watch(instance, Notifier(root=str(tmp_path)))
    instance.wipe_daemon_heartbeats()


def test_the_sensor_tells_of_a_schedule_that_did_not_run_once(watch: Watch) -> None:
    assert watch.tick() == "nothing is silent"
    watch.slept(48)
    assert "parcels_monitoring_schedule did not tick at" in watch.tick()
    watch.tick()
    assert "parcels/silence/silent/parcels_monitoring_schedule" in watch.keys
    assert len(set(watch.keys)) == len(watch.keys)


def test_after_a_break_the_sensor_tells_of_it_and_gives_the_others_time(watch: Watch) -> None:
    watch.tick()
    watch.slept(48, up=False)
    assert watch.tick().startswith("nothing was watched from")
    assert [key.rpartition("/")[0].startswith("parcels/silence/break") for key in watch.keys] == [True]


def test_a_part_of_the_daemon_that_hangs_is_told_of_by_the_sensor(watch: Watch) -> None:
    beat(watch.instance, "SCHEDULER", at=datetime.now(UTC) - HOUR)
    assert "SCHEDULER" in watch.tick()


def test_an_asset_whose_freshness_policy_fails_is_told_of(watch: Watch) -> None:
    from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

    raw, stamp = dg.AssetKey(["parcels", "raw"]), datetime.now(UTC).timestamp()
    for new, old in ((FreshnessState.FAIL, FreshnessState.PASS), (FreshnessState.PASS, FreshnessState.FAIL)):
        change = FreshnessStateChange(key=raw, new_state=new, previous_state=old, state_change_timestamp=stamp)
        watch.instance._report_runless_asset_event(change)
        is_stale = new is FreshnessState.FAIL
        assert ("no new data for longer than agreed: raw" in watch.tick()) is is_stale
    assert stale_assets(watch.instance, [raw]) == []


def test_a_code_location_that_no_longer_loads_is_told_of_by_the_others(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["parcels", *(f"gone_{next(NUMBERS)}" for _ in range(2))]
    listed = "".join(f"  - python_module: {{module_name: m, location_name: {name}}}\n" for name in names[:2])
    monkeypatch.setattr(watchman, "WORKSPACE", tmp_path / "workspace.yaml")
    (tmp_path / "workspace.yaml").write_text(f"load_from:\n  - python_file: other.py\n{listed}", encoding="utf-8")
    for name in names[1:]:
        quiet = Beat(name=f"{name}_silence_sensor", is_on=True, interval=5 * MINUTE)
        Recorded(watch.instance, quiet).add().tick(datetime.now(UTC) - 2 * HOUR)
    watch.tick()
    watch.slept(1)
    assert f"nobody looks after {names[1]}, and its code location may not load" in watch.tick()
    assert f"{names[1]}/silence/location/{names[1]}" in watch.keys
    assert not any(names[2] in key for key in watch.keys), "it is no longer in the workspace"
