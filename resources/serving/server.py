"""The routes of the endpoint: a FastAPI app over a `ScoringService` and its state folder.

Belongs here: HTTP. Does not belong here: which version is live (`deployments.py`), what a request may say
(`protocol.py`, `rows.py`), and anything about one use case.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from resources.errors import EndpointError
from resources.serving.answering import Answering
from resources.serving.asked import NotReadyError
from resources.serving.direct import Direct
from resources.serving.feedback import Feedback
from resources.serving.feedback_openapi import FEEDBACK_ANSWERS, feedback_body
from resources.serving.front import Front
from resources.serving.gate import Gate
from resources.serving.keys import KeyFile, Keyring
from resources.serving.log_policy import LogPolicy
from resources.serving.metrics import CONTENT_TYPE
from resources.serving.middleware import Observe, read_json_body
from resources.serving.openapi import observations_body, refusals, scoring_paths
from resources.serving.rows import RequestError
from resources.serving.service import ScoringService
from resources.serving.status_page import status_page
from resources.serving.target import StateFolder

VERSION: Final = "2"
"""Of the Open Inference Protocol."""
GUARDED: Final = refusals(401, 429, 503)
"""What a route that needs an API key may answer instead."""


def create_app(
    service: ScoringService,
    folder: StateFolder,
    policy: LogPolicy,
    *,
    needs_keys: bool = False,
    has_others: bool = False,
    now: Callable[[], float] = time.time,
) -> "Server":
    """The endpoint of one use case.

    Args:
        service: What is served.
        folder: Where its target state, versions and log are.
        policy: How safe the log is.
        needs_keys: Whether nobody may ask without an API key, even if there are no keys yet.
        has_others: Whether other workers answer on the same port.
        now: The instant that answers and labels are stamped with, in seconds since 1970.
    """
    endpoint, name = Answering(service, folder, policy, has_others=has_others, now=now), service.use_case
    feedback = Feedback(service, folder, endpoint.metrics.labels, lambda: datetime.fromtimestamp(now(), UTC))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with endpoint.lifespan(app), feedback.running():
            yield

    app = FastAPI(title=f"Throughline: {name}", description=service.description, version=VERSION, lifespan=lifespan)
    app.add_middleware(Observe, traffic=endpoint.traffic)
    _add_errors(app, name)
    _add_state(app, endpoint)
    _add_pages(app, endpoint)
    _add_observations(app, endpoint)
    _add_feedback(app, service, feedback)
    _describe_scoring(app, service)
    keyring = Keyring(KeyFile(folder.root), are_needed=needs_keys)
    front = Front(app, endpoint)
    return Server(front, Gate(front, keyring, endpoint.traffic), endpoint)


class Server:
    """The whole app.

    Attributes:
        direct: The short way past ASGI, for `http.py`.
    """

    def __init__(self, front: Front, gate: Gate, endpoint: Answering) -> None:
        """Take its parts."""
        self._gate, self.direct = gate, Direct(front, gate, endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request the long way."""
        await self._gate(scope, receive, send)


def _describe_scoring(app: FastAPI, service: ScoringService) -> None:
    """Add to the documentation what `front.py` answers before the app sees it."""
    framework = app.openapi

    def described() -> dict[str, Any]:
        schema = framework()
        schema["paths"] |= scoring_paths(service.use_case, service.signature)
        return schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _add_state(app: FastAPI, endpoint: Answering) -> None:
    model = f"/v2/models/{endpoint.service.use_case}"

    def ready() -> Response:
        live = endpoint.live()
        return _json({"ready": True, "version": str(live.target.number)})

    @app.get("/v2", tags=["state"], responses=GUARDED)
    async def server_metadata() -> Response:
        """Which server this is."""
        return _json(
            {"name": "throughline", "version": VERSION, "extensions": [], "models": [endpoint.service.use_case]}
        )

    @app.get("/v2/health/live", tags=["state"])
    async def health_live() -> Response:
        """200 as soon as the process answers."""
        return _json({"live": True})

    @app.get("/v2/health/ready", tags=["state"], responses=refusals(503))
    async def health_ready() -> Response:
        """200 once a version is live, 503 before."""
        return ready()

    @app.get(f"{model}/ready", tags=["state"], responses=GUARDED)
    async def model_ready() -> Response:
        """200 once a version is live, 503 before."""
        return ready()

    @app.get(model, tags=["state"], responses=GUARDED)
    async def model_metadata() -> Response:
        """What can be asked, what is live, and how the last deployment went."""
        return _json(await run_in_threadpool(endpoint.metadata))  # it looks at files


def _add_pages(app: FastAPI, endpoint: Answering) -> None:
    def status() -> bytes:
        return status_page(
            endpoint.metadata(), endpoint.folder.history(), endpoint.traffic, endpoint.service.description
        )

    @app.get("/", tags=["state"], response_class=HTMLResponse, responses=GUARDED)
    async def status_route() -> Response:
        """What is live, for a person."""
        return HTMLResponse(await run_in_threadpool(status))

    @app.get("/metrics", tags=["state"], response_class=PlainTextResponse, responses=GUARDED)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(await run_in_threadpool(endpoint.metrics_page), media_type=CONTENT_TYPE)


def _add_observations(app: FastAPI, endpoint: Answering) -> None:
    name = endpoint.service.use_case

    @app.post(
        f"/v2/models/{name}/observations", tags=["history"], openapi_extra=observations_body(endpoint.service.tables)
    )
    async def observations(request: Request) -> Response:
        """Tell what happened: records of the model's tables, in any order, again and restated as often as needed."""
        body = await read_json_body(request.scope, request.receive)
        taken = await run_in_threadpool(endpoint.observing.take, body)
        return _json({"records": taken.records, "changed": taken.changed})


def _add_feedback(app: FastAPI, service: ScoringService, feedback: Feedback) -> None:
    @app.post(
        f"/v2/models/{service.use_case}/feedback",
        tags=["feedback"],
        responses=FEEDBACK_ANSWERS,
        openapi_extra=feedback_body(service.signature),
    )
    async def take_feedback(request: Request) -> Response:
        """Take labels that came late, by prediction id or by entity; answered once they are on disk.

        The same again changes nothing. Another label for the same row is a restatement, and the newest holds.
        """
        body = await read_json_body(request.scope, request.receive)
        return _json(await feedback.take(body, request.state.request_id))


def _add_errors(app: FastAPI, name: str) -> None:
    @app.exception_handler(RequestError)
    async def refused(_: Request, error: Exception) -> Response:
        field = getattr(error, "field", None)
        return _json({"error": str(error), **({"field": field} if field else {})}, getattr(error, "status", 400))

    @app.exception_handler(EndpointError)
    async def not_kept(_: Request, error: Exception) -> Response:
        return _json({"error": str(error)}, 503)

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


def _json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json", headers=headers)
