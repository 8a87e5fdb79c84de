"""Answering questions with the live version: what all routes of one server share.

Belongs here: from a parsed question to a logged and counted answer, and what the server says of itself.
Does not belong here: HTTP (`server.py`), and which version is live (`deployments.py`).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from resources.serving.answers import Answer, outputs_metadata
from resources.serving.asked import Asked
from resources.serving.batching import Batcher
from resources.serving.deployments import Companion, Deployments, Failure, Live, Status
from resources.serving.entries import Columns, Entry
from resources.serving.explaining import Explaining
from resources.serving.guardrails import Verdict
from resources.serving.log_policy import LogPolicy
from resources.serving.metrics import Metrics
from resources.serving.observing import Observing
from resources.serving.prediction_log import PredictionLog
from resources.serving.protocol import iso, tensors_metadata
from resources.serving.scoring import Scoring, not_ready
from resources.serving.service import ScoringService
from resources.serving.shadow import Shadow
from resources.serving.target import StateFolder


class Answering:
    """What the routes share: the service, the versions, the log, the metrics."""

    def __init__(self, service: ScoringService, folder: StateFolder, policy: LogPolicy) -> None:
        """Take what is served, where its state is and how safe its log is; nothing starts before the app does."""
        self.service, self.folder = service, folder
        self.metrics = Metrics(service.use_case)
        self.traffic = self.metrics.traffic
        self.deployments = Deployments(service, folder, self.metrics.show)
        drops, errors = self.metrics.log_dropped.inc, self.metrics.log_errors.inc
        self.log, self._is_durable = (
            PredictionLog(folder.log, policy, on_drop=drops, on_error=errors),
            policy.is_durable,
        )
        self.metrics.watch("throughline_log_lag_seconds", "Age of the oldest answer not yet written.", self._lag)
        self.metrics.watch(
            "throughline_history_age_seconds", "Since the history of features last learnt of anything.", self._age
        )
        self.started_at = time.monotonic()
        self._columns = Columns(service.signature, folder.root)
        self.explaining = Explaining(service.signature.features)
        self._shadow = Shadow(self.metrics.shadow_dropped.inc)
        self.observing = Observing(service, folder)
        self._scoring = Scoring(service, self.deployments, self._shadow)
        # Rows of features are a matter of microseconds and must not wait for those whose features are still to be made.
        self._batchers = {kind: Batcher(self._scoring.score, self._answered) for kind in ("inputs", "features")}

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Follow the target and keep the log while the app runs."""
        self.log.start()
        self.deployments.start()
        self.observing.start()
        self._shadow.start(self._ask_shadow)
        yield
        self.deployments.stop()
        await run_in_threadpool(self.observing.stop)
        await run_in_threadpool(self._shadow.stop)
        for batcher in self._batchers.values():
            await run_in_threadpool(batcher.close)
        await run_in_threadpool(self.explaining.close)
        await run_in_threadpool(self.log.stop)

    def live(self) -> Live:
        """The live version.

        Raises:
            NotReadyError: If there is none.
        """
        status = self.deployments.status
        if status.live is None:
            raise not_ready(self.service.use_case, status)
        return status.live

    def ask(self, asked: Asked) -> None:
        """Have a question answered; `asked.finish` is called once it is. From the event loop's thread only."""
        self._batchers[asked.question.kind].add(asked)

    def _answered(self, batch: Sequence[Asked]) -> None:
        self.traffic.batches.add(len(batch))
        for asked in batch:
            if (answer := asked.answer) is not None:
                self.traffic.scored(answer.versions, asked.modes, answer.scores)
                self._keep(asked, self._entry(asked, answer))
            else:
                asked.finish(asked)

    def _ask_shadow(self, asked: Asked) -> None:
        if (answer := self._scoring.ask_shadow(asked)) is not None:
            self.log.add(replace(self._entry(asked, answer), modes=("shadow",) * len(answer.versions)))

    def _keep(self, asked: Asked, entry: Entry) -> None:
        if self._is_durable:
            self.log.commit(entry, asyncio.get_running_loop()).add_done_callback(partial(_kept, asked))
        else:
            self.log.add(entry)
            asked.finish(asked)

    def _lag(self) -> float:
        return self.log.lag_s

    def _age(self) -> float:
        as_of = self.service.history_as_of()
        return float("nan") if as_of is None else (datetime.now(UTC) - as_of).total_seconds()

    def _entry(self, asked: Asked, answer: Answer) -> Entry:
        return Entry(
            columns=self._columns,
            answered_at=time.time(),
            request_id=asked.request_id,
            question=asked.question,
            features=asked.features,
            answer=answer,
            modes=asked.modes,
            latency_s=time.perf_counter() - asked.began,
            worker=self.log.worker,
        )

    def metadata(self) -> dict[str, Any]:
        """The protocol's model metadata, and what else is worth knowing of this process."""
        status, signature = self.deployments.status, self.service.signature
        return {
            "name": self.service.use_case,
            "versions": [] if status.live is None else [str(status.live.target.number)],
            "platform": "throughline",
            "task": signature.task,
            "inputs": tensors_metadata(signature.inputs),
            "outputs": outputs_metadata(signature.task, None if status.live is None else status.live.scorer.outputs),
            "features": tensors_metadata(signature.features),
            "tables": {name: tensors_metadata(fields) for name, fields in self.service.tables.items()},
            **_described(status),
            "server": {
                "pid": os.getpid(),
                "identity": self.folder.identity(),
                "code_is_current": self.service.code_is_current(),
                "uptime_s": round(time.monotonic() - self.started_at, 1),
            },
        }


def _kept(asked: Asked, kept: "asyncio.Future[None]") -> None:
    """Finish a question whose answer was to be put on record first; one that could not be is not given."""
    if (error := kept.exception()) is not None:
        asked.answer, asked.error = None, error  # type: ignore[assignment]  # a NotLoggedError
    asked.finish(asked)


def _described(status: Status) -> dict[str, Any]:
    return {
        "state": status.state,
        "reason": status.failure.reason if status.state == "failed" and status.failure else None,
        "live": None if status.live is None else _live(status.live),
        "beside": None if status.beside is None else _beside(status.beside, status.verdict),
        "previous": None if status.previous is None else _live(status.previous),
        "failure": None if status.failure is None else _failure(status.failure),
    }


def _beside(beside: Companion, verdict: Verdict | None) -> dict[str, Any]:
    return {
        **_live(beside.live),
        "mode": beside.mode,
        "share": beside.share,
        "step": beside.rollout.step,
        "rollout": beside.rollout.id,
        "verdict": None if verdict is None else asdict(verdict),
    }


def _live(live: Live) -> dict[str, Any]:
    return {
        "version": live.target.number,
        "family": live.scorer.family,
        "deployment": live.target.deployment,
        "requested_at": live.target.requested_at,
        "loaded_at": iso(live.loaded_at),
        "load_seconds": round(live.load_seconds, 3),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    target = failure.target
    return {
        "version": None if target is None else target.number,
        "requested_at": None if target is None else target.requested_at,
        "failed_at": iso(failure.failed_at),
        "reason": failure.reason,
    }
