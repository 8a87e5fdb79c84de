"""Answering questions with the live version: what all routes of one server share.

Belongs here: from a parsed question to a logged and counted answer, and what the server says of itself.
Does not belong here: HTTP (`server.py`), and which version is live (`deployments.py`).
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from resources.serving.answers import Answer, outputs_metadata
from resources.serving.asked import Asked
from resources.serving.batching import Batcher
from resources.serving.board import Board, Posted
from resources.serving.deployments import Deployments, Live, Status
from resources.serving.description import described, posted
from resources.serving.entries import Columns, Entry
from resources.serving.explaining import Explaining
from resources.serving.log_policy import LogPolicy
from resources.serving.metrics import Metrics, merged
from resources.serving.observing import Observing
from resources.serving.prediction_log import PredictionLog
from resources.serving.protocol import tensors_metadata
from resources.serving.scoring import Scoring, not_ready
from resources.serving.service import ScoringService
from resources.serving.shadow import Shadow
from resources.serving.target import StateFolder

LOG: Final = logging.getLogger(__name__)


class Answering:
    """What the routes share: the service, the versions, the log, the metrics."""

    def __init__(
        self,
        service: ScoringService,
        folder: StateFolder,
        policy: LogPolicy,
        *,
        has_others: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take what is served; nothing starts before the app does.

        Args:
            service: What is served.
            folder: Where its state is.
            policy: How safe its log is.
            has_others: Whether other workers answer on the same port.
            now: The instant that answers are stamped with, in seconds since 1970.
        """
        self._has_others, self._now = has_others, now
        self.service, self.folder = service, folder
        self.metrics = Metrics(service.use_case)
        self.traffic = self.metrics.traffic
        self.board = Board(folder.root, self._posted)
        self.deployments = Deployments(service, folder, self._show)
        drops, errors = self.metrics.log_dropped.inc, self.metrics.log_errors.inc
        self.log = PredictionLog(folder.log, policy, on_drop=drops, on_error=errors)
        self._is_durable = policy.is_durable
        self.metrics.watch("throughline_log_lag_seconds", "Age of the oldest answer not yet written.", self._lag)
        self.metrics.watch(
            "throughline_history_age_seconds", "Since the history of features last learnt of anything.", self._age
        )
        self.started_at = time.monotonic()
        self._columns = Columns(service.signature, folder.root)
        self.explaining = Explaining(service.signature.features)
        self._shadow = Shadow(self.metrics.shadow_dropped.inc)
        self.observing = Observing(service, folder)
        self._scoring = Scoring(service, self.deployments, self._shadow, now)
        # Rows of features are a matter of microseconds and must not wait for those whose features are still to be made.
        self._batchers = {kind: Batcher(self._scoring.score, self._answered) for kind in ("inputs", "features")}

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Follow the target and keep the log while the app runs."""
        self.log.start()
        if self._has_others:
            self.board.start()
        self.deployments.start()
        self.observing.start()
        self._shadow.start(self._ask_shadow)
        yield
        self.deployments.stop()
        await run_in_threadpool(self.board.stop)
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
            if self._is_done(asked):
                _give(asked)

    def _is_done(self, asked: Asked) -> bool:
        """Count and log an answer; whether it can be given now, or only once it is on record."""
        if (answer := asked.answer) is None:
            return True
        try:
            entry = self._entry(asked, answer)
            self.traffic.scored(answer.versions, asked.modes, answer.scores)
            self.traffic.was_unusual(answer.unusual_inputs)
            if self._is_durable:
                self.log.commit(entry, asyncio.get_running_loop()).add_done_callback(partial(_kept, asked))
            else:
                self.log.add(entry)
        except Exception as error:  # noqa: BLE001 - told to the caller; the others of the batch still wait
            asked.answer, asked.error = None, error
            return True
        return not self._is_durable

    def _ask_shadow(self, asked: Asked) -> None:
        said = self._scoring.ask_shadow(asked)
        if said is not None and said.answer is not None:
            self.log.add(self._entry(said, said.answer))

    def metrics_page(self) -> bytes:
        """The metrics of all workers."""
        workers = self.board.workers()
        return self.metrics.page() if len(workers) == 1 else merged({str(w.pid): w.metrics for w in workers})

    def _show(self, status: Status) -> None:
        self.metrics.show(status)
        if self._has_others:
            self.board.post()

    def _posted(self) -> Posted:
        return posted(self.deployments.status, self.metrics.page().decode())

    def _lag(self) -> float:
        return self.log.lag_s

    def _age(self) -> float:
        as_of = self.service.history_as_of()
        return float("nan") if as_of is None else (datetime.now(UTC) - as_of).total_seconds()

    def _entry(self, asked: Asked, answer: Answer) -> Entry:
        return Entry(
            columns=self._columns,
            answered_at=self._now(),
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
            **described(status),
            "workers": [{k: v for k, v in asdict(w).items() if k != "metrics"} for w in self.board.workers()],
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
    _give(asked)


def _give(asked: Asked) -> None:
    """Hand a question back; whatever becomes of one caller, those after it in the batch still wait."""
    try:
        asked.finish(asked)
    except Exception:
        LOG.exception("a caller could not be answered", extra={"request_id": asked.request_id})
