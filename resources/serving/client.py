"""The endpoint as the assets hold it: start its server, give it a version to serve, ask it.

Belongs here: the other side of `target.py` and of the routes. Does not belong here: anything that runs in the server.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl

from resources import processes
from resources.errors import EndpointError
from resources.serving.answers import scores_of
from resources.serving.calls import Connection, Latency, bodies, timed
from resources.serving.control import Control, Deployment
from resources.serving.keys import own_key
from resources.serving.ports import PORT_VARIABLE, port_of, process_name
from resources.serving.rollout import Cause, begin, called_off
from resources.serving.starting import ServerProcess, start
from resources.serving.states import Plan, Target
from resources.serving.target import StateFolder

SMOKE_TEST: Final = "smoke_test"
"""What the log says of requests made here: they are no predictions anybody acts on."""
START_S: Final = 60.0
POLL_S: Final = 0.1


class Endpoint(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """The server processes of the use cases on this machine, one each, and their state folders.

    Attributes:
        host: Address they listen on; loopback.
        port: Port of the first; the others have those after it (`ports.py`).
        reserved: Ports that other programs are set to use.
        state_root: Folder with one state folder per use case.
        home: Folder of pid files, logs and allotted ports.
        workers, log: Processes of each server, and how safe its log is (`log_policy.py`).
        clock: Of a replay: file with the instant that servers stamp their answers with; None: they tell the time.
    """

    host: str = "127.0.0.1"
    port: int
    reserved: list[int] = []  # noqa: RUF012 - pydantic copies it
    state_root: str
    home: str
    workers: int = 1
    log: str = "fast"
    clock: str | None = None

    def port_of(self, use_case: str) -> int:
        """The port of a use case, allotted when first asked for."""
        return port_of(use_case, home=Path(self.home), base=self.port, reserved=self.reserved)

    def root(self, use_case: str) -> str:
        """Where the server of a use case is: `http://<host>:<port>`; its pages for people are there and at `/docs`."""
        return f"http://{self.host}:{self.port_of(use_case)}"

    def url(self, use_case: str) -> str:
        """Where a use case is asked: `http://<host>:<port>/v2/models/<use_case>`."""
        return f"{self.root(use_case)}/v2/models/{use_case}"

    def ensure_running(self, use_case: str, path: str, timeout: float = START_S) -> None:
        """Have the server of this use case run, with today's code; returns once it answers.

        A server whose code has changed on disk since it started is replaced: its features could differ from those the
        next model was trained on.

        Args:
            use_case: Its name.
            path: Where it is declared: a name of the catalogue, or `package.module:NAME`.
            timeout: Seconds the server may take to start.

        Raises:
            EndpointError: If the port is held by anything else, or the server does not come up.
        """
        name, home = process_name(use_case), Path(self.home)
        if (described := self._described(use_case)) is not None:
            if described["server"]["code_is_current"]:
                return
            processes.stop(name, home=home)
        was_there = processes.status(name, home=home).is_running
        try:
            self._start(use_case, path, timeout)
        except EndpointError:
            if not was_there:
                raise
            self._start(use_case, path, timeout)  # what was there was just ending, and never listened again
        self._require_ours(use_case)

    def deploy(
        self,
        use_case: str,
        number: int,
        model: Path,
        online: Mapping[str, pl.DataFrame],
        timeout: float = 120.0,
        *,
        rollout: Plan | None = None,
        is_replacing: bool = False,
        by: str = "the line",
    ) -> Deployment:
        """Have exactly this version served with exactly this history; returns once it is live, or beside the live one.

        If it does not load, what was asked for before is asked for again; the live version answers all the while.

        Args:
            use_case: Its name; its server must run (`ensure_running`).
            number: Version number in the registry.
            model: Folder with the saved model.
            online: The cleaned tables that the use case's features look into, by table name.
            timeout: Seconds the server may take to load and warm it.
            rollout: How it takes over; None: at once. A first version, and newer history for a version that is there,
                always come at once.
            is_replacing: It takes the place of a rollout under way.
            by: Who or what asks, for the history.

        Raises:
            EndpointError: If it did not load, with the server's reason, or another rollout is under way.
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
            before = folder.state()
            if before is not None and described["state"] == "ready" and before.holds(target):
                return self._deployment(use_case, target, seconds=0.0)
            plan, cause = rollout or Plan(), Cause(at=datetime.now(UTC), by=by)
            began = time.monotonic()
            _, asked = folder.change(lambda now: begin(now, target, plan, cause, is_replacing=is_replacing))
            try:
                self._wait_until_loaded(use_case, target, timeout)
            except BaseException as error:
                # Also when the run is cancelled: a target nobody waits for must not go live later.
                why = Cause(at=datetime.now(UTC), by=by, reason=str(error) or type(error).__name__)
                folder.change(lambda now: called_off(now, target, before, why))
                raise
            folder.prune([] if asked is None else asked.targets)
        return self._deployment(use_case, target, seconds=time.monotonic() - began)

    def control(self, use_case: str) -> Control:
        """What moves a rollout on or back."""
        folder, port = self._folder(use_case), partial(self.port_of, use_case)
        return Control(use_case=use_case, folder=folder, host=self.host, port=port)

    def predict(self, use_case: str, rows: pl.DataFrame, version: int | None = None) -> npt.NDArray[np.float64]:
        """Scores of the live endpoint for `rows` of exactly its inputs or its features, shape (n >= 1, fields).

        They go over HTTP, in as many requests as their size needs; with a version to that one, live or beside.

        Returns:
            Shape (n,) for a binary task, else (n, outputs); see `service.Scorer`.

        Raises:
            EndpointError: If a request is refused or fails, with the server's message.
        """
        path = f"/v2/models/{use_case}" + ("" if version is None else f"/versions/{version}")
        with self._connection(use_case) as connection:
            answers = [connection.post(f"{path}/infer", body) for body in bodies(rows, SMOKE_TEST)]
        return np.concatenate([scores_of(answer["outputs"]) for answer in answers])

    def latency(self, use_case: str, rows: pl.DataFrame, calls: int = 200) -> Latency:
        """Time `calls` one-row requests, after a few that do not count; they ask `rows` in turn, as for `predict`."""
        asked = [body for row in range(min(len(rows), calls)) for body in bodies(rows[row], SMOKE_TEST)]
        with self._connection(use_case) as connection:
            return timed(connection, f"/v2/models/{use_case}/infer", asked, calls)

    def live_version(self, use_case: str) -> int | None:
        """Number of the version that answers; None if no server of ours runs, or nothing is live in it."""
        described = self._described(use_case)
        return None if described is None or described["live"] is None else int(described["live"]["version"])

    def _connection(self, use_case: str) -> Connection:
        return Connection(self.host, self.port_of(use_case), key=own_key(self._folder(use_case).root))

    def _folder(self, use_case: str) -> StateFolder:
        return StateFolder(Path(self.state_root) / use_case)

    def _start(self, use_case: str, path: str, timeout: float) -> None:
        clock = () if self.clock is None else ("--clock", self.clock)
        server = ServerProcess(
            use_case=use_case,
            declared_at=path,
            state=self._folder(use_case).root,
            home=Path(self.home),
            host=self.host,
            port=self.port_of(use_case),
            options=("--workers", str(self.workers), "--log", self.log, *clock),
        )
        start(server, timeout)

    def _described(self, use_case: str) -> dict[str, Any] | None:
        """What our server says of itself; None if nothing listens.

        Raises:
            EndpointError: If what listens is not the server of our state folder.
        """
        port = self.port_of(use_case)
        if processes.port_is_free(port, self.host):
            return None
        taken = f"port {port}, which the endpoint of {use_case} needs, is held by"
        advice = f"end that program or set {PORT_VARIABLE} to a free port"
        with self._connection(use_case) as connection:
            try:
                described = connection.get(f"/v2/models/{use_case}")
                identity, pid = described["server"]["identity"], described["server"]["pid"]
            except (EndpointError, KeyError, TypeError) as error:
                if processes.port_is_free(port, self.host):
                    return None  # it ended while it was being asked
                raise EndpointError(f"{taken} another program ({error}); {advice}") from error
        if identity != self._folder(use_case).identity():
            raise EndpointError(f"{taken} the endpoint of another state folder (process {pid}); {advice}")
        return described

    def _require_ours(self, use_case: str) -> dict[str, Any]:
        if (described := self._described(use_case)) is None:
            port = self.port_of(use_case)
            raise EndpointError(f"no endpoint runs on {self.host} port {port}; materialise the endpoint again")
        return described

    def _deployment(self, use_case: str, target: Target, *, seconds: float) -> Deployment:
        state = self._folder(use_case).state()
        is_live = state is not None and state.live.deployment == target.deployment
        return Deployment(number=target.number, url=self.url(use_case), seconds=seconds, is_live=is_live)

    def _wait_until_loaded(self, use_case: str, target: Target, timeout: float) -> None:
        deadline, asked_at = time.monotonic() + timeout, target.requested_at
        while True:
            described = self._require_ours(use_case)
            workers = described["workers"]
            if all(target.deployment in (w["live"], w["beside"] and w["beside"][0]) for w in workers):
                return
            if why := next((w["failed"][1] for w in workers if w["failed"] and w["failed"][0] == asked_at), None):
                raise EndpointError(f"version {target.number} did not go live: {why}")
            if time.monotonic() > deadline:
                raise EndpointError(f"version {target.number} did not go live within {timeout:.0f} s")
            time.sleep(POLL_S)
