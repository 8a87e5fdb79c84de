"""What goes back to a caller: an answer, or what is wrong in so many words.

Belongs here: from errors to HTTP. Does not belong here: what an answer says (`protocol.py`), and sending it.
"""

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import orjson
from starlette.requests import ClientDisconnect

from resources.serving.asked import NoSuchVersionError, NotReadyError
from resources.serving.explaining import BusyError
from resources.serving.log_policy import NotLoggedError
from resources.serving.metrics import Traffic
from resources.serving.middleware import JSON, LEFT, failure
from resources.serving.rows import RequestError

LOG: Final = logging.getLogger(__name__)

Headers: TypeAlias = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """A whole response; `headers` are those besides what every response has."""

    status: int
    content: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()

    def head(self, request_id: str) -> Headers:
        """All headers."""
        return [
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(self.content)),
            (b"x-request-id", request_id.encode()),
            *self.headers,
        ]

    def lines(self, request_id: str) -> bytes:
        """The same as they stand in HTTP/1.1."""
        usual = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
        lines = usual % (JSON, len(self.content), request_id.encode())
        return lines + lines_of(self.headers) if self.headers else lines


def lines_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Headers as they stand in HTTP/1.1."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def refusal(error: Exception, path: str, request_id: str, traffic: Traffic) -> Reply:
    """What a caller is told in place of an answer.

    Args:
        error: Why there is none.
        path: Of the route.
        request_id: Of the request.
        traffic: Where a failure of ours is counted.
    """
    if isinstance(error, RequestError):
        said = {"error": str(error)} | ({"field": error.field} if error.field else {})
        headers = [(b"retry-after", b"%d" % error.retry_after_s)] if isinstance(error, BusyError) else []
        return Reply(error.status, orjson.dumps(said), headers)
    if isinstance(error, NoSuchVersionError):
        return Reply(404, orjson.dumps({"error": str(error)}))
    if isinstance(error, NotReadyError | NotLoggedError):
        return Reply(503, orjson.dumps({"error": str(error)}))
    if isinstance(error, ClientDisconnect):
        return Reply(LEFT, b"")
    # A defect: a caller gets an id instead of a traceback, the log gets both.
    LOG.error("request failed", exc_info=error, extra={"request_id": request_id, "path": path})
    traffic.errors += 1
    return Reply(500, orjson.dumps(failure(request_id)))
