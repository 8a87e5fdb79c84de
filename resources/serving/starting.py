"""Starting the server process of one use case's endpoint.

Belongs here: its command line and environment. Does not belong here: detaching and finding processes
(`resources/processes.py`), and whether one is needed (`client.py`).
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from resources import processes
from resources.errors import EndpointError
from resources.serving.ports import PORT_VARIABLE, process_name


@dataclass(frozen=True, kw_only=True)
class ServerProcess:
    """What a server process is started with.

    Attributes:
        declared_at: Where its use case is declared: a name of the catalogue, or `package.module:NAME`.
        state: Its state folder.
        home: Folder of pid files and logs.
        options: Further arguments of `python -m pipelines.serve`.
    """

    use_case: str
    declared_at: str
    state: Path
    home: Path
    host: str
    port: int
    options: tuple[str, ...] = ()


def start(server: ServerProcess, timeout: float) -> None:
    """Start it, and return once it answers.

    Raises:
        EndpointError: If the port is held by anything else, or it does not answer within `timeout` seconds.
    """
    started, name = _started(server), process_name(server.use_case)

    def runs() -> bool:
        return processes.status(name, home=server.home).pid == started.pid

    try:
        live = f"http://{server.host}:{server.port}/v2/health/live"
        processes.wait_until_healthy(live, timeout=timeout, is_alive=runs)
    except processes.ProcessError as error:
        said = processes.last_line(started.log)
        raise EndpointError(f"the endpoint did not start: {error}; its log {started.log} ends with: {said}") from error


def _started(server: ServerProcess) -> processes.ProcessStatus:
    name, home, port = process_name(server.use_case), server.home, server.port
    command = [sys.executable, "-m", "pipelines.serve", "--use-case", server.declared_at]
    command += ["--state", str(server.state), "--host", server.host, "--port", str(port), *server.options]
    # One row gains nothing from many threads, and several requests at once would fight for the cores.
    env = {"OMP_NUM_THREADS": "1", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    if (found := processes.status(name, home=home)).is_running and found.port != port:
        processes.stop(name, home=home)  # it answers on the port of an earlier setting
    try:
        return processes.start_detached(command, name=name, home=home, env=env, port=port)
    except processes.ProcessError as error:
        raise EndpointError(f"{error}; end that program or set {PORT_VARIABLE} to a free port") from error
