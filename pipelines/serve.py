"""The process of the endpoint: one use case behind the server, on one port, from the files of its state folder.

Belongs here: the command line and the socket. Does not belong here: what one process serves (`server_process.py`), HTTP
and versions (`resources/serving`). Neither Dagster, nor MLflow, nor the lake is needed, or loaded.
"""

import argparse
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvicorn

from pipelines import workers
from pipelines.server_process import app_of, configured, log_as_json
from resources.errors import EndpointError, ThroughlineError

LOG: Final = logging.getLogger(__name__)


def listen(host: str, port: int, *, allow_remote: bool) -> socket.socket:
    """A listening socket.

    Raises:
        EndpointError: If the port is taken, or the address is reachable from other machines and that was not allowed.
    """
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if not allow_remote and not ipaddress.ip_address(address[4][0]).is_loopback:
            raise EndpointError(f"{host} can be reached from other machines; say --allow-remote if that is meant")
        return socket.create_server((address[4][0], port), family=address[0], backlog=2048)
    except OSError as error:
        raise EndpointError(
            f"cannot listen on {host} port {port} ({error.strerror}); end the program that holds it, or set "
            "THROUGHLINE_ENDPOINT_PORT to a free port"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; requests under way are answered first."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.serve", description=__doc__)
    parser.add_argument("--use-case", required=True, help="a name of the catalogue, or package.module:NAME")
    parser.add_argument("--state", required=True, type=Path, help="state folder of this use case's endpoint")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument(
        "--log",
        choices=("fast", "durable"),
        default="fast",
        help="durable: an answer is given once it is on disk; fast: the log never holds an answer up",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that answer on the port")
    parser.add_argument("--allow-remote", action="store_true", help="answer other machines too")
    parser.add_argument(
        "--clock", type=Path, help="of a replay: a file with the instant that answers are stamped with, as ISO text"
    )
    given = parser.parse_args(arguments)
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    log_as_json()
    if given.workers < 1:
        parser.error("--workers must be 1 or more")
    try:
        listening = listen(given.host, given.port, allow_remote=given.allow_remote)
        app = app_of(given)
    except ThroughlineError as error:
        sys.stderr.write(f"throughline: {error}\n")
        return 1
    LOG.info("%s answers on %s port %d", given.use_case, *listening.getsockname()[:2])
    if given.workers > 1:
        workers.run(given, listening)
    else:
        # uvicorn raises the signal once more after it has ended in order; by default that would kill this process.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with suppress(KeyboardInterrupt):
            uvicorn.Server(configured(app)).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
