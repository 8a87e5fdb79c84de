"""Servers side by side: started, asked in turn, ended whatever happens.

Belongs here: what is done with every server alike. Does not belong here: what differs between them (`contenders.py`),
and how figures are shown (`figures.py`).
"""

import http.client
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.bench.children import BenchError
from infra.bench.serving import family
from infra.bench.serving.contenders import Contender, Echo
from infra.bench.serving.load import loaded
from infra.bench.serving.model import Expected
from resources import processes

START_S: Final = 120.0
TOLERANCE: Final = 1e-6
"""By how much two servers' probabilities of the same row may differ: some round to 32-bit floats on the way."""
CHECKED: Final = 20
"""Rows whose answers are compared before anything is measured."""
WARM_S: Final = 2
WARM_CONNECTIONS: Final = 16
LOOK_S: Final = 0.4
QUIET_SHARE: Final = 0.35
"""Of a core: more than a server takes that only asks its queues for work, less than one that answers."""
QUIET_WITHIN_S: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Turns:
    """How the servers are asked.

    Attributes:
        connections: Numbers of connections, one after the other.
        count: How often the servers take turns.
        seconds: Of load per server, number of connections and turn.
    """

    connections: tuple[int, ...]
    count: int
    seconds: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One server under one load, once.

    Attributes:
        cpu_us: Processor time per answer, all processes of the server, in microseconds.
        resident_mb: Their resident memory right after.
    """

    name: str
    connections: int
    turn: int
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    resident_mb: float

    def __str__(self) -> str:
        return (
            f"{self.name}, {self.connections} connections: {self.per_second:,.0f} answers/s, p50 {self.p50_ms:.2f} ms, "
            f"p99 {self.p99_ms:.2f} ms, {self.cpu_us:,.0f} µs of processor time each, {self.resident_mb:,.0f} MB"
        )


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers."""

    contender: Contender
    pid: int
    bodies: Path

    @property
    def url(self) -> str:
        """Where one row is asked."""
        return f"http://127.0.0.1:{self.contender.port}{self.contender.path}"


@contextmanager
def running(contender: Contender, expected: Expected, room: Path) -> Iterator[Running]:
    """A server, started and warm, whose answers are right; ended afterwards.

    Raises:
        BenchError: If it does not start, or answers wrongly.
    """
    try:
        pid = _answering(contender, room)
        contender.settle()
        bodies = room / f"{contender.name}.jsonl"
        bodies.write_bytes(b"".join(contender.body(row) + b"\n" for row in expected.rows))
        _require_right_answers(contender, expected)
        here = Running(contender=contender, pid=pid, bodies=bodies)
        loaded(here.url, bodies, connections=WARM_CONNECTIONS, seconds=WARM_S)
        yield here
    finally:
        processes.stop(_name(contender), home=room)


def sampled(server: Running, others: Sequence[Running], *, connections: int, seconds: int, turn: int) -> Sample:
    """Ask a server while the others stand still.

    Raises:
        BenchError: If anything but success was answered, or the server does not come to rest after it.
    """
    with _held(others):
        before = family.cpu_seconds(server.pid)
        load = loaded(server.url, server.bodies, connections=connections, seconds=seconds)
        used = family.spent(before, family.cpu_seconds(server.pid))
        _require_quiet(server)
    return Sample(
        name=server.contender.name,
        connections=connections,
        turn=turn,
        requests=load.requests,
        per_second=load.per_second,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cpu_us=used / load.requests * 1e6,
        resident_mb=family.resident_mb(server.pid),
    )


def in_turns(
    servers: Sequence[Running], turns: Turns, alone: Callable[[], Mapping[str, float]], echo: Echo
) -> tuple[list[Sample], dict[str, list[float]]]:
    """Every server under every load, so many times; each turn begins with another server.

    They take turns within a minute, so that a slow hour of the machine is slow for all of them.

    Args:
        servers: All of them, running.
        turns: How long and how often.
        alone: Measures the model itself, once a turn; named values.
        echo: Where progress is told.

    Returns:
        The samples in order, and the values of `alone` by name, one per turn.

    Raises:
        BenchError: If anything but success was answered.
    """
    samples, limits = [], defaultdict[str, list[float]](list)
    for turn in range(turns.count):
        for name, value in alone().items():
            limits[name].append(value)
        for connections in turns.connections:
            first = turn % len(servers)
            for server in (*servers[first:], *servers[:first]):
                others = [other for other in servers if other is not server]
                samples.append(sampled(server, others, connections=connections, seconds=turns.seconds, turn=turn))
                echo(f"turn {turn + 1} of {turns.count}: {samples[-1]}")
    return samples, dict(limits)


def kept_bytes(state: Path) -> int:
    """Size of all that a server has written to its state folder."""
    return sum(path.stat().st_size for path in state.rglob("*") if path.is_file())


def _answering(contender: Contender, room: Path) -> int:
    """Start a server; its process id once it is healthy."""
    name, address = _name(contender), f"http://127.0.0.1:{contender.port}{contender.health}"
    started = processes.start_detached(contender.command, name=name, home=room, env=contender.env, port=contender.port)

    def runs() -> bool:
        return processes.status(name, home=room).pid == started.pid

    try:
        processes.wait_until_healthy(address, timeout=START_S, is_alive=runs)
    except processes.ProcessError as error:
        raise BenchError(f"{contender.name}: {error}; it said: {processes.last_line(started.log)}") from error
    if started.pid is None:
        raise BenchError(f"{contender.name} ended at once; it said: {processes.last_line(started.log)}")
    return started.pid


def _name(contender: Contender) -> str:
    return f"bench-{contender.name}"


@contextmanager
def _held(servers: Sequence[Running]) -> Iterator[None]:
    # One of them asks its queues for work all the time, which takes a fifth of a core from whoever is measured.
    try:
        for server in servers:
            family.suspend(server.pid)
        yield
    finally:
        for server in servers:
            family.resume(server.pid)


def _require_quiet(server: Running) -> None:
    # wrk leaves when its time is up, with a request on each connection that the server goes on answering.
    deadline = time.monotonic() + QUIET_WITHIN_S
    while True:
        before = family.cpu_seconds(server.pid)
        time.sleep(LOOK_S)
        if family.spent(before, family.cpu_seconds(server.pid)) <= QUIET_SHARE * LOOK_S:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"{server.contender.name} still works {QUIET_WITHIN_S:.0f} s after it was last asked")


def _require_right_answers(contender: Contender, expected: Expected) -> None:
    scores = expected.calibrated if contender.calibrated else expected.plain
    for row, score in zip(expected.rows[:CHECKED], scores[:CHECKED], strict=True):
        answer = _post(contender, contender.body(row))
        if not math.isclose(found := contender.probability(answer), score, abs_tol=TOLERANCE):
            raise BenchError(f"{contender.name} answers {found} where the shared model says {score}")


def _post(contender: Contender, body: bytes) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=START_S)
    try:
        connection.request("POST", contender.path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"{contender.name} answered {response.status}: {content[:500]!r}")
    return json.loads(content)
