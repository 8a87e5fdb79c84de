"""What one connection may cost: size and time of the head of a request, requests and answers that wait.

Belongs here: limits below HTTP, where no route can see what goes wrong. Does not belong here: bodies (`middleware.py`).

A connection that does nothing costs a file and some kilobytes. uvicorn bounds neither size nor time of a head, and
reads on after each answer though requests wait behind it: a caller who sent 200,000 requests at once had the server
parse them for ten seconds, in which nobody else was answered.
"""

import asyncio
import resource
from http import HTTPStatus
from typing import Any, ClassVar, Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD: Final = 64 * 1024
"""Bytes of the request line and the headers; browsers and proxies send 8 KiB at most."""
MOST_WAITING: Final = 256
"""Requests that wait behind one that is being answered; programs that pipeline send some dozens."""
MOST_FILES: Final = 65_536
"""As many as may be open, where the system sets no limit below."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a caller who may be slow, silent or endless.

    Attributes:
        head_s: Seconds in which the head of a request must have arrived, from its first byte.
        answer_s: Seconds for which an answer waits for a caller who does not read.
    """

    head_s: ClassVar[float] = 15.0
    answer_s: ClassVar[float] = 60.0

    def __init__(self, *given: Any, **named: Any) -> None:
        """As uvicorn makes it."""
        super().__init__(*given, **named)
        self._is_in_head = False
        self._head_size: int | None = None
        """Bytes of the head beyond the chunk it began in; None in that chunk."""
        self._head_due: asyncio.TimerHandle | None = None
        self._answer_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A connection is as good as kept open after a request: it may be silent for as long."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was waited for."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._head_ended()
        self._answer_read()

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is more of a head than a head may be."""
        super().data_received(data)
        if not self._is_in_head:
            return
        self._head_size = 0 if self._head_size is None else self._head_size + len(data)
        if self._head_size > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the headers are larger than {MAX_HEAD:,} bytes")
        elif self._head_due is None:
            self._head_due = self.loop.call_later(self.head_s, self._head_is_late)

    def on_message_begin(self) -> None:
        """The parser has seen the first byte of a request."""
        self._is_in_head, self._head_size = True, None
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The parser has seen the whole head.

        Raises:
            ValueError: If too many requests wait already; the parser then stops, and the connection is refused.
        """
        self.head_is_whole()
        if len(self.pipeline) >= MOST_WAITING:
            raise ValueError(f"{MOST_WAITING} requests wait on this connection")
        super().on_headers_complete()

    def head_is_whole(self) -> None:
        """Wait for it no more."""
        self._is_in_head = False
        self._head_ended()

    def on_response_complete(self) -> None:
        """Go on with the next request that waits; nothing more is read before none does."""
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def pause_writing(self) -> None:
        """The caller does not read as fast as it is answered."""
        super().pause_writing()
        self._answer_due = self._answer_due or self.loop.call_later(self.answer_s, self._give_up)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._answer_read()

    def _head_ended(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _answer_read(self) -> None:
        if self._answer_due is not None:
            self._answer_due.cancel()
            self._answer_due = None

    def _head_is_late(self) -> None:
        if self.flow.read_paused:  # by the requests before it: the caller may have sent all of it
            self._head_due = self.loop.call_later(self.head_s, self._head_is_late)
            return
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the headers did not arrive within {self.head_s:g} s")

    def _give_up(self) -> None:
        self.transport.abort()  # closing would wait until all is read

    def _refuse(self, status: HTTPStatus, error: str) -> None:
        """Answer without a request, and close. Behind an answer that is not given yet there is no place for one."""
        self._is_in_head = False
        self._head_ended()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            body = orjson.dumps({"error": error})
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\n"
                "content-type: application/json\r\n"
                f"content-length: {len(body)}\r\n"
                "connection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()


def allow_connections() -> None:
    """Let this process have as many files open as the system lets it: each connection is one.

    Many systems begin with 1,024 or 256, and allow far more to whoever asks.
    """
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
