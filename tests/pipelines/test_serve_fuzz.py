"""The real server asked at random: by its own OpenAPI description, near its examples, and below HTTP.

Everything is seeded: the requests are the same each time.
"""

import json
import socket
from collections.abc import Iterator
from typing import Any

import hypothesis
import jsonschema
import numpy as np
import pytest
import requests
import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from resources.serving.client import Endpoint
from tests.support.callers import FEATURES
from tests.support.server_process import log_of, serving
from tests.support.serving import call, endpoint_in, online, save_model, server_root, tensors

SEEDED = hypothesis.settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=20,
    suppress_health_check=[*hypothesis.HealthCheck],
    phases=[hypothesis.Phase.generate],
)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
CHANGED = 300
"""Examples with something changed."""
ODD_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**40, 0.5, 1e-320, 1e15, 1.0000001e15, 1e308),
    *("", " ", "north", "NaN", "\u0000", "\ud800", "💥" * 300, "x" * 1_001, "2020-02-10T14:00:00Z", "0000-00-00"),
    *([], {}, [[]], [None], [1, 2], {"name": "shop"}, {"": {"": []}}, [[[[[[1]]]]]]),
]
ALL_SAID = {
    **tensors(FEATURES),
    "id": "mine",
    "parameters": {"purpose": "rehearsal"},
    "outputs": [{"name": "probability"}],
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    model = save_model(tmp_path_factory.mktemp("registry") / "3")
    with endpoint_in(tmp_path_factory.mktemp("live")) as endpoint, serving(endpoint):
        endpoint.deploy("parcels", 3, model, online())
        yield endpoint


@pytest.fixture(scope="module")
def description(live: Endpoint) -> dict[str, Any]:
    described: dict[str, Any] = call(f"{server_root(live)}/openapi.json").json
    return described


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_the_description_allows_or_not_is_answered_as_it_says(
    live: Endpoint, description: dict[str, Any], mode: GenerationMode
) -> None:
    statuses = set()
    with requests.Session() as session:
        session.trust_env = False
        for found in schemathesis.openapi.from_dict(description).get_all_operations():
            operation = found.ok()
            if mode is GenerationMode.NEGATIVE and operation.method == "get":
                continue  # it takes nothing, so nothing about it can be wrong

            @SEEDED
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case) -> None:
                answer = case.call(base_url=server_root(live), session=session, timeout=60)
                statuses.add(answer.status_code)
                case.validate_response(answer, checks=CHECKS)

            ask()
    assert (200 if mode is GenerationMode.POSITIVE else 400) in statuses


def changed(value: Any, random: np.random.Generator) -> Any:
    """A copy with one thing in it taken away, doubled, or exchanged for something odd."""
    odd = ODD_VALUES[random.integers(len(ODD_VALUES))]
    inside = isinstance(value, list | dict) and len(value) > 0 and random.random() < 0.7
    if not inside:
        return odd
    places = [*value] if isinstance(value, dict) else [*range(len(value))]
    place = places[random.integers(len(places))]
    kind = random.choice(["change", "change", "change", "take", "double"])
    if isinstance(value, list):
        if kind == "change":
            return [changed(v, random) if i == place else v for i, v in enumerate(value)]
        return [v for i, v in enumerate(value) for _ in range({"take": 0, "double": 2}[kind] if i == place else 1)]
    rest = {k: v for k, v in value.items() if k != place}
    if kind == "take":
        return rest
    return rest | ({f"{place}!": odd} if kind == "double" else {place: changed(value[place], random)})


@pytest.mark.parametrize("path", ["/v2/models/parcels/infer", "/invocations"])
def test_an_example_with_something_changed_is_answered_or_refused_with_a_reason(
    live: Endpoint, description: dict[str, Any], path: str
) -> None:
    operation, random = description["paths"][path]["post"], np.random.default_rng(1)
    example = operation["requestBody"]["content"]["application/json"]["example"]
    bodies = [example, ALL_SAID] if "infer" in path else [example, {"dataframe_records": [FEATURES] * 2}]
    statuses = set()
    for number in range(CHANGED):
        body = changed(bodies[number % 2], random)
        reply = call(f"{server_root(live)}{path}", json.dumps(body).encode())
        statuses.add(reply.status)
        schema = operation["responses"][str(reply.status)]["content"]["application/json"]["schema"]
        jsonschema.validate(reply.json, schema)
        assert reply.status in (200, 400), body
    assert statuses == {200, 400}


def test_bytes_of_an_example_that_are_changed_on_the_way_break_nothing(live: Endpoint) -> None:
    random, sent = np.random.default_rng(2), json.dumps(tensors()).encode()
    statuses = set()
    for _ in range(CHANGED):
        body = bytearray(sent)
        for place in random.integers(len(body), size=random.integers(1, 4)):
            body[place] = random.integers(256)
        statuses.add(call(f"{live.url('parcels')}/infer", bytes(body)).status)
    assert statuses == {200, 400}


LINE = b"POST /v2/models/parcels/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = json.dumps(tensors()).encode()
BELOW_HTTP = {
    "nothing": b"",
    "half a line": b"POST /v2/mod",
    "half a body": LINE + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:50],
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /v2\r\n",
    "HTTP/9.9": b"GET /v2 HTTP/9.9\r\n\r\n",
    "no host": b"GET /v2 HTTP/1.1\r\n\r\n",
    "unknown method": b"BREW /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tunnel": b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another's address": b"GET http://example.com/v2 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "upwards": b"GET /v2/../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bytes in the path": b"GET /v2/\xff\xfe%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bytes in the query": LINE.replace(b" HTTP", b"?explain=%ff&\xff=% HTTP") + b"Content-Length: 2\r\n\r\n{}",
    "zero in a header": b"GET /v2 HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
    "header without a name": b"GET /v2 HTTP/1.1\r\n: x\r\n\r\n",
    "negative length": LINE + b"Content-Length: -1\r\n\r\n" + BODY,
    "length in words": LINE + b"Content-Length: ten\r\n\r\n" + BODY,
    "length beyond all measure": LINE + b"Content-Length: 99999999999999999999999\r\n\r\n" + BODY,
    "two lengths": LINE + b"Content-Length: 5\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "length and chunks": LINE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown transfer": LINE + b"Transfer-Encoding: gzip\r\n\r\n" + BODY,
    "chunk in words": LINE + b"Transfer-Encoding: chunked\r\n\r\nten\r\n{}\r\n0\r\n\r\n",
    "chunk beyond all measure": LINE + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "web socket": b"GET /v2/models/parcels/infer HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "another protocol": b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
}


def said(endpoint: Endpoint, data: bytes) -> bytes:
    """All that the server says to these bytes, after which the caller has nothing more to say."""
    received = b""
    with socket.create_connection((endpoint.host, endpoint.port_of("parcels")), timeout=60) as caller:
        try:
            caller.sendall(data)
            caller.shutdown(socket.SHUT_WR)
            while more := caller.recv(65536):
                received += more
        except ConnectionError:  # it may hang up while it is talked to
            return received
    return received


def fit_to_be_said(answer: bytes) -> bool:
    """Nothing at all, or an answer in HTTP that blames the caller."""
    return not answer or (answer.startswith(b"HTTP/1.1 ") and answer[9:10] in b"1234")


@pytest.mark.parametrize("case", BELOW_HTTP)
def test_what_is_hardly_http_is_refused_and_the_next_caller_answered(live: Endpoint, case: str) -> None:
    assert fit_to_be_said(said(live, BELOW_HTTP[case]))
    assert call(f"{live.url('parcels')}/infer", tensors()).status == 200


def test_garbage_is_refused_and_the_next_caller_answered(live: Endpoint) -> None:
    random = np.random.default_rng(3)
    request = LINE + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    for _ in range(100):
        spoilt = bytearray(request)
        for place in random.integers(len(LINE) + 30, size=random.integers(1, 6)):
            spoilt[place] = random.integers(256)
        assert fit_to_be_said(said(live, bytes(spoilt))), bytes(spoilt)
        assert fit_to_be_said(said(live, random.bytes(random.integers(1, 500))))
    assert call(f"{live.url('parcels')}/infer", tensors()).status == 200


def test_requests_sent_one_behind_the_other_are_answered_in_their_order(live: Endpoint) -> None:
    bodies = [json.dumps(tensors(parcel=n) | {"id": f"number {n}"}).encode() for n in range(50)]
    requests_of = b"".join(LINE + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies)
    with socket.create_connection((live.host, live.port_of("parcels")), timeout=60) as caller:
        caller.sendall(requests_of)
        received = b""
        while received.count(b'"outputs"') < len(bodies):
            received += caller.recv(65536)
    places = [received.index(b'"id":"number %d"' % n) for n in range(50)]
    assert places == sorted(places)


def test_nothing_of_all_this_was_a_defect(live: Endpoint) -> None:
    lines = [json.loads(line) for line in log_of(live).read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if "traceback" in line or line["level"] in ("ERROR", "CRITICAL")] == []
