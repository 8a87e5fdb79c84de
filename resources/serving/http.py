"""HTTP/1.1 as uvicorn speaks it, with a short way for scoring requests.

Belongs here: bytes in, bytes out. Does not belong here: what is answered (`direct.py`).

A request through ASGI costs a task, a scope and four messages: 90 microseconds, as much as all else of a scoring
request. What arrives whole and plain is answered by one write instead; uvicorn keeps connections, pipelines, timeouts
and the end of the server. Its protocol class is no public interface: the lock names its release, and
`tests/pipelines/test_serve.py` holds what is relied on.
"""

from asyncio.events import TimerHandle
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Final, cast

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from resources.serving.connections import BoundedProtocol
from resources.serving.front import ScoringRoute
from resources.serving.middleware import BODY_S, LEFT
from resources.serving.replies import Headers, Reply, lines_of


class _NobodyWaits:
    """An event that nobody waits for."""

    def set(self) -> None:
        """Do nothing."""


class _Cycle:
    """A request on the short way, in the place of uvicorn's own cycle of request and response."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")

    message_event: Final = _NobodyWaits()

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive, self.response_complete, self.disconnected = keep_alive, False, False


class ScoringProtocol(BoundedProtocol):
    """One connection. The app of the server has a `direct` (`Direct`)."""

    _own: ClassVar[tuple[Headers, bytes]] = [], b""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As uvicorn makes them."""
        super().__init__(*arguments, **named)
        self._direct = self.app.direct
        self._route: ScoringRoute | None = None
        self._chunks: list[bytes] = []
        self._late: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what came; a body that is not whole yet has so long to come."""
        super().data_received(data)
        if self._route is not None and self._late is None:
            self._late = self.loop.call_later(BODY_S, self._too_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was on its way."""
        if self._route is not None:
            self._direct.ends(self._route, LEFT)
            self._route = None
        self._in_time()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Choose the way."""
        self._route = self._direct.takes(self.url, self.headers) if self._may_be_short() else None
        if self._route is None:
            super().on_headers_complete()
            return
        self.head_is_whole()
        self._direct.begins()
        self._chunks = []
        self.cycle = _Cycle(keep_alive=self.parser.should_keep_alive())  # type: ignore[assignment]  # see its docstring

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._route is None:
            super().on_body(body)
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Ask."""
        if self._route is None:
            super().on_message_complete()
            return
        route, self._route = self._route, None
        self._in_time()
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._direct.ask(route, self.headers, body, partial(self._send, cast("_Cycle", self.cycle)))

    def _may_be_short(self) -> bool:
        """Whether nothing of HTTP stands against it: nothing else is under way here, nothing is to be said first."""
        return (
            self.parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_http_version() == "1.1"
            and not self.expect_100_continue
            and not self.flow.write_paused
            and not self.parser.should_upgrade()
        )

    def _send(self, cycle: _Cycle, reply: Reply, request_id: str) -> bool:
        if cycle.disconnected or self.transport.is_closing():
            return False
        ours, end = self._own_lines(), b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        parts = (STATUS_LINE[reply.status], ours, reply.lines(request_id), end, reply.content)
        self.transport.write(b"".join(parts))
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
        return True

    def _own_lines(self) -> bytes:
        """What every response begins with; uvicorn makes the list anew when its date is another."""
        headers, lines = self._own
        if headers is not self.server_state.default_headers:
            headers = self.server_state.default_headers
            type(self)._own = headers, (lines := lines_of(headers))
        return lines

    def _too_late(self) -> None:
        route, cycle = cast("ScoringRoute", self._route), cast("_Cycle", self.cycle)
        self._route, cycle.keep_alive = None, False
        self._direct.ends(route, HTTPStatus.REQUEST_TIMEOUT)
        content = orjson.dumps({"error": f"the body did not arrive within {BODY_S:.0f} s"})
        self._send(cycle, Reply(HTTPStatus.REQUEST_TIMEOUT, content), "late")

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
