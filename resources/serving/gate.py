"""What every request passes before anything looks at it: whether its caller may ask, and as often.

Belongs here: keys and limits as HTTP has them. Does not belong here: the keys (`keys.py`), and what is asked.

Health is open to all, as load balancers have no keys. Without a file of keys, on loopback, everything is.
"""

import logging
import math
from typing import Final

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from resources.errors import EndpointError
from resources.serving.keys import Keyring
from resources.serving.metrics import Traffic
from resources.serving.middleware import JSON, request_id_of

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
        try:
            needed = self._keyring.are_needed()
        except EndpointError:
            # Fails closed: a damaged file of keys must not open the endpoint.
            LOG.exception("the API keys cannot be read")
            await self._refuse(scope, send, 503, "the endpoint cannot read its API keys", [])
            return
        if needed and (refusal := self._refusal(scope)) is not None:
            await self._refuse(scope, send, *refusal)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, list[tuple[bytes, bytes]]] | None:
        said = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        key = self._keyring.find(said[len(SCHEME) :].strip().decode("latin-1")) if _is_bearer(said) else None
        if key is None:
            problem = "the API key is not known, or has expired" if said else "an API key is needed"
            return 401, f"{problem}; send it as 'Authorization: Bearer <key>'", [(b"www-authenticate", b"Bearer")]
        scope.setdefault("state", {})["caller"] = key.name
        if (wait := self._keyring.takes(key)) > 0:
            seconds = math.ceil(wait)
            message = f"the key {key.name!r} may make {key.requests_per_s:g} requests a second; wait {seconds} s"
            return 429, message, [(b"retry-after", str(seconds).encode())]
        return None

    async def _refuse(
        self, scope: Scope, send: Send, status: int, error: str, headers: list[tuple[bytes, bytes]]
    ) -> None:
        content = orjson.dumps({"error": error})
        headers = [
            (b"content-type", JSON),
            (b"content-length", str(len(content)).encode()),
            (b"x-request-id", request_id_of(scope).encode()),
            *headers,
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        self._traffic.answered("refused", status, 0.0)


def _is_bearer(said: bytes) -> bool:
    return said[: len(SCHEME)].lower() == SCHEME
