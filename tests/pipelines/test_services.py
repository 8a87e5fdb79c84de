"""The programs around the line: real ones, on free ports of loopback."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import catalogue, programs, services
from pipelines.programs import Service
from pipelines.services import ServiceError
from resources import processes
from resources.environments import resources_for
from resources.serving.ports import port_of, process_name
from resources.settings import Settings
from tests.support.serving import free_port

MENDED = "import dagster as dg\n\ndefs = dg.Definitions()\n"


SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def named(settings: Settings, name: str) -> Service:
    return next(s for s in services.services(settings) if s.name == name)


def with_endpoint(settings: Settings, use_case: str) -> int:
    """The port of a use case, after its endpoint has been used once."""
    return port_of(use_case, home=settings.home, base=settings.endpoint_port, reserved=settings.reserved_ports)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("THROUGHLINE_HOME", "DAGSTER_HOME", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "set by the test, so that it is put back after it")
    for name in ("DAGSTER_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"):
        monkeypatch.setenv(name, "")
    ports = {f"{name}_port": free_port() for name in ("endpoint", "dagster", "mlflow")}
    return Settings(home=tmp_path / "var", **ports)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_the_environment_keeps_all_state_in_one_folder_and_tells_nobody(settings: Settings) -> None:
    services.prepare_environment(settings)
    assert os.environ["DAGSTER_HOME"] == str(settings.home / "dagster")
    assert Path(os.environ["DAGSTER_HOME"]).is_absolute()
    assert os.environ["THROUGHLINE_HOME"] == str(settings.home)
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_dagster_accepts_its_instance_file(settings: Settings) -> None:
    services.prepare_environment(settings)
    code = (
        "import dagster as dg\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    print(instance.telemetry_enabled, instance.run_coordinator.dequeue_interval_seconds)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False 1\n"


def test_an_instance_file_that_changed_is_replaced(settings: Settings) -> None:
    services.prepare_environment(settings)
    copy = settings.home / "dagster" / "dagster.yaml"
    copy.write_text("old", encoding="utf-8")
    services.prepare_environment(settings)
    assert copy.read_bytes() == services.INSTANCE.read_bytes()
    assert [p.name for p in copy.parent.iterdir()] == ["dagster.yaml"]


@pytest.mark.parametrize("name", ["endpoint", "dagster", "mlflow"])
def test_a_taken_port_is_named_with_the_variable_that_moves_it(name: str, settings: Settings, taken_port: int) -> None:
    with_endpoint(settings, "churn")
    moved = settings.model_copy(update={f"{name}_port": taken_port})
    with pytest.raises(ServiceError, match=rf"{taken_port}.*THROUGHLINE_{name.upper()}_PORT"):
        services.check_ports(moved)


def test_nothing_is_started_when_one_port_is_taken(settings: Settings, taken_port: int) -> None:
    with pytest.raises(ServiceError, match=str(taken_port)):
        services.up(settings.model_copy(update={"mlflow_port": taken_port}), print)
    assert [
        s.name for s in services.services(settings) if processes.status(s.name, home=settings.home).is_running
    ] == []


def test_a_port_of_our_own_program_is_not_taken(settings: Settings, taken_port: int) -> None:
    processes.start_detached(SLEEP, name="mlflow", home=settings.home)
    try:
        services.check_ports(settings.model_copy(update={"mlflow_port": taken_port}))
    finally:
        processes.stop("mlflow", home=settings.home)


def test_a_program_that_ends_while_starting_is_named_with_its_last_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.prepare_environment(settings)
    command = (sys.executable, "-c", "print('no wheels'); raise SystemExit(3)")
    broken = services.Service(name="broken", title="Broken", command=command, port=free_port(), health="/")
    monkeypatch.setattr(services, "services", lambda _: (broken,))
    with pytest.raises(ServiceError, match=r"Broken ended while starting; .*broken.*no wheels"):
        services.up(settings, print)


def test_status_says_that_nothing_runs(settings: Settings) -> None:
    port = with_endpoint(settings, "churn")
    shown = services.status(settings, ["churn", "weather"])
    assert shown.count("stopped") == 5
    assert f"No model is live: http://127.0.0.1:{port} does not answer for churn." in shown
    assert "No model of weather is live: its line has not run yet." in shown


def test_the_endpoint_of_every_use_case_is_shown_watched_and_ended(settings: Settings) -> None:
    ports = {name: with_endpoint(settings, name) for name in ("churn", "weather")}
    assert ports["churn"] != ports["weather"]
    for name, port in ports.items():
        processes.start_detached(SLEEP, name=process_name(name), home=settings.home, port=port)
    told: list[str] = []
    shown = services.status(settings, []).splitlines()
    services.stop(settings, told.append)
    for name, port in ports.items():
        assert any(f"Endpoint of {name}" in row and f"http://127.0.0.1:{port}" in row for row in shown)
        assert not processes.status(process_name(name), home=settings.home).is_running
    assert told == ["Stopped: Endpoint of weather, Endpoint of churn"]


def test_an_endpoint_is_shown_where_it_runs_and_not_where_a_variable_would_have_it(settings: Settings) -> None:
    port = with_endpoint(settings, "churn")
    processes.start_detached(SLEEP, name=process_name("churn"), home=settings.home, port=port)
    moved = settings.model_copy(update={"endpoint_port": free_port()})
    try:
        assert f"http://127.0.0.1:{port}" in services.status(moved, [])
        with pytest.raises(ServiceError, match=rf"Endpoint of churn already runs on port {port}, not"):
            services.check_ports(moved)
    finally:
        services.stop(settings, print)


def test_all_programs_come_up_are_reused_and_end(settings: Settings) -> None:
    services.prepare_environment(settings)
    told: list[str] = []
    try:
        services.up(settings, told.append)
        first = {s.name: processes.status(s.name, home=settings.home).pid for s in services.services(settings)}
        assert [t.split(" is up")[0] for t in told if " is up " in t] == ["Dagster", "Dagster daemon", "MLflow"]
        assert services.status(settings, []).count("running") == 3
        assert _locations(settings) == catalogue.in_workspace()
        services.up(settings, told.append)
        assert {s.name: processes.status(s.name, home=settings.home).pid for s in services.services(settings)} == first
    finally:
        services.stop(settings, told.append)
    assert told[-1] == "Stopped: MLflow, Dagster daemon, Dagster"
    assert services.status(settings, []).count("stopped") == 4
    services.check_ports(settings)


def test_a_code_location_that_does_not_load_is_named_with_its_reason_and_loaded_once_it_is_mended(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("broken_location.py").write_text("raise RuntimeError('no such bird')", encoding="utf-8")
    workspace = "load_from:\n  - python_file: {relative_path: broken_location.py, location_name: birds}\n"
    tmp_path.joinpath("workspace.yaml").write_text(workspace, encoding="utf-8")
    monkeypatch.setattr(programs, "WORKSPACE", tmp_path / "workspace.yaml")
    webserver = named(settings, programs.DAGSTER)
    monkeypatch.setattr(services, "services", lambda _: (webserver,))
    services.prepare_environment(settings)
    try:
        with pytest.raises(ServiceError, match=r"does not load: birds: .*no such bird"):
            services.up(settings, print)
        tmp_path.joinpath("broken_location.py").write_text(MENDED, encoding="utf-8")
        services.up(settings, print)
        assert _locations(settings) == ["birds"]
    finally:
        services.stop(settings, print)


def test_use_cases_without_definitions_of_their_own_are_code_locations_through_one_module(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = "module_name: pipelines.locations, attribute: {0}, location_name: {0}, working_directory: {1}"
    listed = [entry.format(name, programs.ROOT) for name in ("flight_delays", "flight_delay")]
    lines = "".join(f"  - python_module: {{{text}}}\n" for text in listed)
    tmp_path.joinpath("workspace.yaml").write_text(f"load_from:\n{lines}", encoding="utf-8")
    monkeypatch.setattr(programs, "WORKSPACE", tmp_path / "workspace.yaml")
    webserver = named(settings, programs.DAGSTER)
    monkeypatch.setattr(services, "services", lambda _: (webserver,))
    services.prepare_environment(settings)
    told = pytest.raises(ServiceError, match=r"load: flight_delay: .*no use case 'flight_delay'; did you mean 'flight")
    try:
        with told:
            services.up(settings, print)
        assert _locations(settings) == ["flight_delays"]
    finally:
        services.stop(settings, print)


def test_the_mlflow_server_answers_files_of_a_run_where_the_registry_says(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = named(settings, "mlflow")
    monkeypatch.setattr(services, "services", lambda _: (mlflow,))
    services.prepare_environment(settings)
    registry = resources_for(settings)["registry"]
    with registry.run("churn", "one", {}) as run_id:
        registry.log(run_id, documents={"pages/a b.txt": "read me"})
    try:
        services.up(settings, print)
        with urllib.request.urlopen(registry.file_url(run_id, "pages/a b.txt")) as answer:
            assert answer.read() == b"read me"
    finally:
        services.stop(settings, print)


def _locations(settings: Settings) -> list[str]:
    query = "{workspaceOrError{...on Workspace{locationEntries{name locationOrLoadError{__typename}}}}}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{settings.dagster_port}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        entries = json.load(answer)["data"]["workspaceOrError"]["locationEntries"]
    return [e["name"] for e in entries if e["locationOrLoadError"]["__typename"] == "RepositoryLocation"]
