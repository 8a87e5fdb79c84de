"""The way of a scoring request through the server: straight to the batcher and back, past the framework.

Belongs here: HTTP of the two scoring routes. Does not belong here: all other routes (`server.py`).

Routing, dependencies and middleware of the framework take 60 microseconds a request, as long as everything else in one:
what they do for these two routes is done here, and what callers see is the same.
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from resources.serving.answering import Answering
from resources.serving.answers import predictions
from resources.serving.asked import Asked
from resources.serving.middleware import LEFT, read_json_body, request_id_of
from resources.serving.protocol import infer_answer, parse_invocations
from resources.serving.reader import InferReader
from resources.serving.replies import Reply, refusal
from resources.serving.rows import Question, RequestError


@dataclass(frozen=True, slots=True)
class ScoringRoute:
    """One way to ask: how a body is read, what an answer looks like, and the number of the version, if it is named."""

    path: str
    read: Callable[[bytes], Question]
    write: Callable[[Asked], dict[str, Any]]
    version: int | None = None
    can_explain: bool = True


def scoring_routes(endpoint: Answering) -> dict[str, ScoringRoute]:
    """The routes that score rows, by path."""
    signature, name = endpoint.service.signature, endpoint.service.use_case

    def inferred(asked: Asked) -> dict[str, Any]:
        return infer_answer(answered(asked), name, asked.question)

    def invoked(asked: Asked) -> dict[str, Any]:
        return {"predictions": predictions(answered(asked))}

    infer = ScoringRoute(f"/v2/models/{name}/infer", InferReader(signature).read, inferred)
    invocations = ScoringRoute(
        "/invocations", lambda body: parse_invocations(body, signature), invoked, can_explain=False
    )
    return {route.path: route for route in (infer, invocations)}


class Front:
    """An ASGI app: scoring requests are answered here, all others by the app behind it.

    Attributes:
        routes: Those that score rows, by path.
    """

    def __init__(self, app: ASGIApp, endpoint: Answering) -> None:
        """Take the app behind, and what answers questions."""
        self._app, self._endpoint, self._traffic = app, endpoint, endpoint.traffic
        self.routes, self._model = scoring_routes(endpoint), f"/v2/models/{endpoint.service.use_case}"
        self._infer = f"{self._model}/infer"
        self._explaining = endpoint.explaining
        self._versioned = re.compile(rf"{self._model}/versions/(\d{{1,9}})/infer")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        route = self._route(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        began, request_id, traffic = time.perf_counter(), request_id_of(scope["headers"]), self._traffic
        traffic.in_progress += 1
        status = LEFT
        try:
            reply = await self._answer(route, scope, receive, request_id, began)
            if (status := reply.status) != LEFT:
                await send({"type": "http.response.start", "status": status, "headers": reply.head(request_id)})
                await send({"type": "http.response.body", "body": reply.content})
        finally:
            traffic.in_progress -= 1
            traffic.answered(route.path, status, time.perf_counter() - began)

    def _route(self, path: str) -> ScoringRoute | None:
        """The route of a path; one for each version that is asked by its number."""
        if (route := self.routes.get(path)) is None and (named := self._versioned.fullmatch(path)):
            infer = self.routes[self._infer]
            return replace(infer, path=f"{self._model}/versions/{{version}}/infer", version=int(named[1]))
        return route

    async def _answer(
        self, route: ScoringRoute, scope: Scope, receive: Receive, request_id: str, began: float
    ) -> Reply:
        if scope["method"] != "POST":
            return Reply(405, orjson.dumps({"error": f"{route.path} is asked with POST"}), [(b"allow", b"POST")])
        try:
            is_explained = _wants_explanation(scope["query_string"], route)
            question = route.read(await read_json_body(scope, receive))
            if is_explained:
                self._explaining.admit(len(question.rows))
            future: asyncio.Future[Asked] = asyncio.get_running_loop().create_future()
            finish = _waiting(future)
            asked = Asked(question=question, request_id=request_id, began=began, finish=finish, version=route.version)
            self._endpoint.ask(asked)
            content = route.write(await future)
            if is_explained:
                content["outputs"].append(await self._explaining.tensor(asked))
            return Reply(200, orjson.dumps(content))
        except Exception as error:  # noqa: BLE001 - the edge: every failure becomes a reply, and is logged there
            return refusal(error, route.path, request_id, self._traffic)


def answered(asked: Asked) -> Any:
    """The answer.

    Raises:
        Exception: Why there is none.
    """
    if asked.answer is None:
        raise asked.error or RuntimeError("a question came back without an answer")
    return asked.answer


def _wants_explanation(query: bytes, route: ScoringRoute) -> bool:
    if not query:
        return False
    said = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("explain", ["false"])[-1].lower()
    if said not in ("true", "false"):
        raise RequestError(f"'explain' is {said[:60]!r}; send true or false", field="explain")
    if said == "true" and not route.can_explain:
        raise RequestError("this route has no place for an explanation; ask /v2/models/.../infer", field="explain")
    return said == "true"


def _waiting(future: "asyncio.Future[Asked]") -> Callable[[Asked], None]:
    def finish(asked: Asked) -> None:
        if not future.done():  # the caller may have left
            future.set_result(asked)

    return finish
