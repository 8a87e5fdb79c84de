"""Scoring requests that arrive whole and plain: from their bytes to those of their answer without ASGI.

Belongs here: which requests these are, and their way. Does not belong here: HTTP on the wire (`http.py`), and all other
requests; what needs anything more goes through `gate.py` and `front.py`, and callers see no difference.
"""

import time
from collections.abc import Callable
from typing import TypeAlias

import orjson

from resources.serving.answering import Answering
from resources.serving.asked import Asked
from resources.serving.front import Front, ScoringRoute
from resources.serving.gate import Gate
from resources.serving.middleware import JSON, LEFT, MAX_BODY, request_id_of
from resources.serving.replies import Headers, Reply, refusal

Answer: TypeAlias = Callable[[Reply, str], bool]
"""Sends a reply with its request id; False if the caller has left."""


class Direct:
    """Used from the event loop's thread only."""

    def __init__(self, front: Front, gate: Gate, endpoint: Answering) -> None:
        """Take the routes, who may pass, and what answers questions."""
        self._routes = {path.encode(): route for path, route in front.routes.items()}
        self._gate, self._endpoint, self._traffic = gate, endpoint, endpoint.traffic

    def takes(self, url: bytes, headers: Headers) -> ScoringRoute | None:
        """The route of a request that can be answered here; None if it needs more."""
        route = self._routes.get(url)
        if route is None:
            return None
        kind = length = None
        for name, value in headers:
            if name == b"content-type":
                kind = value
            elif name == b"content-length":
                length = value
            elif name in (b"transfer-encoding", b"content-encoding"):
                return None
        is_small = length is not None and length.isdigit() and len(length) < 10 and int(length) <= MAX_BODY
        return route if kind == JSON and is_small else None

    def begins(self) -> None:
        """Count a request whose head has come as under way; `ask` or `ends` follows."""
        self._traffic.in_progress += 1

    def ends(self, route: ScoringRoute, status: int) -> None:
        """Count a request that did not come to its end."""
        self._traffic.in_progress -= 1
        self._traffic.answered(route.path, status, 0.0)

    def ask(self, route: ScoringRoute, headers: Headers, body: bytes, answer: Answer) -> None:
        """Answer one request; `answer` is called once, now or later."""
        began, request_id = time.perf_counter(), request_id_of(headers)

        def reply(reply: Reply) -> None:
            status = reply.status if answer(reply, request_id) else LEFT
            self._traffic.in_progress -= 1
            self._traffic.answered(route.path, status, time.perf_counter() - began)

        def finish(asked: Asked) -> None:
            try:
                content = orjson.dumps(route.write(asked))
            except Exception as error:  # noqa: BLE001 - the edge: every failure becomes a reply, and is logged there
                reply(refusal(error, route.path, request_id, self._traffic))
            else:
                reply(Reply(200, content))

        if (refused := self._gate.refusal(headers)) is not None:
            reply(refused)
            return
        try:
            question = route.read(body)
        except Exception as error:  # noqa: BLE001 - as above
            reply(refusal(error, route.path, request_id, self._traffic))
            return
        self._endpoint.ask(Asked(question=question, request_id=request_id, began=began, finish=finish))
