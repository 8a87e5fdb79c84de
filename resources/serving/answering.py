"""Answering questions with the live version: what all routes of one server share.

Belongs here: from a parsed question to a logged and counted answer, and what the server says of itself.
Does not belong here: HTTP (`server.py`), and which version is live (`deployments.py`).
"""

import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from resources.serving.answers import Answer, outputs_metadata
from resources.serving.deployments import Deployments, Failure, Live, Status
from resources.serving.log import Entry, PredictionLog
from resources.serving.metrics import Metrics
from resources.serving.protocol import iso, tensors_metadata
from resources.serving.rows import Question
from resources.serving.service import PREDICTION_TIME, ScoringService, names
from resources.serving.target import StateFolder


class NotReadyError(Exception):
    """No version is live; the message says why."""


class Answering:
    """What the routes share: the service, the versions, the log, the metrics."""

    def __init__(self, service: ScoringService, folder: StateFolder) -> None:
        """Take what is served and where its state is; nothing starts before the app does."""
        self.service, self.folder = service, folder
        self.metrics = Metrics(service.use_case)
        self.deployments = Deployments(service, folder, self.metrics.show)
        self.log = PredictionLog(folder.log, on_drop=self.metrics.log_dropped.inc, on_error=self.metrics.log_errors.inc)
        self.started_at = time.monotonic()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Follow the target and keep the log while the app runs."""
        self.log.start()
        self.deployments.start()
        yield
        self.deployments.stop()
        await run_in_threadpool(self.log.stop)

    def live(self) -> Live:
        """The live version.

        Raises:
            NotReadyError: If there is none.
        """
        status = self.deployments.status
        if status.live is None:
            why = status.failure.reason if status.state == "failed" and status.failure else f"it is {status.state}"
            raise NotReadyError(f"no version of {self.service.use_case!r} is live: {why}")
        return status.live

    def answer(self, question: Question, request_id: str) -> Answer:
        """Score a question by one and the same version from beginning to end, and log the answer."""
        began = time.perf_counter()
        live = self.live()
        features, times, missing = question.rows, None, []
        if question.kind == "inputs":
            built = live.scorer.features(question.rows)
            features, times = built.select(names(self.service.signature.features)), built[PREDICTION_TIME].to_list()
            missing = [n for n in self.service.signature.optional_inputs if question.rows[n].has_nulls()]
        scores = live.scorer.predict(features)
        if not np.isfinite(scores).all():
            raise ArithmeticError(f"version {live.target.number} gave a score that is not a number")
        missing += [n for n in features.columns if n not in missing and features[n].has_nulls()]
        number = live.target.number
        answer = Answer(
            id=uuid.uuid4().hex,
            version=number,
            task=self.service.signature.task,
            outputs=live.scorer.outputs,
            scores=scores,
            prediction_times=times,
            missing_inputs=missing,
        )
        self.metrics.rows.labels(str(number)).inc(len(scores))
        entry = Entry(
            answered_at=datetime.now(UTC),
            request_id=request_id,
            question=question,
            features=features,
            answer=answer,
            latency_s=time.perf_counter() - began,
        )
        self.log.add(entry)
        return answer

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
            **_described(status),
            "server": {
                "pid": os.getpid(),
                "identity": self.folder.identity(),
                "code_is_current": self.service.code_is_current(),
                "uptime_s": round(time.monotonic() - self.started_at, 1),
            },
        }


def _described(status: Status) -> dict[str, Any]:
    return {
        "state": status.state,
        "reason": status.failure.reason if status.state == "failed" and status.failure else None,
        "live": None if status.live is None else _live(status.live),
        "failure": None if status.failure is None else _failure(status.failure),
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
