"""Which versions are loaded in this process: follows the target state, loads beside the live version, then swaps.

Belongs here: the life of versions in one server process, and the watch over a rollout. Does not belong here: the files
(`target.py`), what is told of versions (`statuses.py`), and answering requests (`answering.py`).
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from resources.errors import ThroughlineError
from resources.locks import Seat
from resources.serving import pauses
from resources.serving.evidence import Evidence
from resources.serving.guardrails import Verdict, judge
from resources.serving.pace import require_speed
from resources.serving.rollout import Cause, called_off, rolled_back, step_on
from resources.serving.service import ScoringService
from resources.serving.states import Beside, State, Target
from resources.serving.statuses import Companion, Failure, Live, Pick, Status
from resources.serving.target import StateFolder

__all__ = ["Companion", "Deployments", "Failure", "Live", "Pick", "Status"]

LOG: Final = logging.getLogger(__name__)
POLL_S: Final = 0.2
"""Seconds between two looks at the target; a look costs one `stat`."""
RETRY_S: Final = 5.0
"""Seconds to wait after the state folder could not be read, so that the log stays readable."""
SERVER: Final = "the server"


class Deployments:
    """Follows the target state in a thread of its own, and takes a bad version back by itself.

    Attributes:
        evidence: Where whoever scores notes what each version did.
    """

    def __init__(self, service: ScoringService, folder: StateFolder, on_change: Callable[[Status], None]) -> None:
        """Take what to load with, what to follow, and whom to tell; nothing starts before `start`."""
        self._service, self._folder, self._on_change = service, folder, on_change
        self.evidence = Evidence(folder.root, service.signature.task)
        self._status = Status()
        self._seen: object = ()
        self._seat = Seat(folder.root / "judge.lock")
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
        self._seat.leave()

    def _run(self) -> None:
        while not self._stopping.wait(0 if self._seen == () else POLL_S):
            try:
                self._look()
                self._weigh()
            except Exception:
                # This thread must outlive anything: without it no later target would ever be looked at.
                LOG.exception("cannot follow the target state; the live version goes on answering")
                self._stopping.wait(RETRY_S)

    def _look(self) -> None:
        is_first, stamp = self._seen == (), self._folder.stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        self._follow()
        if is_first and self._status.live is None and self._status.state == "failed":
            self._come_back()

    def _follow(self) -> None:
        """Bring what is asked for live, and beside, or say why not."""
        target: Target | None = None
        try:
            state = self._folder.state()
            if state is None:
                self._show(replace(self._status, state="waiting" if self._status.live is None else "ready"))
                return
            target = state.live
            if (live := self._status.held(target)) is None:
                self._show(replace(self._status, state="loading"))
                live = self._load(target)
                wanted = self._folder.target()  # another may have been asked for while this one loaded
                if wanted is None or wanted.deployment != target.deployment:
                    return
            self._take_over(state, live)
            if state.beside is not None and self._status.beside is None:
                target = state.beside.target
                self._bring_beside(state.beside, live)
            self._bring_back(state.previous)
        except Exception as error:
            # Whatever a new version throws must not touch the live one; it is told to whoever asked for it.
            LOG.exception("a version did not go live: %s", target)
            self._fail(
                target, str(error) if isinstance(error, ThroughlineError) else f"{type(error).__name__}: {error}"
            )

    def _fail(self, target: Target | None, reason: str) -> None:
        failure = Failure(target=target, reason=reason, failed_at=datetime.now(UTC))
        cause = Cause(at=failure.failed_at, by=SERVER, reason=reason)

        def without_it(now: State | None) -> State | None:
            is_beside = now is not None and now.beside is not None and now.beside.target == target
            return called_off(now, target, None, cause) if target is not None and is_beside else now

        try:
            if target is not None:
                self._folder.change(without_it)
        finally:
            self._show(replace(self._status, state="failed", failure=failure))

    def _take_over(self, state: State, live: Live) -> None:
        """Swap to a state as a whole, with whatever of it is loaded."""
        before, plan = self._status, state.beside
        loaded = None if plan is None else before.held(plan.target)
        status = Status(
            state="ready" if plan is None or loaded is not None else "loading",
            live=live,
            beside=None if plan is None or loaded is None else Companion(live=loaded, rollout=plan),
            previous=None if state.previous is None else before.held(state.previous),
            failure=before.failure,
        )
        self._show(status)
        if before.live is not live:
            LOG.info("version %d is live", live.target.number)
            self._folder.remember_live(live.target)

    def _bring_beside(self, rollout: Beside, live: Live) -> None:
        loaded = self._load(rollout.target)
        require_speed(loaded, live)
        state = self._folder.state()  # it may have been taken back while it loaded, or the live one exchanged
        if state is None or state.beside is None or state.beside.target != rollout.target:
            return
        LOG.info("version %d is beside version %d", rollout.target.number, live.target.number)
        self._show(replace(self._status, state="ready", beside=Companion(live=loaded, rollout=state.beside)))

    def _bring_back(self, previous: Target | None) -> None:
        """After a restart: have the version before loaded again, so that going back takes no time."""
        if previous is None or self._status.previous is not None:
            return
        try:
            self._show(replace(self._status, previous=self._load(previous)))
        except Exception:
            # It answers nobody, and going back to it would say so again.
            LOG.exception("the previous version cannot be loaded any more: %s", previous)

    def _come_back(self) -> None:
        """After a restart whose target fails: serve what was live last, or else the version before it."""
        failed = None if self._status.failure is None else self._status.failure.target
        for look in (self._folder.last_live, self._before):
            try:
                target = look()
                if target is not None and target != failed:
                    LOG.warning("going back to what was live before: %s", target)
                    self._show(replace(self._status, live=self._load(target)))
                    return
            except Exception:
                # It may be as damaged as the target is; then the next one is tried.
                LOG.exception("what was live before cannot be loaded any more")

    def _before(self) -> Target | None:
        state = self._folder.state()
        return None if state is None else state.previous

    def _load(self, target: Target) -> Live:
        began = time.perf_counter()
        scorer = self._service.load(self._folder.model(target), self._folder.online(target))
        scorer.warm_up()
        pauses.settle()
        seconds = time.perf_counter() - began
        return Live(target=target, scorer=scorer, loaded_at=datetime.now(UTC), load_seconds=seconds)

    def _weigh(self) -> None:
        """Count what was scored; one of the workers judges the sum of all, and acts on it at once."""
        status = self._status
        if status.live is None:
            return
        rollout = None if status.beside is None else status.beside.rollout
        is_judge = rollout is not None and self._seat.is_mine()
        self.evidence.count(status.live.target.number, rollout, may_refer=is_judge)
        if rollout is None or not is_judge:
            return
        verdict = self._judge(rollout)
        if verdict != status.verdict:
            self._status = replace(status, verdict=verdict)
        goes_on = rollout.plan.mode == "canary" and rollout.plan.advance == "server" and verdict.kind == "go on"
        if verdict.kind != "breach" and not goes_on:
            return
        try:
            self._act(rollout, verdict)
        finally:
            if verdict.kind == "breach":
                # Also where a full disk refuses the record: no caller need meet what is known to be bad.
                self._show(replace(self._status, beside=None))
        self._look()

    def _judge(self, rollout: Beside) -> Verdict:
        live, beside = self.evidence.total(rollout)
        seconds = (datetime.now(UTC) - datetime.fromisoformat(rollout.step_at)).total_seconds()
        steps = sum(share < 1.0 for share in rollout.plan.steps) or 1
        is_paired, rails = rollout.plan.mode == "shadow", rollout.plan.guardrails
        return judge(live, beside, rails, seconds=seconds, steps=steps, is_paired=is_paired)

    def _act(self, rollout: Beside, verdict: Verdict) -> None:
        cause = Cause(at=datetime.now(UTC), by=SERVER, reason=verdict.reason)

        def judged(now: State | None) -> State | None:
            beside = None if now is None else now.beside
            if now is None or beside is None or (beside.id, beside.step) != (rollout.id, rollout.step):
                return now  # somebody was faster
            return rolled_back(now, cause) if verdict.kind == "breach" else step_on(now, cause)

        self._folder.change(judged)
        told = LOG.warning if verdict.kind == "breach" else LOG.info
        told("rollout of version %d, %s: %s", rollout.target.number, verdict.kind, verdict.reason)

    def _show(self, status: Status) -> None:
        self._status = status
        self._on_change(status)
