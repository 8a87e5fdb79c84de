"""Several processes on one port: they agree, are replaced, and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from resources.serving.client import Endpoint
from tests.support.serving import TOY_PATH, call, endpoint_in, online, save_model, tensors
from tests.support.waiting import eventually

WORKERS = 2
STORM = {"shop": "east", "seen_at": "2020-02-10T10:00:00Z", "wind_kmh": 88.5}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    room = tmp_path_factory.mktemp("registry")
    made: dict[int, Path] = {}

    def model(number: int) -> Path:
        if number not in made:
            made[number] = save_model(room / str(number), seed=number)
        return made[number]

    return model


@pytest.fixture
def served(tmp_path: Path, models: Callable[[int], Path]) -> Iterator[tuple[Endpoint, subprocess.Popen[bytes]]]:
    """An endpoint of several workers with version 3 live, and their parent."""
    with endpoint_in(tmp_path) as endpoint:
        port, state = endpoint.port_of("parcels"), Path(endpoint.state_root) / "parcels"
        command = [sys.executable, "-m", "pipelines.serve", "--use-case", TOY_PATH, "--state", str(state)]
        parent = subprocess.Popen([*command, "--port", str(port), "--workers", str(WORKERS)])
        try:
            assert eventually(lambda: _pids(endpoint) and len(_pids(endpoint)) == WORKERS, seconds=90)
            endpoint.deploy("parcels", 3, models(3), online())
            yield endpoint, parent
        finally:
            parent.terminate()
            parent.wait(30)


def test_every_worker_has_a_version_before_its_deployment_counts(
    served: tuple[Endpoint, subprocess.Popen[bytes]], models: Callable[[int], Path]
) -> None:
    endpoint, _ = served
    endpoint.deploy("parcels", 4, models(4), online())
    assert {_infer(endpoint)["model_version"] for _ in range(40)} == {"4"}


def test_a_killed_worker_is_replaced_and_nobody_waits_for_it(
    served: tuple[Endpoint, subprocess.Popen[bytes]],
) -> None:
    endpoint, _ = served
    first = sorted(_pids(endpoint))[0]
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: first not in _pids(endpoint) and len(_pids(endpoint)) == WORKERS, seconds=60)
    assert eventually(lambda: all(w["live"] for w in call(endpoint.url("parcels")).json["workers"]), seconds=60)
    assert {_infer(endpoint)["model_version"] for _ in range(40)} == {"3"}


def test_what_one_worker_is_told_all_know(served: tuple[Endpoint, subprocess.Popen[bytes]]) -> None:
    endpoint, _ = served
    call(f"{endpoint.url('parcels')}/observations", {"records": {"storms": [STORM]}})

    def all_know() -> bool:
        asked = [_infer(endpoint, shop="east")["parameters"]["missing_inputs"] for _ in range(20)]
        return not any("wind_kmh" in missing for missing in asked)

    assert eventually(all_know, seconds=10)


def test_the_metrics_of_all_workers_are_on_one_page(served: tuple[Endpoint, subprocess.Popen[bytes]]) -> None:
    endpoint, _ = served
    with ThreadPoolExecutor(8) as callers:
        [*callers.map(lambda _: _infer(endpoint), range(64))]

    def counted() -> float:
        page = call(f"{endpoint.root('parcels')}/metrics").content.decode()
        lines = [line for line in page.splitlines() if line.startswith("throughline_rows_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    assert eventually(lambda: counted() == 64, seconds=10)


def test_no_worker_outlives_its_parent(served: tuple[Endpoint, subprocess.Popen[bytes]]) -> None:
    endpoint, parent = served
    pids = _pids(endpoint)
    parent.kill()
    assert eventually(lambda: not any(psutil.pid_exists(pid) and _runs(pid) for pid in pids), seconds=30)


def _infer(endpoint: Endpoint, **changed: object) -> Any:
    return call(f"{endpoint.url('parcels')}/infer", tensors(**changed)).json


def _pids(endpoint: Endpoint) -> set[int]:
    try:
        return {worker["pid"] for worker in call(endpoint.url("parcels")).json["workers"]}
    except OSError:
        time.sleep(0.1)
        return set()


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
