"""The endpoint as the assets hold it: start its server, give it a version to serve, ask it.

Belongs here: the other side of `target.py` and of the routes. Does not belong here: anything that runs in the server.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl

from resources import processes
from resources.errors import EndpointError
from resources.serving.calls import Connection, Latency, bodies, timed
from resources.serving.target import StateFolder, Target

PROCESS: Final = "endpoint"
"""Name of the server's pid file and log."""
PORT_VARIABLE: Final = "THROUGHLINE_ENDPOINT_PORT"
SMOKE_TEST: Final = "smoke_test"
"""What the log says of requests made here: they are no predictions anybody acts on."""
START_S: Final = 60.0
POLL_S: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A version that went live.

    Attributes:
        number: Its version number.
        url: Where it is asked.
        seconds: From the request for it to the swap; 0.0 if exactly this was live already.
    """

    number: int
    url: str
    seconds: float


class Endpoint(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """The server process of a use case on this machine, and its state folder.

    Attributes:
        host: Address it listens on; loopback.
        port: Port it listens on.
        state_root: Folder with one state folder per use case.
        home: Folder of pid files and logs.
    """

    host: str = "127.0.0.1"
    port: int
    state_root: str
    home: str

    def url(self, use_case: str) -> str:
        """Where a use case is asked: `http://<host>:<port>/v2/models/<use_case>`."""
        return f"http://{self.host}:{self.port}/v2/models/{use_case}"

    def ensure_running(self, use_case: str, path: str, timeout: float = START_S) -> None:
        """Have the server of this use case run, with today's code; returns once it answers.

        A server whose code has changed on disk since it started is replaced: its features could differ from those the
        next model was trained on.

        Args:
            use_case: Its name.
            path: Where it is declared, as `package.module:NAME`.
            timeout: Seconds the server may take to start.

        Raises:
            EndpointError: If the port is held by anything else, or the server does not come up.
        """
        if (described := self._described(use_case)) is not None:
            if described["server"]["code_is_current"]:
                return
            processes.stop(PROCESS, home=Path(self.home))
        was_there = processes.status(PROCESS, home=Path(self.home)).is_running
        try:
            self._come_up(use_case, path, timeout)
        except EndpointError:
            if not was_there:
                raise
            self._come_up(use_case, path, timeout)  # what was there was just ending, and never listened again
        self._require_ours(use_case)

    def deploy(
        self, use_case: str, number: int, model: Path, online: Mapping[str, pl.DataFrame], timeout: float = 120.0
    ) -> Deployment:
        """Have exactly this version served with exactly this history; returns once it is live.

        If it does not go live, what was asked for before is asked for again; the live version answers all the while.

        Args:
            use_case: Its name; its server must run (`ensure_running`).
            number: Version number in the registry.
            model: Folder with the saved model.
            online: The cleaned tables that the use case's features look into, by table name.
            timeout: Seconds the server may take to load and warm it.

        Raises:
            EndpointError: If it did not go live, with the server's reason.
        """
        folder = self._folder(use_case)
        with folder.locked():
            described = self._require_ours(use_case)
            target = Target(
                number=number,
                model=folder.add_model(number, model),
                online=folder.add_online(online),
                requested_at=datetime.now(UTC).isoformat(),
            )
            before = folder.target()
            if before is not None and described["state"] == "ready" and target.deployment == before.deployment:
                return Deployment(number=number, url=self.url(use_case), seconds=0.0)
            began = time.monotonic()
            folder.ask_for(target)
            try:
                self._wait_until_live(use_case, target, timeout)
            except BaseException:  # also when the run is cancelled: a target nobody waits for must not go live later
                folder.ask_for(before)
                raise
            folder.prune([t for t in (target, before) if t is not None])
        return Deployment(number=number, url=self.url(use_case), seconds=time.monotonic() - began)

    def predict(self, use_case: str, rows: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Scores of the live endpoint, over HTTP, in as many requests as their size needs.

        Args:
            use_case: Its name.
            rows: Exactly its inputs, or exactly its features, shape (n, fields).

        Returns:
            Shape (n,).

        Raises:
            EndpointError: If a request is refused or fails, with the server's message.
        """
        scores = []
        with Connection(self.host, self.port) as connection:
            for body in bodies(rows, SMOKE_TEST):
                answer = connection.post(f"/v2/models/{use_case}/infer", body)
                scores += answer["outputs"][0]["data"]
        return np.array(scores, dtype=np.float64)

    def latency(self, use_case: str, rows: pl.DataFrame, calls: int = 200) -> Latency:
        """Time `calls` one-row requests, after a few that do not count.

        Args:
            use_case: Its name.
            rows: What to ask, in turn; inputs or features, shape (n >= 1, fields).
            calls: How many requests count.
        """
        asked = [body for row in range(min(len(rows), calls)) for body in bodies(rows[row], SMOKE_TEST)]
        with Connection(self.host, self.port) as connection:
            return timed(connection, f"/v2/models/{use_case}/infer", asked, calls)

    def live_version(self, use_case: str) -> int | None:
        """Number of the version that answers; None if no server of ours runs, or nothing is live in it.

        Raises:
            EndpointError: If something else holds the port.
        """
        described = self._described(use_case)
        return None if described is None or described["live"] is None else int(described["live"]["version"])

    def _folder(self, use_case: str) -> StateFolder:
        if not use_case.isidentifier():
            raise EndpointError(f"{use_case!r} cannot be the name of a use case")
        return StateFolder(Path(self.state_root) / use_case)

    def _come_up(self, use_case: str, path: str, timeout: float) -> None:
        started = self._start(use_case, path)
        live = f"http://{self.host}:{self.port}/v2/health/live"
        try:
            processes.wait_until_healthy(live, timeout=timeout, is_alive=lambda: self._runs(started.pid))
        except processes.ProcessError as error:
            said = processes.last_line(started.log)
            raise EndpointError(
                f"the endpoint did not start: {error}; its log {started.log} ends with: {said}"
            ) from error

    def _start(self, use_case: str, path: str) -> processes.ProcessStatus:
        command = [sys.executable, "-m", "pipelines.serve", "--use-case", path]
        command += ["--state", str(self._folder(use_case).root), "--host", self.host, "--port", str(self.port)]
        # One row gains nothing from many threads, and several requests at once would fight for the cores.
        env = {"OMP_NUM_THREADS": "1", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
        if (found := processes.status(PROCESS, home=Path(self.home))).is_running and found.port != self.port:
            processes.stop(PROCESS, home=Path(self.home))  # it answers on the port of an earlier setting
        try:
            return processes.start_detached(command, name=PROCESS, home=Path(self.home), env=env, port=self.port)
        except processes.ProcessError as error:
            raise EndpointError(f"{error}; end that program or set {PORT_VARIABLE} to a free port") from error

    def _runs(self, pid: int | None) -> bool:
        return processes.status(PROCESS, home=Path(self.home)).pid == pid

    def _described(self, use_case: str) -> dict[str, Any] | None:
        """What our server says of itself; None if nothing listens.

        Raises:
            EndpointError: If what listens is not the server of our state folder.
        """
        if processes.port_is_free(self.port, self.host):
            return None
        taken = f"port {self.port}, which the endpoint needs, is held by"
        advice = f"end that program or set {PORT_VARIABLE} to a free port"
        with Connection(self.host, self.port) as connection:
            try:
                described = connection.get(f"/v2/models/{use_case}")
                identity, pid = described["server"]["identity"], described["server"]["pid"]
            except (EndpointError, KeyError, TypeError) as error:
                if processes.port_is_free(self.port, self.host):
                    return None  # it ended while it was being asked
                raise EndpointError(f"{taken} another program ({error}); {advice}") from error
        if identity != self._folder(use_case).identity():
            raise EndpointError(f"{taken} the endpoint of another state folder (process {pid}); {advice}")
        return described

    def _require_ours(self, use_case: str) -> dict[str, Any]:
        if (described := self._described(use_case)) is None:
            raise EndpointError(f"no endpoint runs on {self.host} port {self.port}; materialise the endpoint again")
        return described

    def _wait_until_live(self, use_case: str, target: Target, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            described = self._require_ours(use_case)
            live, failure = described["live"], described["failure"]
            if live is not None and live["deployment"] == target.deployment:
                return
            if failure is not None and failure["requested_at"] == target.requested_at:
                raise EndpointError(f"version {target.number} did not go live: {failure['reason']}")
            if time.monotonic() > deadline:
                raise EndpointError(f"version {target.number} did not go live within {timeout:.0f} s")
            time.sleep(POLL_S)
