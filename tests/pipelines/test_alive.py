"""The look from outside the daemon: what `throughline alive` says."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from pipelines import services
from pipelines.alive import silences
from pipelines.silence import Silence
from resources.settings import Settings
from tests.support.small_line import PREPARED


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    for name in PREPARED:
        monkeypatch.setenv(name, os.environ.get(name, ""))
    made = Settings()
    services.prepare_environment(made)
    return made


def told(settings: Settings) -> list[str]:
    log = settings.notices_home / "notices.jsonl"
    return [json.loads(line)["text"] for line in log.read_text(encoding="utf-8").splitlines()]


def links(settings: Settings) -> set[str]:
    log = settings.notices_home / "notices.jsonl"
    return {json.loads(line)["link"] for line in log.read_text(encoding="utf-8").splitlines()}


def test_a_daemon_that_does_not_run_is_noticed_and_people_are_told_once(settings: Settings) -> None:
    for _ in range(2):
        (silence,) = silences(settings, ["traffic_volume"])
        assert silence.startswith("Dagster's daemon was never heard of")
    assert len(told(settings)) == 1


def beat() -> None:
    with dg.DagsterInstance.get() as instance:
        for kind in instance.get_required_daemon_types():
            instance.add_daemon_heartbeat(DaemonHeartbeat(datetime.now(UTC).timestamp(), kind, "one", []))


def test_a_code_location_that_does_not_load_is_noticed(settings: Settings) -> None:
    beat()
    (silence,) = silences(settings, ["no_such_use_case"])
    assert silence.startswith("the code location no_such_use_case does not load: CatalogueError")


def test_while_the_daemon_runs_each_sensor_that_never_ticked_is_named(settings: Settings) -> None:
    beat()
    found = silences(settings, ["traffic_volume"])
    assert "the sensor traffic_volume_new_data_sensor never ticked" in found
    assert all("traffic_volume" in text for text in found)


def test_what_is_told_leads_to_the_page_of_the_daemon(settings: Settings) -> None:
    silences(settings, ["traffic_volume"])
    assert links(settings) == {f"{settings.dagster_url}/deployment/daemons"}


def test_what_is_told_leads_to_the_page_of_code_locations(settings: Settings) -> None:
    beat()
    silences(settings, ["no_such_use_case"])
    assert links(settings) == {f"{settings.dagster_url}/deployment/locations"}


def test_what_is_told_leads_to_the_page_of_sensors_and_schedules(settings: Settings) -> None:
    beat()
    silences(settings, ["traffic_volume"])
    assert links(settings) == {f"{settings.dagster_url}/automation"}


def test_what_is_told_leads_to_the_monitor_that_is_silent(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    late = Silence(about="monitor/drift_report", text="drift_report has no result")
    monkeypatch.setattr("pipelines.alive.silent_in", lambda *_: [late])
    beat()
    silences(settings, ["traffic_volume"])
    assert links(settings) == {f"{settings.dagster_url}/assets/traffic_volume/drift_report"}
