"""The programs around the line on a laptop: Dagster's user interface and daemon, MLflow's, and the endpoints.

Belongs here: how each is started, and where it answers. Does not belong here: starting it (`services.py`).
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines import catalogue
from resources.serving.ports import PORT_VARIABLE, allotted, port_of, process_name
from resources.settings import Settings

ROOT: Final = Path(__file__).parents[1]
WORKSPACE: Final = catalogue.WORKSPACE
HOST: Final = "127.0.0.1"
DAGSTER: Final = "dagster-webserver"
DAEMON: Final = "dagster-daemon"
EVIDENTLY: Final = "evidently"


@dataclass(frozen=True, kw_only=True)
class Service:
    """One program that stays up after the command that started it.

    Attributes:
        name: Of its pid file and log.
        title: What a person calls it.
        command: How it is started; empty for endpoints, which their assets start.
        port: Where it listens on loopback; None if it does not.
        variable: The setting that moves the port.
        health: Path on `port` that answers 200 once it is up.
        page: Path on `port` of the page a person wants to see first.
        is_on_demand: Started only when somebody asks for it.
    """

    name: str
    title: str
    command: tuple[str, ...] = ()
    port: int | None = None
    variable: str | None = None
    health: str | None = None
    page: str = ""
    is_on_demand: bool = False

    @property
    def root(self) -> str | None:
        """Its address without a path."""
        return None if self.port is None else f"http://{HOST}:{self.port}"

    @property
    def address(self) -> str | None:
        """Where a person begins to look."""
        return None if self.root is None else f"{self.root}{self.page}"


def endpoint(settings: Settings, use_case: str) -> Service:
    """The server of a use case; its port is allotted if it has none yet.

    Raises:
        EndpointError: If there is no port left.
    """
    port = port_of(use_case, home=settings.home, base=settings.endpoint_port, reserved=settings.reserved_ports)
    return Service(
        name=process_name(use_case),
        title=f"Endpoint of {use_case}",
        port=port,
        variable=PORT_VARIABLE,
        health="/v2/health/live",
    )


def services(settings: Settings) -> tuple[Service, ...]:
    """The programs in the order in which they start: the endpoints of this state folder, then those around them."""
    return (
        *(endpoint(settings, use_case) for use_case in allotted(settings.home)),
        Service(
            name=DAGSTER,
            title="Dagster",
            command=(
                *_module("dagster_webserver"),
                *("--workspace", str(WORKSPACE), "--host", HOST, "--port", str(settings.dagster_port)),
            ),
            port=settings.dagster_port,
            variable="THROUGHLINE_DAGSTER_PORT",
            health="/server_info",
        ),
        Service(
            name=DAEMON,
            title="Dagster daemon",
            command=(*_module("dagster._daemon"), "run", "--workspace", str(WORKSPACE)),
        ),
        Service(
            name="mlflow",
            title="MLflow",
            command=(
                *_module("mlflow"),
                *("server", "--host", HOST, "--port", str(settings.mlflow_port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{settings.mlflow_home / 'mlflow.db'}"),
                *("--artifacts-destination", str(settings.mlflow_home / "artifacts")),
            ),
            port=settings.mlflow_port,
            variable="THROUGHLINE_MLFLOW_PORT",
            health="/health",
            page="/#/experiments?workflowType=machine_learning",  # else it opens its pages for language models
        ),
        _evidently(settings),
    )


def _evidently(settings: Settings) -> Service:
    return Service(
        name=EVIDENTLY,
        title="Evidently",
        command=(
            *_module("evidently.cli"),
            *("ui", "--workspace", str(settings.evidently_home)),
            *("--host", HOST, "--port", str(settings.evidently_port)),
        ),
        port=settings.evidently_port,
        variable="THROUGHLINE_EVIDENTLY_PORT",
        health="/api/version",
        is_on_demand=True,
    )


def _module(name: str) -> tuple[str, ...]:
    """Start a program by this very interpreter, whatever PATH says."""
    return (sys.executable, "-m", name)
