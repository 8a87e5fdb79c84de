"""What happens around every request: its id, its place in the metrics, its limits, and the answer when code fails.

Belongs here: what no route should have to think of. Does not belong here: what a route answers.
"""

import asyncio
import logging
import re
import time
import uuid
from typing import Final

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resources.serving.metrics import Metrics
from resources.serving.rows import RequestError

LOG: Final = logging.getLogger(__name__)
MAX_BODY: Final = 2 * 2**20
"""Bytes."""
DRAINED: Final = 16 * MAX_BODY
"""Bytes read of a body that is too large, so that an honest caller hears why; then the connection is closed."""
BODY_S: Final = 30.0
"""Seconds in which a body must have arrived; a caller that dribbles would hold its place for ever."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


class Observe:
    """Counts and times every request, gives it an id, and turns an unforeseen exception into an answer with that id."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap `app`."""
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything that is not HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status, began = 0, time.perf_counter()

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with self._metrics.in_progress.track_inprogress():
            try:
                await self._app(scope, receive, observed)
            except ClientDisconnect:
                status = 499  # the common number for a caller that left; nobody is there to be answered
            except Exception:
                # The edge: a caller gets an id instead of a traceback, the log gets both.
                LOG.exception("request failed", extra={"request_id": request_id, "path": scope["path"]})
                if status == 0:
                    await _send_error(observed, request_id)
                self._metrics.errors.inc()
        route = getattr(scope.get("route"), "path", "other")  # paths that callers make up are no label
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.latency.labels(route).observe(time.perf_counter() - began)


async def read_json_body(request: Request) -> bytes:
    """The body of a request that says it is JSON.

    Raises:
        RequestError: If it says something else, is larger than `MAX_BODY`, or does not arrive in time.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError(
            f"the content type is {kind[:60]!r}; send application/json", field="content-type", status=415
        )
    if (encoding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        raise RequestError(
            f"the body is encoded as {encoding[:60]!r}; send it plain", field="content-encoding", status=415
        )
    try:
        async with asyncio.timeout(BODY_S):
            body, size = await _read(request)
    except TimeoutError as error:
        raise RequestError(f"the body did not arrive within {BODY_S:.0f} s", status=408) from error
    if size > MAX_BODY:
        raise RequestError(f"the body is larger than {MAX_BODY:,} bytes; send fewer rows at once", status=413)
    return body


async def _read(request: Request) -> tuple[bytes, int]:
    """The body, cut at `MAX_BODY`, and how much of it came."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        elif size > DRAINED:
            break
    return b"".join(chunks), size


async def _send_error(send: Send, request_id: str) -> None:
    error = "the endpoint could not answer this request; its log says why, under this request id"
    body = orjson.dumps({"error": error, "request_id": request_id})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _request_id(scope: Scope) -> str:
    """The caller's `X-Request-Id` if it is a harmless word, else a new one."""
    given = next((value for key, value in scope["headers"] if key == b"x-request-id"), b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
