"""When something is wrong, the real server goes on answering everybody else.

The clock of a whole machine cannot be moved here, so skewed clocks are those of callers: times far from any history.
"""

import json
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from resources.errors import EndpointError
from resources.serving.client import Endpoint
from resources.serving.guardrails import Guardrails
from resources.serving.states import Plan
from tests.support.callers import BODIES, FEATURES, Met, calling, feature_row, input_row
from tests.support.planted import PLANTED_PATH, planted
from tests.support.server_process import serving
from tests.support.serving import (
    Reply,
    call,
    endpoint_in,
    logged,
    online,
    save_model,
    server_root,
    tensors,
    wait_for_logged,
)
from tests.support.waiting import eventually

FEW_FILES = 256
OPENAPI = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""What gets the longest answer for the shortest request."""
MANY = 1_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("registry") / "3")


@pytest.fixture(scope="module")
def live(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One server with version 3 live, for all troubles that leave it as it was; that they do is what is claimed."""
    with (
        endpoint_in(tmp_path_factory.mktemp("live")) as endpoint,
        serving(endpoint, path=PLANTED_PATH, most_files=FEW_FILES),
    ):
        endpoint.deploy("parcels", 3, model, online())
        yield endpoint


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Endpoint]:
    """The place of a server for one test alone, which starts it."""
    with endpoint_in(tmp_path) as endpoint:
        yield endpoint


@contextmanager
def undisturbed(endpoint: Endpoint, versions: tuple[int, ...] = (3,)) -> Iterator[Met]:
    """Other callers get all their answers while the block runs."""
    with calling(endpoint, callers=2) as met:
        assert met.more(20), met.failures
        yield met
        assert met.more(40), met.failures
    assert met.failures == []
    assert {version for answer in met.answers for version in answer.versions} == {*versions}


def infer(endpoint: Endpoint, body: object = None) -> Reply:
    return call(f"{endpoint.url('parcels')}/infer", tensors() if body is None else body)


def metric(endpoint: Endpoint, name: str) -> float:
    lines = call(f"{server_root(endpoint)}/metrics").content.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


# Versions


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(_: bytes) -> bytes:
    return b""


def scrambled(content: bytes) -> bytes:
    return np.random.default_rng(1).bytes(len(content))


def changed(content: bytes) -> bytes:
    """One bit of it, which CatBoost does not notice."""
    place = len(content) // 4
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGES = [*(("model.json", d) for d in (truncated, emptied, scrambled))]
DAMAGES += [*(("model.cbm", d) for d in (truncated, emptied, scrambled, changed))]


@pytest.mark.parametrize(("file", "damage"), DAMAGES)
def test_a_damaged_model_does_not_go_live(
    live: Endpoint, model: Path, tmp_path: Path, file: str, damage: Callable[[bytes], bytes]
) -> None:
    for path in model.iterdir():
        (tmp_path / path.name).write_bytes(damage(path.read_bytes()) if path.name == file else path.read_bytes())
    with undisturbed(live), pytest.raises(EndpointError, match="version 4 did not go live"):
        live.deploy("parcels", 4, tmp_path, online())


def test_after_a_restart_with_a_damaged_version_the_one_before_answers(
    own: Endpoint, model: Path, tmp_path: Path
) -> None:
    with serving(own):
        own.deploy("parcels", 3, model, online())
        own.deploy("parcels", 4, save_model(tmp_path / "4", seed=2), online())
    for weights in Path(own.state_root).glob("parcels/models/4-*/model.cbm"):
        weights.write_bytes(truncated(weights.read_bytes()))
    with serving(own):
        assert eventually(lambda: call(f"{server_root(own)}/v2/health/ready").status == 200)
        assert infer(own).json["model_version"] == "3"
        assert "damaged" in call(own.url("parcels")).json["reason"]


def test_a_version_that_throws_from_its_thousandth_row_on_is_taken_back_and_no_caller_notices(
    live: Endpoint, model: Path, tmp_path: Path
) -> None:
    late = planted(model, tmp_path / "late", "late errors")
    rails = Guardrails(score=1.0, spread=1.0, slow=1.0, step_rows=100_000)
    with undisturbed(live, versions=(3, 4)) as met:
        live.deploy("parcels", 4, late, online(), rollout=Plan(mode="canary", steps=(0.5, 1.0), guardrails=rails))
        assert eventually(lambda: live.control("parcels").history()[-1].change == "rolled back", seconds=120)
        assert eventually(lambda: call(live.url("parcels")).json["beside"] is None)
    assert sum(answer.versions.count(4) for answer in met.answers) > 900
    assert "rows without an answer" in live.control("parcels").history()[-1].reason


# What the server stands on


def test_versions_come_and_go_while_the_registry_is_down(own: Endpoint, model: Path, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    with serving(own, env={"MLFLOW_TRACKING_URI": nowhere, "THROUGHLINE_MLFLOW_URI": nowhere}):
        own.deploy("parcels", 3, model, online())
        own.deploy("parcels", 4, save_model(tmp_path / "4", seed=2), online())
        own.control("parcels").roll_back(by="a test", reason="the registry is down", timeout=2.0)
        assert infer(own).json["model_version"] == "3"


def test_a_full_disk_costs_the_fast_log_rows_that_are_counted_and_no_answer(own: Endpoint, model: Path) -> None:
    with serving(own, program="tests.support.small_disk") as server:
        own.deploy("parcels", 3, model, online())
        with undisturbed(own) as met:
            server.send_signal(signal.SIGUSR1)
            assert eventually(lambda: metric(own, "throughline_log_dropped_rows_total") > 50)
            server.send_signal(signal.SIGUSR2)
        answered = sum(len(answer.scores) for answer in met.answers)
        wait_for_logged(own, "parcels", infer(own).json["parameters"]["prediction_id"])
        lost = metric(own, "throughline_log_dropped_rows_total")
    assert len(logged(own, "parcels")) == answered + 1 - lost


def test_a_full_disk_refuses_what_the_durable_log_cannot_keep_until_there_is_room(own: Endpoint, model: Path) -> None:
    with serving(own, "--log", "durable", program="tests.support.small_disk") as server:
        own.deploy("parcels", 3, model, online())
        kept = [infer(own)]
        server.send_signal(signal.SIGUSR1)
        assert eventually(lambda: infer(own).status == 503)
        refused = infer(own)
        server.send_signal(signal.SIGUSR2)
        assert eventually(lambda: kept.append(infer(own)) or kept[-1].status == 200)  # type: ignore[func-returns-value]
    assert "cannot be written" in refused.json["error"]
    acknowledged = [reply.json["parameters"]["prediction_id"] for reply in kept if reply.status == 200]
    assert {record["prediction_id"] for record in logged(own, "parcels")}.issuperset(acknowledged)


# Requests

NUMBERS = ["NaN", "-Infinity", "1e400", "1e300", "-1e16", "9" * 400, "9" * 100_000, "1e99999999", "0x10", "1_000"]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:12])
@pytest.mark.parametrize("row", ["inputs", "features"])
def test_numbers_beyond_all_measure_are_refused(live: Endpoint, row: str, number: str) -> None:
    body = tensors(weight_kg=123.25) if row == "inputs" else tensors(FEATURES, weight=123.25)
    reply = infer(live, json.dumps(body).replace("123.25", number).encode())
    assert reply.status == 400, reply.content
    assert infer(live).status == 200


@pytest.mark.parametrize("number", [1e15, -1e15, 5e-324, -0.0])
def test_extreme_numbers_get_a_score(live: Endpoint, number: float) -> None:
    (score,) = infer(live, tensors(FEATURES, weight=number)).json["outputs"][0]["data"]
    assert 0 < score < 1


INSTANTS = ["1900-01-01T00:00:00Z", "1969-12-31T23:59:59-12:00", "2199-12-31T23:59:59.999999Z"]


@pytest.mark.parametrize("instant", INSTANTS)
def test_a_caller_whose_clock_is_off_by_a_century_hears_that_there_is_no_history(live: Endpoint, instant: str) -> None:
    answer = infer(live, tensors(due_at=instant)).json
    assert 0 < answer["outputs"][0]["data"][0] < 1
    assert "shop_late_min_7d" in answer["parameters"]["missing_inputs"]


NESTED = {
    "lists": b"[" * 100_000,
    "closed lists": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"inputs":' * 100_000,
    "data": b'{"inputs":[{"name":"shop","shape":[1],"datatype":"BYTES","data":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}]}",
    "parameters": b'{"parameters":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b',"inputs":[]}',
}


@pytest.mark.parametrize("path", ["/v2/models/parcels/infer", "/invocations"])
@pytest.mark.parametrize("nested", NESTED)
def test_a_hundred_thousand_brackets_are_refused(live: Endpoint, nested: str, path: str) -> None:
    reply = call(f"{server_root(live)}{path}", NESTED[nested])
    assert (reply.status, "error" in reply.json) == (400, True)


def test_many_bodies_of_ten_megabytes_keep_nobody_waiting(live: Endpoint) -> None:
    large = b"[" + b"1," * 5_000_000 + b"1]"
    with undisturbed(live):
        assert {infer(live, large).status for _ in range(5)} == {413}


KINDS = ["", "Content-Type:", *(f"Content-Type: {kind}" for kind in ("text/plain", "application/jsonp", "ä/ö", "*/*"))]


@pytest.mark.parametrize("kind", KINDS)
def test_another_content_type_is_refused(live: Endpoint, kind: str) -> None:
    head = request_head(len(BODIES[0])).replace(b"Content-Type: application/json", kind.encode() or b"X-None: 1")
    with connected(live) as caller:
        caller.sendall(head + BODIES[0])
        assert status_of(caller) == 415


# Callers and connections


@contextmanager
def connected(endpoint: Endpoint, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """A bare connection."""
    with socket.socket() as caller:
        if receive_buffer is not None:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        caller.settimeout(60)
        caller.connect((endpoint.host, endpoint.port_of("parcels")))
        yield caller


def request_head(length: int, query: str = "") -> bytes:
    return (
        f"POST /v2/models/parcels/infer{query} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def status_of(caller: socket.socket) -> int:
    """Status of the next answer, whose body is read as well; 0 if the connection is closed without one."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := caller.recv(65536)):
            return 0
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    while len(body) < length and (more := caller.recv(65536)):
        body += more
    return int(head.split()[1])


def send(caller: socket.socket, data: bytes, times: int) -> None:
    """Say it again and again."""
    for _ in range(times):
        caller.sendall(data)


def test_callers_who_dribble_keep_nobody_waiting(live: Endpoint) -> None:
    request = request_head(len(BODIES[0])) + BODIES[0]
    with undisturbed(live) as met, ExitStack() as stack:
        slow = [(stack.enter_context(connected(live)), at) for at in (0, len(request) - 60) for _ in range(25)]
        for caller, at in slow:
            caller.sendall(request[:at])  # half of them are in their headers, the others in their bodies
        for sent in range(0, 60, 3):
            for caller, at in slow:
                caller.sendall(request[at + sent : at + sent + 3])
            assert met.more(2)
        for caller, at in slow:
            caller.sendall(request[at + 60 :])
        assert {status_of(caller) for caller, _ in slow} == {200}


def test_headers_without_end_are_cut_off(live: Endpoint) -> None:
    with undisturbed(live), connected(live) as caller:
        caller.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n")
        with pytest.raises(ConnectionError):
            send(caller, b"X-More: " + b"x" * 10_000 + b"\r\n", times=10_000)


def test_requests_without_end_are_cut_off(live: Endpoint) -> None:
    with undisturbed(live), connected(live, receive_buffer=4096) as caller, pytest.raises(ConnectionError):
        send(caller, OPENAPI * 1_000, times=10_000)


def test_callers_who_never_read_keep_nobody_waiting(live: Endpoint) -> None:
    with undisturbed(live) as met, ExitStack() as stack:
        for _ in range(10):
            caller = stack.enter_context(connected(live, receive_buffer=4096))
            caller.sendall(OPENAPI * 250)  # some megabytes of answers, more than systems keep for a connection
        assert met.more(100)


@pytest.fixture
def _many_files() -> Iterator[None]:
    """This process may have as many connections open as the test needs."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(most, 4 * MANY)), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))


@pytest.mark.usefixtures("_many_files")
def test_a_thousand_connections_are_open_and_each_is_answered(live: Endpoint) -> None:
    with undisturbed(live) as met, ExitStack() as stack:
        callers = [stack.enter_context(connected(live)) for _ in range(MANY)]
        assert met.more(50)
        for number, caller in enumerate(callers):
            body = input_row(number) if number % 4 == 0 else feature_row(number)
            caller.sendall(request_head(len(body)) + body)
        assert {status_of(caller) for caller in callers} == {200}


def test_requests_under_way_are_answered_before_the_server_ends_and_new_ones_are_refused(
    own: Endpoint, model: Path
) -> None:
    body = BODIES[0]
    with serving(own) as server, ExitStack() as stack:
        own.deploy("parcels", 3, model, online())
        idle = stack.enter_context(connected(own))
        under_way = [stack.enter_context(connected(own)) for _ in range(5)]
        for caller in under_way:
            caller.sendall(request_head(len(body)) + body[:100])
        assert eventually(lambda: metric(own, "throughline_requests_in_progress") >= len(under_way))
        os.kill(server.pid, signal.SIGTERM)
        assert eventually(lambda: is_refused(own))
        for caller in under_way:
            caller.sendall(body[100:])
        assert [status_of(caller) for caller in under_way] == [200] * 5
        assert idle.recv(1) == b""
        assert server.wait(60) == 0
    assert len(logged(own, "parcels")) == len(under_way)


def is_refused(endpoint: Endpoint) -> bool:
    try:
        with connected(endpoint):
            return False
    except ConnectionRefusedError:
        return True
