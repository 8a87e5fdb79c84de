"""Moving a rollout on or back by hand or by an orchestrator, with nothing up but the state folder and the server.

Belongs here: a change of the target state, and waiting until the server has followed. Does not belong here: which
changes there are (`rollout.py`), and deploying (`client.py`). Loads neither Dagster nor MLflow.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from resources import processes
from resources.errors import EndpointError
from resources.serving.calls import Connection
from resources.serving.keys import own_key
from resources.serving.rollout import Cause, finished, refreshed, rolled_back, step_on, unrefreshed
from resources.serving.states import Event, State
from resources.serving.target import StateFolder

FOLLOW_S: Final = 10.0
"""A server follows within 0.2 s; longer only if it has to load what it goes back to, as after a restart."""
LOAD_S: Final = 120.0
POLL_S: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A version that went live, or beside the live one.

    Attributes:
        number: Its version number.
        url: Where it is asked.
        seconds: From the request for it to the swap; 0.0 if exactly this was there already.
        is_live: It answers whoever asks; False while it is only beside the live version.
    """

    number: int
    url: str
    seconds: float
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class Control:
    """The rollout of one use case.

    Attributes:
        folder: Its state folder.
        host: Where its server listens.
        port: Finds the port; asked for when the server is, as looking for one allots it.
    """

    use_case: str
    folder: StateFolder
    host: str
    port: Callable[[], int]

    def state(self) -> State | None:
        """What is to be live, and beside; None if nothing was ever deployed."""
        return self.folder.state()

    def history(self) -> list[Event]:
        """Every change of what is live, or beside it, the first one first."""
        return self.folder.history()

    def taken_back(self, number: int) -> Event | None:
        """The event that took a version back, unless it was asked for again since, or never was."""
        about = [event for event in self.history() if event.version == number and event.change != "refreshed"]
        return about[-1] if about and about[-1].change == "rolled back" else None

    def live_model(self) -> tuple[int, Path]:
        """Number and folder of the model that is to be live.

        Raises:
            EndpointError: If none is, or its files are damaged.
        """
        if (target := self.folder.target()) is None:
            raise EndpointError(f"nothing was ever deployed for {self.use_case}")
        return target.number, self.folder.model(target)

    def roll_back(self, *, by: str, reason: str, timeout: float = FOLLOW_S) -> State:
        """Take back the version beside the live one; without one, go back to the version that was live before.

        Returns once the server has followed, or at once if no server runs.

        Raises:
            EndpointError: If there is nothing to go back to, or the server does not follow.
        """
        return self._move(rolled_back, by, reason, timeout)

    def step_on(self, *, by: str, reason: str, timeout: float = FOLLOW_S) -> State:
        """Give the version beside its next share.

        Raises:
            EndpointError: If no canary is under way, or the server does not follow.
        """
        return self._move(step_on, by, reason, timeout)

    def finish(self, *, by: str, reason: str, timeout: float = FOLLOW_S) -> State:
        """Make the version beside the live one.

        Raises:
            EndpointError: If no rollout is under way, or the server does not follow.
        """
        return self._move(finished, by, reason, timeout)

    def refresh(self, online: Mapping[str, pl.DataFrame], *, by: str, timeout: float = LOAD_S) -> bool:
        """Give the versions that answer a newer history, whatever models they are; what they know already stays.

        Returns once the server has followed, or at once if no server runs.

        Args:
            online: The cleaned tables that the use case's features look into, by table name.
            by: Who or what asks, for the history.
            timeout: Seconds the server may take to load it.

        Returns:
            Whether it was news.

        Raises:
            EndpointError: If nothing was ever deployed, or the server does not follow; it then goes on with what it
                knows, and is asked for no more than that.
        """
        with self.folder.locked():
            before, name = self.state(), self.folder.add_online(online)
            try:
                after = self._move(lambda now, cause: refreshed(now, name, cause), by, "", timeout)
            except EndpointError as error:
                if before is not None:
                    why = Cause(at=datetime.now(UTC), by=by, reason=str(error))
                    self.folder.change(lambda now: now and unrefreshed(now, before, why))
                raise
            self.folder.prune(after.targets)
        return after != before

    def described(self) -> dict[str, Any] | None:
        """What the server says of itself; None if nothing listens.

        Raises:
            EndpointError: If what listens is not the server of this state folder.
        """
        port = self.port()
        if processes.port_is_free(port, self.host):
            return None
        with Connection(self.host, port, key=own_key(self.folder.root)) as connection:
            described = connection.get(f"/v2/models/{self.use_case}")
        if described.get("server", {}).get("identity") != self.folder.identity():
            raise EndpointError(f"port {port} is held by another program than the endpoint of {self.use_case}")
        return described

    def _move(self, transition: Callable[[State, Cause], State], by: str, reason: str, timeout: float) -> State:
        cause = Cause(at=datetime.now(UTC), by=by, reason=reason)

        def moved(now: State | None) -> State:
            if now is None:
                raise EndpointError(f"nothing was ever deployed for {self.use_case}")
            return transition(now, cause)

        _, after = self.folder.change(moved)
        if after is None:
            raise AssertionError("a transition of a state led to none")
        self._wait(after, timeout)
        return after

    def _wait(self, state: State, timeout: float) -> None:
        beside = None if state.beside is None else (state.beside.target.deployment, state.beside.share)
        deadline, asked_at = time.monotonic() + timeout, state.live.requested_at
        while (described := self.described()) is not None:
            wanted, workers = (state.live.deployment, beside), described["workers"]
            if all((w["live"], w["beside"] and tuple(w["beside"])) == wanted for w in workers):
                return
            if why := next((w["failed"][1] for w in workers if w["failed"] and w["failed"][0] == asked_at), None):
                raise EndpointError(f"the server of {self.use_case} did not follow: {why}")
            now = self.state()
            if now is not None and now.revision != state.revision:
                return  # it was changed again meanwhile: whoever did that waits for it
            if time.monotonic() > deadline:
                raise EndpointError(
                    f"the target state is changed, and the server of {self.use_case} has not followed within "
                    f"{timeout:.0f} s; it says: {described['reason'] or described['state']}"
                )
            time.sleep(POLL_S)
