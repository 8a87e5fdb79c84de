"""The endpoint's server as a child of the test, for where its options, its limits or its end matter."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from resources import processes
from resources.serving.client import Endpoint
from tests.support.serving import TOY_PATH, server_root

ROOT = Path(__file__).parents[2]


def log_of(endpoint: Endpoint) -> Path:
    """What the server says."""
    return Path(endpoint.home) / "server.log"


@contextmanager
def serving(
    endpoint: Endpoint,
    *options: str,
    path: str = TOY_PATH,
    program: str = "pipelines.serve",
    most_files: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """The server behind the endpoint's port and state folder; killed afterwards if it still runs.

    Args:
        options: For the server, as on its command line.
        program: The module that is run; one that does something and then is the server.
        most_files: Files it may have open, until it asks for more itself.
        env: Added to the environment.
    """
    state = Path(endpoint.state_root) / "parcels"
    command = [sys.executable, "-m", program, "--use-case", path, "--state", str(state)]
    command += ["--port", str(endpoint.port_of("parcels")), *options]
    if most_files is not None:
        command = ["sh", "-c", 'ulimit -S -n "$0"; exec "$@"', str(most_files), *command]
    with log_of(endpoint).open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        live = f"{server_root(endpoint)}/v2/health/live"
        processes.wait_until_healthy(live, timeout=120, is_alive=lambda: process.poll() is None)
        yield process
    finally:
        process.kill()
        process.wait()
