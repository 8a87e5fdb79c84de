"""Starting, watching and ending the programs around the line on a laptop.

Belongs here: the order of things, and what is told of them. Does not belong here: which programs those are
(`programs.py`), how a process is detached and found again (`resources/processes.py`), what a program answers when it is
asked how it is (`health.py`), and the line (`line.py`).
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from pipelines import health, programs
from pipelines.programs import DAGSTER, EVIDENTLY, HOST, Service, services
from resources import processes
from resources.errors import ThroughlineError
from resources.objects import ObjectStore
from resources.serving.keys import own_key
from resources.serving.ports import allotted, process_name
from resources.settings import Settings

Echo = Callable[[str], None]

INSTANCE: Final = programs.ROOT / "infra" / "dagster" / "dagster.yaml"
START_SECONDS: Final = 90.0
"""Longest wait for a program to answer; 3 to 8 s on an idle machine, ten times that on a busy one."""


class ServiceError(ThroughlineError):
    """A program cannot be started or does not answer; the message names it and what to do."""


def prepare_environment(settings: Settings) -> None:
    """Give this process, and all it starts, one state folder and no telemetry. Every command calls it first.

    Raises:
        ServiceError: If the files of the clone that the programs need are not there.
    """
    if missing := [path for path in (programs.WORKSPACE, INSTANCE) if not path.is_file()]:
        raise ServiceError(f"{missing[0]} is missing; run throughline from a clone, installed with `make setup`")
    ObjectStore(str(settings.dagster_home)).write("dagster.yaml", INSTANCE.read_bytes())
    os.environ |= {
        "THROUGHLINE_HOME": str(settings.home),  # children start in another folder than ./var may be relative to
        "DAGSTER_HOME": str(settings.dagster_home),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",  # a run over 243 days has 5,000 events; see resources/event_log.py
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "true",  # Evidently takes any value, MLflow only this one
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its job runner is 7 processes and 1.4 GB
    }


def check_ports(settings: Settings, names: Sequence[str] | None = None) -> None:
    """Refuse to begin when a program about to start would find its port taken.

    `names` says which; None for all but those that are started on demand.

    Raises:
        ServiceError: Naming the port, who wants it, and the variable that moves it.
    """
    for service in services(settings):
        if service.port is None or (service.is_on_demand if names is None else service.name not in names):
            continue
        found = processes.status(service.name, home=settings.home)
        if found.is_running and found.port not in (None, service.port):
            raise ServiceError(
                f"{service.title} already runs on port {found.port}, not {service.port}; run `make stop` to move it"
            )
        if not found.is_running and not processes.port_is_free(service.port):
            raise ServiceError(
                f"Port {service.port}, which {service.title} needs, is in use by another program; "
                f"end that program or set {service.variable} to a free port"
            )


def up(settings: Settings, echo: Echo) -> None:
    """Start what does not run yet, and wait until everything that was started answers. No endpoint is started.

    A Dagster that runs already loads the code anew: it may have changed since.

    Raises:
        ServiceError: If a port is taken (then nothing is started), or a program does not come up.
    """
    ours = [service for service in services(settings) if service.command and not service.is_on_demand]
    check_ports(settings, [service.name for service in ours])
    settings.mlflow_home.mkdir(parents=True, exist_ok=True)
    _initialise_dagster()
    started = start(ours, settings, echo)
    ran_already = {service.name for service in ours} - {service.name for service in started}
    if DAGSTER in ran_already and not health.reload_locations(_dagster(settings)):
        raise ServiceError(
            f"Dagster at {_dagster(settings)} does not load its code anew; run `make stop` and start again"
        )
    if broken := health.broken_locations(_dagster(settings)):
        faults = "; ".join(f"{name}: {why}" for name, why in broken.items())
        raise ServiceError(f"Dagster is up at {_dagster(settings)}, but a code location does not load: {faults}")


def start(wanted: Sequence[Service], settings: Settings, echo: Echo) -> list[Service]:
    """Start those of some programs that do not run, and wait until they answer; returns them.

    Raises:
        ServiceError: If one does not come up.
    """
    started = [service for service in wanted if not _runs(service, settings)]
    for service in started:
        processes.start_detached(service.command, name=service.name, home=settings.home, port=service.port)
    for service in started:
        began = time.monotonic()
        echo(f"Waiting for {service.title} ...")
        _wait(service, settings)
        echo(f"{service.title} is up after {time.monotonic() - began:.1f} s")
    return started


def addresses(settings: Settings) -> str:
    """One line per program that runs and that a person can open."""
    shown = [s for s in services(settings) if s.address and _runs(s, settings)]
    width = max((len(s.title) for s in shown), default=0)
    return "\n".join(f"{s.title:<{width}} {s.address}" for s in shown)


def stop(settings: Settings, echo: Echo) -> None:
    """End every program that this home started, and no other."""
    stopped = [s.title for s in reversed(services(settings)) if processes.stop(s.name, home=settings.home)]
    echo(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was running.")


def status(settings: Settings, use_cases: Sequence[str]) -> str:
    """A table of the programs, and the versions that are live of `use_cases` and of all that have an endpoint."""
    settings = _with_ports_in_use(settings)
    shown = [_as_it_runs(service, settings) for service in services(settings)]
    rows = [("SERVICE", "STATE", "PID", "ADDRESS", "LOG")]
    for service in shown:
        found = processes.status(service.name, home=settings.home)
        state = "stopped" if not found.is_running else "running" if _is_well(service, settings) else "not answering"
        pid = str(found.pid) if found.is_running else "-"
        rows.append((service.title, state, pid, service.address or "-", str(found.log)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    roots = {service.name: service.root for service in shown}
    known = dict.fromkeys([*allotted(settings.home), *use_cases])
    return "\n".join([*lines, "", *(_live(roots.get(process_name(name)), name, settings) for name in known)])


def _initialise_dagster() -> None:
    """Make Dagster's databases, once: the webserver and the daemon break them when both make them at the same time."""
    from dagster import DagsterInstance

    with DagsterInstance.get():
        pass


def _wait(service: Service, settings: Settings) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_well(service, settings):
        found = processes.status(service.name, home=settings.home)
        if not found.is_running:
            why = processes.last_line(found.log)
            raise ServiceError(f"{service.title} ended while starting; its log {found.log} says why: {why}")
        if time.monotonic() > deadline:
            raise ServiceError(f"{service.title} does not answer after {START_SECONDS:.0f} s; see its log {found.log}")
        time.sleep(0.2)


def _runs(service: Service, settings: Settings) -> bool:
    return processes.status(service.name, home=settings.home).is_running


def _with_ports_in_use(settings: Settings) -> Settings:
    """The settings, with the ports of what runs: a variable may have changed since it was started."""
    fields = {DAGSTER: "dagster_port", "mlflow": "mlflow_port", EVIDENTLY: "evidently_port"}
    ports = {field: processes.status(name, home=settings.home).port for name, field in fields.items()}
    return settings.model_copy(update={field: port for field, port in ports.items() if port is not None})


def _as_it_runs(service: Service, settings: Settings) -> Service:
    """The same for an endpoint."""
    port = processes.status(service.name, home=settings.home).port
    return service if port is None else replace(service, port=port)


def _is_well(service: Service, settings: Settings) -> bool:
    """Whether a program answers. The daemon does not listen: the webserver is asked for its heartbeats."""
    if service.health is None:
        return health.daemons_are_healthy(_dagster(settings))
    return health.answers(f"{service.root}{service.health}")


def _dagster(settings: Settings) -> str:
    return f"http://{HOST}:{settings.dagster_port}"


def _live(endpoint: str | None, use_case: str, settings: Settings) -> str:
    if endpoint is None:
        return f"No model of {use_case} is live: its line has not run yet."
    versions = health.live_versions(endpoint, use_case, own_key(settings.serving_home / use_case))
    if versions is None:
        return f"No model is live: {endpoint} does not answer for {use_case}."
    return f"Live at {endpoint}: {use_case}, version {', '.join(versions)}"
