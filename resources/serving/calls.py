"""HTTP to the endpoint over one kept connection, and frames as inference requests.

Belongs here: what any client of the protocol needs. Does not belong here: what is asked for, and why.
"""

import http.client
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import numpy as np
import orjson
import polars as pl

from resources.errors import EndpointError
from resources.serving.protocol import datatype

UNCOUNTED: Final = 5
"""Calls before a measurement, for the connection and the processor's caches."""
MAX_ROWS: Final = 1_000
MAX_BYTES: Final = 2**20
"""Half of what the server takes in one request."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Time of one-row requests, one after the other, over one connection, in milliseconds."""

    calls: int
    median_ms: float
    p99_ms: float


class Connection:
    """One connection to a server, opened when first used."""

    def __init__(self, host: str, port: int, timeout: float = 30.0, *, key: str | None = None) -> None:
        """Take where to connect to, the seconds any one answer may take, and the API key to ask with."""
        self._http = http.client.HTTPConnection(host, port, timeout=timeout)
        self._where = f"http://{host}:{port}"
        known = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._headers = {"Content-Type": "application/json", **known}

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at `path`.

        Raises:
            EndpointError: If the server cannot be reached, or answers anything but 200 and a JSON object.
        """
        return self._ask("GET", path, None)

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """The JSON object that `path` answers to a JSON body.

        Raises:
            EndpointError: As for `get`.
        """
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        try:
            self._http.request(method, path, body, self._headers)
            response = self._http.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EndpointError(f"{self._where}{path} does not answer: {error or type(error).__name__}") from error
        try:
            answer = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise EndpointError(f"{self._where}{path} answered {response.status}, and not in JSON") from error
        if response.status != 200 or not isinstance(answer, dict):
            said = answer.get("error", answer) if isinstance(answer, dict) else answer
            raise EndpointError(f"{self._where}{path} answered {response.status}: {said}")
        return answer


def bodies(rows: pl.DataFrame, purpose: str | None = None) -> Iterator[bytes]:
    """Inference requests for the rows in their order, each small enough to be taken."""
    for chunk in rows.iter_slices(MAX_ROWS):
        body = _body(chunk, purpose)
        if len(body) > MAX_BYTES and len(chunk) > 1:
            half = len(chunk) // 2
            yield from bodies(chunk[:half], purpose)
            yield from bodies(chunk[half:], purpose)
        else:
            yield body


def timed(connection: Connection, path: str, asked: Sequence[bytes], calls: int) -> Latency:
    """Time `calls` requests with the bodies `asked` in turn, after a few that do not count."""
    took = []
    for call in range(-UNCOUNTED, calls):
        began = time.perf_counter()
        connection.post(path, asked[call % len(asked)])
        took.append((time.perf_counter() - began) * 1e3)
    counted = took[UNCOUNTED:]
    return Latency(calls=calls, median_ms=float(np.median(counted)), p99_ms=float(np.quantile(counted, 0.99)))


def _body(rows: pl.DataFrame, purpose: str | None) -> bytes:
    tensors = [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": datatype(dtype),
            # A float that is not a number travels as null: JSON has no other word for it.
            "data": column.to_list(),
        }
        for column in rows
        for name, dtype in [(column.name, column.dtype)]
    ]
    request = {"inputs": tensors} | ({} if purpose is None else {"parameters": {"purpose": purpose}})
    return orjson.dumps(request, option=orjson.OPT_UTC_Z)
