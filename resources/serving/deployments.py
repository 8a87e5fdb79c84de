"""Which version is live in this process: follows the target state, loads beside the live version, then swaps.

Belongs here: the life of versions in one server process. Does not belong here: the files (`target.py`), and answering
requests (`server.py`).
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from resources.errors import ThroughlineError
from resources.serving.service import Scorer, ScoringService
from resources.serving.target import StateFolder, Target

LOG: Final = logging.getLogger(__name__)
POLL_S: Final = 0.2
"""Seconds between two looks at the target; a look costs one `stat`."""
RETRY_S: Final = 5.0
"""Seconds to wait after the state folder could not be read, so that the log stays readable."""

State = Literal["waiting", "loading", "ready", "failed"]


@dataclass(frozen=True, kw_only=True)
class Live:
    """A version that answers requests."""

    target: Target
    scorer: Scorer
    loaded_at: datetime
    load_seconds: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A version that was asked for and did not go live. `target` is None if the target itself could not be read."""

    target: Target | None
    reason: str
    failed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is live and how the target stands; replaced as a whole, so that a reader never sees half a change.

    Attributes:
        state: `waiting` for a first target, `loading` one, `ready` when the target is live, `failed` when it is not
            going to be; whatever is live goes on answering in all of them.
        failure: The last one, kept after a later success until the next failure.
    """

    state: State = "waiting"
    live: Live | None = None
    failure: Failure | None = None


class Deployments:
    """Follows the target state in a thread of its own."""

    def __init__(self, service: ScoringService, folder: StateFolder, on_change: Callable[[Status], None]) -> None:
        """Take what to load with, what to follow, and whom to tell; nothing starts before `start`."""
        self._service, self._folder, self._on_change = service, folder, on_change
        self._status = Status()
        self._seen: object = ()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deployments", daemon=True)

    @property
    def status(self) -> Status:
        """How things stand now. Take it once per request: the next look may show another version."""
        return self._status

    def start(self) -> None:
        """Begin to follow the target."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; a load under way is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(0 if self._seen == () else POLL_S):
            try:
                is_first, stamp = self._seen == (), self._folder.stamp()
                if stamp == self._seen:
                    continue
                self._seen = stamp
                self._follow()
                if is_first and self._status.state == "failed":
                    self._come_back()
            except Exception:
                # This thread must outlive anything: without it no later target would ever be looked at.
                LOG.exception("cannot follow the target state; the live version goes on answering")
                self._stopping.wait(RETRY_S)

    def _follow(self) -> None:
        """Bring the target live, or say why not."""
        target: Target | None = None
        try:
            target = self._folder.target()
            live = self._status.live
            if target is None or (live is not None and live.target.deployment == target.deployment):
                self._show(replace(self._status, state="waiting" if live is None else "ready"))
                return
            self._show(replace(self._status, state="loading"))
            loaded = self._load(target)
            wanted = self._folder.target()  # another may have been asked for while this one loaded
        except Exception as error:
            # Whatever a new version throws must not touch the live one; it is told to whoever asked for it.
            LOG.exception("a version did not go live: %s", target)
            reason = str(error) if isinstance(error, ThroughlineError) else f"{type(error).__name__}: {error}"
            failure = Failure(target=target, reason=reason, failed_at=datetime.now(UTC))
            self._show(replace(self._status, state="failed", failure=failure))
            return
        if wanted is not None and wanted.deployment == target.deployment:
            self._go_live(loaded)

    def _come_back(self) -> None:
        """After a restart whose target fails: serve what was live before."""
        last, failure = self._folder.last_live(), self._status.failure
        if last is not None and failure is not None and last != failure.target:
            LOG.warning("going back to what was live before: %s", last)
            self._show(replace(self._status, live=self._load(last)))

    def _load(self, target: Target) -> Live:
        began = time.perf_counter()
        scorer = self._service.load(self._folder.model(target), self._folder.online(target))
        scorer.warm_up()
        seconds = time.perf_counter() - began
        return Live(target=target, scorer=scorer, loaded_at=datetime.now(UTC), load_seconds=seconds)

    def _go_live(self, loaded: Live) -> None:
        self._show(replace(self._status, state="ready", live=loaded))
        LOG.info("version %d is live after %.2f s", loaded.target.number, loaded.load_seconds)
        self._folder.remember_live(loaded.target)

    def _show(self, status: Status) -> None:
        self._status = status
        self._on_change(status)
