"""What every request passes before anything looks at it: whether its caller may ask, and as often.

Belongs here: keys and limits as HTTP has them. Does not belong here: the keys (`keys.py`), and what is asked.

Health is open to all, as load balancers have no keys. Without a file of keys, on loopback, everything is.
"""

import logging
import math
from collections.abc import Iterable
from typing import Final

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from resources.errors import EndpointError
from resources.serving.keys import Keyring
from resources.serving.metrics import Traffic
from resources.serving.middleware import request_id_of
from resources.serving.replies import Reply

LOG: Final = logging.getLogger(__name__)
OPEN: Final = ("/v2/health/live", "/v2/health/ready")
SCHEME: Final = b"bearer "


class Gate:
    """An ASGI app in front of another."""

    def __init__(self, app: ASGIApp, keyring: Keyring, traffic: Traffic) -> None:
        """Take what is behind, and who may pass."""
        self._app, self._keyring, self._traffic = app, keyring, traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass, or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        if (reply := self.refusal(scope["headers"])) is None:
            await self._app(scope, receive, send)
            return
        head = reply.head(request_id_of(scope["headers"]))
        await send({"type": "http.response.start", "status": reply.status, "headers": head})
        await send({"type": "http.response.body", "body": reply.content})
        self._traffic.answered("refused", reply.status, 0.0)

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> Reply | None:
        """What is answered to a request with these headers in place of what it asks for; None if it may pass."""
        try:
            if not self._keyring.are_needed():
                return None
        except EndpointError:
            # Fails closed: a damaged file of keys must not open the endpoint.
            LOG.exception("the API keys cannot be read")
            return Reply(503, orjson.dumps({"error": "the endpoint cannot read its API keys"}))
        said = next((value for name, value in headers if name == b"authorization"), b"")
        key = self._keyring.find(said[len(SCHEME) :].strip().decode("latin-1")) if _is_bearer(said) else None
        if key is None:
            problem = "the API key is not known, or has expired" if said else "an API key is needed"
            content = orjson.dumps({"error": f"{problem}; send it as 'Authorization: Bearer <key>'"})
            return Reply(401, content, [(b"www-authenticate", b"Bearer")])
        if (wait := self._keyring.takes(key)) > 0:
            seconds = math.ceil(wait)
            message = f"the key {key.name!r} may make {key.requests_per_s:g} requests a second; wait {seconds} s"
            return Reply(429, orjson.dumps({"error": message}), [(b"retry-after", str(seconds).encode())])
        return None


def _is_bearer(said: bytes) -> bool:
    return said[: len(SCHEME)].lower() == SCHEME
