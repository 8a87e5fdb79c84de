"""What every test may ask for: a state folder, a lake and a landing zone on disk and on a real S3 server."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

from resources.lake import Commit, Lake
from resources.objects import ObjectStore
from tests.support.mlflow_template import stores_begin_as_copies
from tests.support.rooms import shared

QUIET = {
    "DO_NOT_TRACK": "true",  # Evidently takes any value, MLflow only this one
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "DAGSTER_EVENT_BATCH_SIZE": "1000",
    "GX_ANALYTICS_ENABLED": "false",
    "MPLBACKEND": "Agg",
}
NOBODY = {
    # No test can reach an account, not even by mistake.
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
LONG = (
    "tests/test_automation.py",
    "tests/test_bring_your_own_table.py",
    "tests/test_end_to_end.py",
    "tests/infra/test_bench.py",
    "tests/pipelines/test_line.py",
    "tests/pipelines/test_services.py",
)
THEIRS = ("THROUGHLINE_", "DAGSTER_HOME", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What may be asked for beside pytest's own options."""
    parser.addoption(
        "--load-seconds", type=float, default=12.0, help="how long `test_serve_load.py` keeps the endpoint busy"
    )


def pytest_configure() -> None:
    """Before anything is imported, as libraries read some of these once; child processes inherit them."""
    for name in [n for n in os.environ if n.startswith(THEIRS)]:
        del os.environ[name]
    os.environ.update(QUIET | NOBODY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: not any(str(item.path).endswith(name) for name in LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A file that leaves variables of a state folder behind fails itself, not a file that happens to come later."""
    yield
    if nextitem is None or nextitem.path != item.path:
        left = sorted(name for name in os.environ if name.startswith(THEIRS))
        assert not left, f"{item.path} leaves {', '.join(left)} set"


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """What a test sets in the environment, or a command that it calls in its own process, is put back."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() | before.keys():
        if name not in before:
            del os.environ[name]
        elif os.environ.get(name) != before[name]:
            os.environ[name] = before[name]


@pytest.fixture(scope="session", autouse=True)
def _migrated_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """MLflow's migrations run once for all workers, not once for each store."""
    with stores_begin_as_copies(shared(tmp_path_factory.getbasetemp())):
        yield


@dataclass(frozen=True)
class S3Server:
    """Moto's S3 server as a process of its own on loopback."""

    endpoint: str

    @property
    def storage_options(self) -> dict[str, str]:
        return {
            "aws_endpoint_url": self.endpoint,
            "aws_allow_http": "true",
            "aws_access_key_id": NOBODY["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": NOBODY["AWS_SECRET_ACCESS_KEY"],
            "aws_region": NOBODY["AWS_REGION"],
        }

    def new_bucket(self) -> str:
        name = f"bucket-{uuid.uuid4().hex}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request, timeout=10):
            return name

    def store(self, root: str) -> ObjectStore:
        from dagster_aws.s3 import S3Resource

        return ObjectStore(root, S3Resource(endpoint_url=self.endpoint, region_name=NOBODY["AWS_REGION"]))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("s3") / "moto.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        for _ in range(600):
            if _answers(endpoint):
                break
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        else:
            pytest.fail(f"moto's server does not answer: {log.read_text(encoding='utf-8')}")
        yield S3Server(endpoint)
    finally:
        process.kill()  # it keeps nothing
        process.wait()


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/moto-api/data.json", timeout=5):
            return True
    except (URLError, ConnectionError, TimeoutError):
        return False


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder that the settings of this process and of its children point to."""
    folder = tmp_path / "var"
    folder.mkdir()
    monkeypatch.setenv("THROUGHLINE_HOME", str(folder))
    return folder


@pytest.fixture(params=["local", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """An empty lake, once on disk and once on S3."""
    if request.param == "local":
        return Lake(root=str(tmp_path / "lake"))
    server: S3Server = request.getfixturevalue("s3_server")
    return Lake(root=f"s3://{server.new_bucket()}/lake", storage_options=server.storage_options)


@pytest.fixture(params=["local", "s3"])
def landing(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty landing zone, once on disk and once on S3."""
    if request.param == "local":
        return ObjectStore(str(tmp_path / "landing"))
    server: S3Server = request.getfixturevalue("s3_server")
    return server.store(f"s3://{server.new_bucket()}/landing")


@pytest.fixture
def s3_root(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket that is found by the usual AWS variables alone, as in production."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    return f"s3://{s3_server.new_bucket()}"


@pytest.fixture
def commit() -> Commit:
    return Commit(dagster_run_id="a-run", code_version="a-version")
