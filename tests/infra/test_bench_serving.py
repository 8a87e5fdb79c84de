"""The bench of servers: what wrk tells, what is made of it, and the model and rows that all servers share."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from assets.contracts import PREDICTION_TIME
from assets.logic.point_in_time import History
from infra.bench.children import ROOT, BenchError
from infra.bench.machine import Machine
from infra.bench.serving import family
from infra.bench.serving.__main__ import Server
from infra.bench.serving.contenders import OURS, PLAIN, TITLES, Contender
from infra.bench.serving.environments import READY, environment, pins, place
from infra.bench.serving.figures import ServingReport, conditions
from infra.bench.serving.limit import DATA, LIST
from infra.bench.serving.load import read
from infra.bench.serving.model import Expected, fitted
from infra.bench.serving.running import Running, Sample, Turns, running
from infra.bench.serving.use_case import ORDERS, rows, tables
from resources import processes
from tests.support.serving import free_port
from tests.support.waiting import eventually

URL = "http://127.0.0.1:1/predict"
TOLD: dict[str, Any] = {
    "requests": 3000,
    "microseconds": 2000000,
    "p50_us": 1500,
    "p99_us": 9000,
    "errors": {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0},
}
MACHINE = Machine(cpu="a processor", cores=2, memory_gb=24.0, system="an OS", python="3.11.0", load=0.1)
LIMITS = {LIST: [200.0, 250.0, 150.0], DATA: [125.0, 100.0, 500.0]}
ANSWERING = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"probability": 0.25}')
    do_POST = do_GET
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def wrk_said(**changed: object) -> str:
    figures = json.dumps({**TOLD, **changed})
    return f"Running 2s test @ {URL}\n  1 threads and 16 connections\nRequests/sec: 1500.00\n\n{figures}\n"


def sample(name: str, per_second: float, turn: int = 0, connections: int = 16, **figures: float) -> Sample:
    values = {"p50_ms": 1.0, "p99_ms": 4.0, "cpu_us": 300.0, "resident_mb": 150.0, **figures}
    return Sample(name=name, connections=connections, turn=turn, requests=100, per_second=per_second, **values)


def report(*samples: Sample) -> ServingReport:
    taken_at = datetime(2020, 1, 1, 12, tzinfo=UTC)
    return ServingReport(taken_at=taken_at, machine=MACHINE, samples=samples, limits=LIMITS, logged_bytes=900.0)


def against(name: str, ours: float, theirs: float) -> ServingReport:
    return report(sample(OURS, ours), sample(name, theirs))


def test_the_figures_of_wrk_are_read_in_seconds_and_milliseconds() -> None:
    load = read(wrk_said(), URL)
    assert (load.per_second, load.p50_ms, load.p99_ms) == (1500.0, 1.5, 9.0)


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout"])
def test_one_failed_request_fails_the_bench(kind: str) -> None:
    with pytest.raises(BenchError, match=f"{URL} failed under load.*{kind}.*1"):
        read(wrk_said(errors={**TOLD["errors"], kind: 1}), URL)


def test_a_server_that_answers_nothing_fails_the_bench() -> None:
    with pytest.raises(BenchError, match="answered nothing"):
        read(wrk_said(requests=0), URL)


def test_what_wrk_says_instead_of_figures_is_shown() -> None:
    with pytest.raises(BenchError, match="no figures; it said: unable to connect"):
        read("unable to connect\n", URL)


def test_the_same_seed_gives_the_same_rows() -> None:
    assert rows(50).equals(rows(50))


def test_another_seed_gives_other_rows() -> None:
    assert not rows(50).equals(rows(50, seed=1))


def test_a_row_has_thirty_features_and_no_null() -> None:
    made = rows(50).select(ORDERS.feature_names)
    assert (made.width, made.null_count().sum_horizontal().item()) == (30, 0)


def test_the_model_fitted_twice_gives_the_same_probabilities() -> None:
    first, second = (fitted(count=1200, trees=10).predict(rows(50, seed=1)).tolist() for _ in range(2))
    assert first == second


def test_the_endpoint_looks_up_what_the_peers_are_sent() -> None:
    known = tables(20)
    spine = known["orders"].select(*ORDERS.inputs, ORDERS.asking.alias(PREDICTION_TIME))
    found = ORDERS.build_features(spine, History(known, ORDERS.clocks)).select(ORDERS.feature_names)
    assert found.equals(rows(20).select(ORDERS.feature_names))


def test_a_figure_is_the_median_of_the_turns() -> None:
    found = report(*(sample(OURS, rate, turn) for turn, rate in enumerate([900.0, 5000.0, 1000.0])))
    assert found.middle(OURS, 16, lambda s: s.per_second) == 1000.0


def test_a_ratio_compares_within_turns() -> None:
    ours = [sample(OURS, rate, turn) for turn, rate in enumerate([1000.0, 100.0, 1200.0])]
    theirs = [sample("bare", rate, turn) for turn, rate in enumerate([500.0, 50.0, 400.0])]
    # In the second turn the machine was slow for both, which the ratio of the medians, 2.5, would not forgive.
    assert report(*ours, *reversed(theirs)).ratio("bare", 16) == 2.0


def test_the_table_has_a_row_per_load_and_server_with_the_ratio_to_ours() -> None:
    shown = report(sample("bare", 500.0), sample(OURS, 1250.0), sample(OURS, 400.0, connections=1)).to_markdown()
    found = [[cell.strip() for cell in line.strip("| ").split("|")] for line in shown.splitlines() if "|" in line]
    ours = [TITLES[OURS], "16", "1,250", "1.00", "4.00", "", "300", "150"]
    assert found[2:5] == [
        [TITLES[OURS], "1", "400", *ours[3:]],
        ours,
        [TITLES["bare"], "16", "500", "1.00", "4.00", "2.50", *ours[6:]],
    ]


@pytest.mark.parametrize(("name", "times"), [("bare", 1.0), ("bentoml", 3.0), ("mlflow", 15.0)])
@pytest.mark.parametrize("share", [1.0, 0.999])
def test_ours_must_answer_so_many_times_what_a_peer_does(name: str, times: float, share: float) -> None:
    demand = next(d for d in against(name, times * share * 1000.0, 1000.0).demands() if TITLES[name] in d.what)
    assert demand.holds == (share == 1.0)


@pytest.mark.parametrize(("p99_ms", "holds"), [(10.0, True), (10.01, False)])
def test_the_slowest_answers_have_a_limit(p99_ms: float, holds: bool) -> None:
    demands = report(sample(OURS, 1.0, p99_ms=p99_ms)).demands()
    assert [d.holds for d in demands if d.what.startswith("p99")] == [holds]


@pytest.mark.parametrize(("rate", "holds"), [(8001.0, True), (8000.0, False)])
def test_ours_must_beat_the_faster_of_the_ways_to_ask_the_model_row_by_row(rate: float, holds: bool) -> None:
    assert report(sample(OURS, rate)).demands()[-1].holds == holds


def test_what_batches_are_worth_is_looked_for_at_the_greatest_rate() -> None:
    demand = report(sample(OURS, 10.0), sample(OURS, 8001.0, connections=64)).demands()[-1]
    assert (demand.what, demand.holds) == ("answers/s, 64 connections", True)


def test_nothing_is_demanded_at_other_loads() -> None:
    assert report(sample(OURS, 1.0, connections=1)).demands() == []


def test_a_bench_without_ours_has_a_table_still() -> None:
    assert f"| {TITLES['bare']} " in report(sample("bare", 500.0)).to_markdown()


def test_a_bench_is_kept_under_its_time_and_as_the_latest(tmp_path: Path) -> None:
    kept = against("bare", 1000.0, 500.0).write(tmp_path)
    contents = [json.loads(path.read_bytes()) for path in (kept, tmp_path / "serving-latest.json")]
    assert contents[0] == contents[1]
    assert (kept.name, contents[0]["ratios"]) == ("serving-2020-01-01T12-00-00Z.json", {"16": {"bare": 2.0}})


def test_a_reader_is_told_the_releases_of_the_peers() -> None:
    said = "\n".join(conditions(Turns(connections=(16,), count=3, seconds=6), [sample("bare", 1.0)], 900.0))
    assert f"fastapi {pins('bare')['fastapi']}" in said


def test_every_server_of_the_table_can_be_measured_by_itself() -> None:
    assert [*Server] == [*TITLES]


@pytest.mark.parametrize("name", [name for name in TITLES if name != OURS])
def test_every_peer_has_the_release_of_catboost_that_we_have(name: str) -> None:
    assert f"catboost=={pins(name)['catboost']}" in (ROOT / "requirements.lock").read_text("utf-8").splitlines()


def test_a_finished_environment_is_used_as_it_stands(tmp_path: Path) -> None:
    home = place("bare", tmp_path)
    home.mkdir()
    (home / READY).touch()
    assert environment("bare", tmp_path, pytest.fail) == home / "bin"


def test_processor_time_counts_from_the_first_look() -> None:
    before, after = {(1, 0.0): 5.0, (2, 0.0): 1.0}, {(1, 0.0): 7.0, (3, 0.0): 0.5}
    assert family.spent(before, after) == 2.5


def test_a_server_stands_still_with_all_its_processes(two_processes: psutil.Process) -> None:
    family.suspend(two_processes.pid)
    assert eventually(lambda: statuses(two_processes) == [psutil.STATUS_STOPPED] * 2)


def test_a_server_that_stood_still_goes_on_with_all_its_processes(two_processes: psutil.Process) -> None:
    family.suspend(two_processes.pid)
    family.resume(two_processes.pid)
    assert eventually(lambda: statuses(two_processes) == [psutil.STATUS_SLEEPING] * 2)


def test_a_server_that_answers_wrongly_is_refused(stub: Contender, tmp_path: Path) -> None:
    with (
        pytest.raises(BenchError, match=r"bare answers 0\.25 where the shared model says 0\.75"),
        served(stub, 0.75, tmp_path),
    ):
        pass


def test_a_server_is_ended_when_its_bench_fails(stub: Contender, tmp_path: Path) -> None:
    with suppress(BenchError), served(stub, 0.75, tmp_path):
        pass
    assert processes.port_is_free(stub.port)


def test_a_server_that_does_not_start_is_quoted(stub: Contender, tmp_path: Path) -> None:
    broken = replace(stub, command=(sys.executable, "-c", "raise SystemExit('no such model')"))
    with pytest.raises(BenchError, match=r"bare.*no such model"), served(broken, 0.25, tmp_path):
        pass


@pytest.fixture
def two_processes() -> Iterator[psutil.Process]:
    """A process and its child, which do nothing."""
    child = "import time; time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent]) as started:
        process = psutil.Process(started.pid)
        assert eventually(lambda: statuses(process) == [psutil.STATUS_SLEEPING] * 2)
        family_of = [process, *process.children()]
        yield process
        for member in family_of:
            member.kill()


def statuses(process: psutil.Process) -> list[str]:
    return [member.status() for member in (process, *process.children())]


@pytest.fixture
def stub() -> Contender:
    """A server that answers 0.25 to everything."""
    port = free_port()
    return Contender(
        name="bare",
        port=port,
        command=(sys.executable, "-c", ANSWERING, str(port)),
        env=PLAIN,
        path="/",
        health="/",
        body=lambda row: json.dumps(row).encode(),
        probability=lambda answer: float(answer["probability"]),
    )


def served(contender: Contender, probability: float, room: Path) -> AbstractContextManager[Running]:
    return running(contender, Expected(rows=[{"number": 1.0}], calibrated=[0.0], plain=[probability]), room)
