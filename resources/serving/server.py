"""The routes of the endpoint: a FastAPI app over a `ScoringService` and its state folder.

Belongs here: HTTP. Does not belong here: which version is live (`deployments.py`), what a request may say
(`protocol.py`, `rows.py`), and anything about one use case.
"""

import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from resources.serving.deployments import Deployments, Failure, Live, Status
from resources.serving.log import Entry, PredictionLog
from resources.serving.metrics import CONTENT_TYPE, Metrics
from resources.serving.middleware import Observe, read_json_body
from resources.serving.openapi import infer_body, invocations_body
from resources.serving.protocol import (
    Answer,
    infer_answer,
    iso,
    parse_infer,
    parse_invocations,
    tensors_metadata,
)
from resources.serving.rows import Question, RequestError
from resources.serving.service import PREDICTION_TIME, ScoringService, names
from resources.serving.target import StateFolder

VERSION: Final = "2"
"""Of the Open Inference Protocol."""


class NotReadyError(Exception):
    """No version is live; the message says why."""


class Endpoint:
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
            id=uuid.uuid4().hex, version=number, scores=scores, prediction_times=times, missing_inputs=missing
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
            "inputs": tensors_metadata(signature.inputs),
            "outputs": [{"name": signature.output, "datatype": "FP64", "shape": [-1]}],
            "features": tensors_metadata(signature.features),
            **_described(status),
            "server": {
                "pid": os.getpid(),
                "identity": self.folder.identity(),
                "code_is_current": self.service.code_is_current(),
                "uptime_s": round(time.monotonic() - self.started_at, 1),
            },
        }


def create_app(service: ScoringService, folder: StateFolder) -> FastAPI:
    """The endpoint of one use case.

    Args:
        service: What is served.
        folder: Where its target state, versions and log are.
    """
    endpoint, name = Endpoint(service, folder), service.use_case
    app = FastAPI(
        title=f"Throughline: {name}", description=service.description, version=VERSION, lifespan=endpoint.lifespan
    )
    app.add_middleware(Observe, metrics=endpoint.metrics)
    _add_errors(app, name)
    _add_scoring(app, endpoint)
    _add_state(app, endpoint)
    return app


def _add_scoring(app: FastAPI, endpoint: Endpoint) -> None:
    signature, name = endpoint.service.signature, endpoint.service.use_case

    def infer(body: bytes, request_id: str) -> dict[str, Any]:
        question = parse_infer(body, signature)
        return infer_answer(endpoint.answer(question, request_id), name, signature.output, question.id)

    def invoke(body: bytes, request_id: str) -> dict[str, Any]:
        answer = endpoint.answer(parse_invocations(body, signature), request_id)
        return {"predictions": answer.scores.tolist()}

    async def scored(request: Request, score: Callable[[bytes, str], dict[str, Any]]) -> Response:
        body = await read_json_body(request)
        # In a thread: health and metrics answer while rows are scored, and other requests are read.
        return _json(await run_in_threadpool(score, body, request.state.request_id))

    @app.post(f"/v2/models/{name}/infer", tags=["scoring"], openapi_extra=infer_body(signature))
    async def infer_route(request: Request) -> Response:
        """Score rows in the Open Inference Protocol: what a caller knows, or full feature rows; never a mixture."""
        return await scored(request, infer)

    @app.post("/invocations", tags=["scoring"], openapi_extra=invocations_body(signature))
    async def invocations_route(request: Request) -> Response:
        """Score rows in one of MLflow's formats: `dataframe_split`, `dataframe_records` or `inputs`."""
        return await scored(request, invoke)


def _add_state(app: FastAPI, endpoint: Endpoint) -> None:
    model = f"/v2/models/{endpoint.service.use_case}"

    def ready() -> Response:
        live = endpoint.live()
        return _json({"ready": True, "version": str(live.target.number)})

    @app.get("/v2", tags=["state"])
    async def server_metadata() -> Response:
        """Which server this is."""
        return _json(
            {"name": "throughline", "version": VERSION, "extensions": [], "models": [endpoint.service.use_case]}
        )

    @app.get("/v2/health/live", tags=["state"])
    async def health_live() -> Response:
        """200 as soon as the process answers."""
        return _json({"live": True})

    @app.get("/v2/health/ready", tags=["state"])
    async def health_ready() -> Response:
        """200 once a version is live, 503 before."""
        return ready()

    @app.get(f"{model}/ready", tags=["state"])
    async def model_ready() -> Response:
        """200 once a version is live, 503 before."""
        return ready()

    @app.get(model, tags=["state"])
    async def model_metadata() -> Response:
        """What can be asked, what is live, and how the last deployment went."""
        return _json(endpoint.metadata())

    @app.get("/metrics", tags=["state"])
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(endpoint.metrics.page(), media_type=CONTENT_TYPE)


def _add_errors(app: FastAPI, name: str) -> None:
    @app.exception_handler(RequestError)
    async def refused(_: Request, error: Exception) -> Response:
        field = getattr(error, "field", None)
        return _json({"error": str(error), **({"field": field} if field else {})}, getattr(error, "status", 400))

    @app.exception_handler(NotReadyError)
    async def not_ready(_: Request, error: Exception) -> Response:
        return _json({"error": str(error)}, 503)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        known = f"this endpoint serves the model {name!r} under /v2/models/{name}; /docs lists all routes"
        what = (
            f"there is nothing at {request.url.path[:200]}" if status == 404 else str(getattr(error, "detail", error))
        )
        return _json({"error": f"{what}; {known}"}, status, getattr(error, "headers", None))


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


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json", headers=headers)
