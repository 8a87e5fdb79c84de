"""What happens around every request: its id, its place in the metrics, its limits, and the answer when code fails.

Belongs here: what no route should have to think of. Does not belong here: what a route answers.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Iterable
from itertools import count
from typing import Final

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resources.serving.metrics import Traffic
from resources.serving.rows import RequestError

LOG: Final = logging.getLogger(__name__)
MAX_BODY: Final = 2 * 2**20
"""Bytes."""
DRAINED: Final = 16 * MAX_BODY
"""Bytes read of a body that is too large, so that an honest caller hears why; then the connection is closed."""
BODY_S: Final = 30.0
"""Seconds in which a body must have arrived; a caller that dribbles would hold its place for ever."""
LEFT: Final = 499
"""The common number for a caller that left; nobody is there to be answered."""
JSON: Final = b"application/json"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_PREFIX, _NUMBERS = os.urandom(8).hex(), count(1)
"""Request ids unlike any other process's, without a random number for each."""


class Observe:
    """Counts and times every request, gives it an id, and turns an unforeseen exception into an answer with that id."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        """Wrap `app`."""
        self._app, self._traffic = app, traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything that is not HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        status, began = 0, time.perf_counter()

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        self._traffic.in_progress += 1
        try:
            await self._app(scope, receive, observed)
        except ClientDisconnect:
            status = LEFT
        except Exception:
            # The edge: a caller gets an id instead of a traceback, the log gets both.
            LOG.exception("request failed", extra={"request_id": request_id, "path": scope["path"]})
            if status == 0:
                await _send_error(observed, request_id)
            self._traffic.errors += 1
        finally:
            self._traffic.in_progress -= 1
        route = getattr(scope.get("route"), "path", "other")  # paths that callers make up are no label
        self._traffic.answered(route, status, time.perf_counter() - began)


async def read_json_body(scope: Scope, receive: Receive) -> bytes:
    """The body of a request that says it is JSON.

    Raises:
        RequestError: If it says something else, is larger than `MAX_BODY`, or does not arrive in time.
        ClientDisconnect: If the caller left.
    """
    kind, encoding = b"", b"identity"
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-encoding":
            encoding = value
    if kind != JSON and (said := _text(kind).partition(";")[0].strip().lower()) != "application/json":
        raise RequestError(f"the content type is {said!r}; send application/json", field="content-type", status=415)
    if encoding.lower() != b"identity":
        raise RequestError(
            f"the body is encoded as {_text(encoding)!r}; send it plain", field="content-encoding", status=415
        )
    try:
        async with asyncio.timeout(BODY_S):
            body, size = await _read(receive)
    except TimeoutError as error:
        raise RequestError(f"the body did not arrive within {BODY_S:.0f} s", status=408) from error
    if size > MAX_BODY:
        raise RequestError(f"the body is larger than {MAX_BODY:,} bytes; send fewer rows at once", status=413)
    return body


async def _read(receive: Receive) -> tuple[bytes, int]:
    """The body, cut at `MAX_BODY`, and how much of it came."""
    chunks, size, more = [], 0, True
    while more and size <= DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
    return b"".join(chunks), size


def _text(value: bytes) -> str:
    return value.decode("latin-1")[:60]


def failure(request_id: str) -> dict[str, str]:
    """What a caller is told of a defect."""
    error = "the endpoint could not answer this request; its log says why, under this request id"
    return {"error": error, "request_id": request_id}


async def _send_error(send: Send, request_id: str) -> None:
    body = orjson.dumps(failure(request_id))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's `X-Request-Id` if it is a harmless word, else a new one."""
    for key, value in headers:
        if key == b"x-request-id" and _REQUEST_ID.fullmatch(given := value.decode("latin-1")):
            return str(given)
    return f"{_PREFIX}-{next(_NUMBERS):x}"
