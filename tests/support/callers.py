"""Callers who ask a real server all the time, each over one connection that it keeps, and remember what they met."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from resources.serving.client import Endpoint
from tests.support.serving import tensors
from tests.support.waiting import eventually

FEATURES = {"shop": "north", "due_hour": 14.0, "weight": 2.5, "express": 0.0, "shop_late_min_7d": 9.0, "wind_kmh": 20.0}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer; times in seconds since 1970."""

    sent_at: float
    got_at: float
    id: str
    versions: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass
class Met:
    """What all callers met."""

    answers: list[Answered] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def more(self, answers: int, seconds: float = 60) -> bool:
        """Whether so many more answers come."""
        wanted = len(self.answers) + answers
        return eventually(lambda: len(self.answers) >= wanted or bool(self.failures), seconds) and not self.failures


def feature_row(number: int) -> bytes:
    return json.dumps(tensors(FEATURES, weight=(number * 37 % 1000) / 100, due_hour=float(number % 24))).encode()


def input_row(number: int) -> bytes:
    return json.dumps(tensors(parcel=number, weight_kg=(number * 37 % 1000) / 100)).encode()


def many_rows(body: bytes, rows: int) -> bytes:
    """The request with its row so many times."""
    request = json.loads(body)
    request["inputs"] = [t | {"shape": [rows], "data": t["data"] * rows} for t in request["inputs"]]
    return json.dumps(request).encode()


BODIES = [
    *(feature_row(n) for n in range(200)),
    *(input_row(n) for n in range(0, 200, 4)),
    *(many_rows(feature_row(n), 3) for n in range(0, 200, 20)),
]
"""Feature rows for the most part, input rows, and requests of several rows."""


@contextmanager
def calling(endpoint: Endpoint, bodies: Sequence[bytes] = BODIES, callers: int = 3) -> Iterator[Met]:
    """Ask in turn, as fast as so many callers can, until the block ends. A caller that fails once asks no more."""
    met, stopping = Met(), threading.Event()

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port_of("parcels"), timeout=60)
        number = first
        while not stopping.is_set():
            try:
                met.answers.append(_asked(connection, bodies[number % len(bodies)]))
            except (OSError, http.client.HTTPException, AssertionError) as error:
                met.failures.append(repr(error))
                break
            number += callers
        connection.close()

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield met
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def _asked(connection: http.client.HTTPConnection, body: bytes) -> Answered:
    sent_at = time.time()
    connection.request("POST", "/v2/models/parcels/infer", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, content
    answer: dict[str, Any] = json.loads(content)
    scores = tuple(answer["outputs"][0]["data"])
    versions = answer["parameters"].get("model_versions", [answer["model_version"]] * len(scores))
    return Answered(
        sent_at=sent_at,
        got_at=time.time(),
        id=answer["parameters"]["prediction_id"],
        versions=tuple(map(int, versions)),
        scores=scores,
    )
