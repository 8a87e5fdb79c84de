"""Limits of single connections, at a real server with little patience."""

import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from resources.serving.connections import MAX_HEAD, MOST_WAITING, BoundedProtocol
from tests.support.waiting import eventually

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = 2**20


class Hasty(BoundedProtocol):
    head_s = 0.3
    answer_s = 0.3


async def app(scope: Scope, _: Receive, send: Send) -> None:
    """Answers with a megabyte at `/large`, else with a word."""
    body = b"x" * LARGE if scope["path"] == "/large" else b"well"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class Running:
    server: uvicorn.Server
    port: int

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as caller:
            yield caller

    @property
    def is_in_head(self) -> bool:
        return any(connection._is_in_head for connection in [*self.server.server_state.connections])

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


@contextmanager
def running(protocol: type[BoundedProtocol]) -> Iterator[Running]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, timeout_keep_alive=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield Running(server, listening.getsockname()[1])
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def hasty() -> Iterator[Running]:
    with running(Hasty) as server:
        yield server


@pytest.fixture(scope="module")
def patient() -> Iterator[Running]:
    """Gives a head the time it has in life."""
    with running(BoundedProtocol) as server:
        yield server


def all_of(caller: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    received = b""
    while more := caller.recv(65536):
        received += more
    return received


def test_a_head_that_dribbles_too_long_is_told_so(hasty: Running) -> None:
    with hasty.connected() as caller:
        caller.sendall(REQUEST[:-2])
        assert all_of(caller).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_head_that_is_too_large_is_told_so(patient: Running) -> None:
    with patient.connected() as caller:
        caller.sendall(REQUEST[:-2])
        assert eventually(lambda: patient.is_in_head)  # what comes with the first bytes of a head is not counted
        for _ in range(MAX_HEAD // 4096 + 1):
            caller.sendall(b"X-More: " + b"x" * 4086 + b"\r\n")
        assert all_of(caller).startswith(b"HTTP/1.1 431 ")


def test_a_head_in_many_pieces_is_answered(patient: Running) -> None:
    with patient.connected() as caller:
        for place in range(0, len(REQUEST), 8):
            caller.sendall(REQUEST[place : place + 8])
            time.sleep(0.01)  # the caller's slowness, so that they arrive in pieces as well
        assert caller.recv(15) == b"HTTP/1.1 200 OK"


def test_a_silent_connection_is_closed_as_one_that_was_kept_open(hasty: Running) -> None:
    with hasty.connected() as caller:
        assert all_of(caller) == b""


def test_a_caller_who_does_not_read_is_dropped(hasty: Running) -> None:
    with hasty.connected() as caller:
        caller.sendall(REQUEST.replace(b" / ", b" /large ") * 100)
        assert eventually(lambda: hasty.connections == 1)
        assert eventually(lambda: hasty.connections == 0)


def test_requests_one_behind_the_other_are_all_answered_however_large_they_are_together(hasty: Running) -> None:
    request = REQUEST[:-2] + b"X-More: " + b"x" * 1_000 + b"\r\n\r\n"
    count = MOST_WAITING // 2
    assert len(request) * count > MAX_HEAD
    with hasty.connected() as caller:
        caller.sendall(request * count)
        assert all_of(caller).count(b"HTTP/1.1 200 OK") == count


def test_more_requests_at_once_than_may_wait_end_the_connection(hasty: Running) -> None:
    count = 4 * MOST_WAITING
    with hasty.connected() as caller:
        caller.sendall(REQUEST * count)
        assert all_of(caller).count(b"HTTP/1.1 200 OK") < count


def test_what_is_no_http_is_refused_in_json(hasty: Running) -> None:
    with hasty.connected() as caller:
        caller.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        head, _, body = all_of(caller).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n")
    assert json.loads(body) == {"error": "Invalid HTTP request received."}


def test_a_process_asks_for_as_many_connections_as_it_may_have() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))\n"
        "from resources.serving.connections import allow_connections; allow_connections()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert most >= 300
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "(300, 300)\n"
