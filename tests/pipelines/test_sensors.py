"""The new-data sensor over a real S3 server: what it asks for, and what it does when something is in its way."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.contracts import UseCase
from pipelines.assembly import build_definitions
from pipelines.replay.folder import ReplayFolder
from pipelines.replay.outside import Outside
from pipelines.replay.ticking import Happened, settle
from pipelines.replay.world import World, opened_instance, over_own_state, settings_of, with_resources
from pipelines.upkeep import Work
from resources.lake import Lake
from resources.landing import LandingZone
from resources.locks import alone, line_lock
from resources.objects import ObjectStore
from tests.conftest import S3Server
from tests.support.instance import write_instance_file
from tests.support.landed_toy import FIRST_DAY, LANDED_TOY, land
from tests.support.serving import free_port

NOW = datetime(2020, 2, 1, 6, tzinfo=UTC)
SENSOR = "parcels_new_data_sensor"


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


@pytest.fixture
def world(tmp_path: Path, s3_server: S3Server, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The toy with its landing zone and its lake on S3, found by the usual variables; ten days have landed."""
    monkeypatch.setenv("THROUGHLINE_HOME", str(tmp_path / "home"))
    folder = ReplayFolder(tmp_path / "home")
    folder.begin(LANDED_TOY.name, FIRST_DAY)
    settings = settings_of(folder)
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    write_instance_file(settings.dagster_home)
    landing = LandingZone(root=f"{s3_root}/landing")
    lake = Lake(root=f"{s3_root}/lake", storage_options=s3_server.storage_options)
    defs = with_resources(
        over_own_state(build_definitions(LANDED_TOY), settings, folder), {"landing": landing, "lake": lake}
    )
    land(landing.store, day(0), day(9))
    with ExitStack() as stack:
        instance = stack.enter_context(opened_instance(settings))
        outside = Outside(use_case=LANDED_TOY, store=landing.store, landing=Path())
        world = World(use_case=LANDED_TOY, defs=defs, instance=instance, folder=folder, outside=outside)
        world.clock.set(NOW)
        yield world


def settled(world: World) -> list[tuple[str, str]]:
    """Ranges of the runs that the sensors ask for until they rest; all of them take in."""
    happened = Happened()
    settle(world, happened)
    assert happened.faults == []
    assert {run["job"] for run in happened.runs} <= {"parcels_ingest_job"}
    tags = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return [(run["tags"][tags[0]], run["tags"][tags[1]]) for run in happened.runs]


def restate(store: ObjectStore, of: date) -> None:
    """Deliver a day anew, without its last parcel."""
    path = f"parcels_{of}.csv"
    store.write(path, store.read(path).rstrip(b"\n").rpartition(b"\n")[0] + b"\n")


def tick(world: World) -> dg.RunRequest | str | None:
    """What the sensor asks for now, or why it asks for nothing."""
    sensor = world.repository.get_sensor_def(SENSOR)
    resources = {name: world.resource(name) for name in sensor.required_resource_keys}
    with dg.build_sensor_context(
        instance=world.instance, repository_def=world.repository, sensor_name=SENSOR, resources=resources
    ) as context:
        data = sensor.evaluate_tick(context)
    return data.run_requests[0] if data.run_requests else data.skip_message


def test_what_lands_on_s3_is_taken_in_once_and_late_files_with_the_days_that_look_back_on_them(world: World) -> None:
    assert settled(world) == [(str(day(0)), str(day(9)))]
    assert settled(world) == []
    land(world.resource("landing").store, day(10), day(11))
    assert settled(world) == [(str(day(10)), str(day(11)))]
    restate(world.resource("landing").store, day(3))
    looking_back = LANDED_TOY.lookback // timedelta(days=1) + 1
    assert settled(world) == [(str(day(3)), str(day(min(3 + looking_back, 11))))]
    assert settled(world) == []


def test_a_source_out_of_reach_fails_the_tick_and_nothing_is_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    away = with_resources(world.defs, {"landing": LandingZone(root=world.resource("landing").root)})
    happened = Happened()
    settle(World(**{**vars(world), "defs": away}), happened)
    assert happened.runs == []
    assert SENSOR in {fault["by"] for fault in happened.faults if "Could not connect" in fault["why"]}
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    assert settled(world) == [(str(day(0)), str(day(9)))]


def test_two_daemons_that_look_at_once_ask_for_the_same_run(world: World) -> None:
    first, second = tick(world), tick(world)
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert first.run_key == second.run_key


class Killed(BaseException):
    """The end of a tick with nobody to tell."""


@pytest.mark.parametrize("end", [ConnectionError, Killed])
def test_a_tick_that_dies_between_deciding_and_returning_loses_no_file_and_takes_none_in_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    real = Work.request

    def decides_and_dies(work: Work, use_case: UseCase) -> dg.RunRequest:
        raise end(real(work, use_case).run_key)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "request", decides_and_dies)
        with pytest.raises(end) as died:
            tick(world)
    again = tick(world)
    assert isinstance(again, dg.RunRequest)
    assert again.run_key == str(died.value)
    assert settled(world) == [(str(day(0)), str(day(9)))]
    assert settled(world) == []


def test_what_lands_under_a_clock_that_jumps_and_returns_is_taken_in_once(world: World) -> None:
    world.clock.set(NOW + timedelta(days=300))
    assert settled(world) == [(str(day(0)), str(day(9)))]
    world.clock.set(NOW - timedelta(days=300))
    assert settled(world) == []
    land(world.resource("landing").store, day(10), day(10))
    assert settled(world) == [(str(day(10)), str(day(10)))]
    world.clock.set(NOW)
    assert settled(world) == []


def test_nothing_is_asked_for_while_a_line_runs(world: World) -> None:
    with alone(line_lock(world.folder.root), "A test"):
        why = tick(world)
    assert isinstance(why, str)
    assert "`throughline line` runs" in why
