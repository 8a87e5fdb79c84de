"""The process of the endpoint: one use case behind the server, on one port, from the files of its state folder.

Belongs here: the command line, the socket, logging. Does not belong here: the use case as the server sees it
(`served.py`), HTTP and versions (`resources/serving`). Neither Dagster, nor MLflow, nor the lake is needed, or loaded.
"""

import argparse
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from pipelines.served import UseCaseService, load_service
from resources.errors import EndpointError, ThroughlineError
from resources.serving.log_policy import LogPolicy
from resources.serving.target import StateFolder

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOG: Final = logging.getLogger(__name__)
KEEP_ALIVE_S: Final = 75
DRAIN_S: Final = 10


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
    parser.add_argument("--allow-remote", action="store_true", help="answer other machines too")
    given = parser.parse_args(arguments)
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    log_as_json()
    from resources.serving.server import create_app

    try:
        listening = listen(given.host, given.port, allow_remote=given.allow_remote)
        service, folder = load_service(given.use_case), StateFolder(given.state.resolve())
        app = create_app(service, folder, LogPolicy(durability=given.log), needs_keys=given.allow_remote)
    except ThroughlineError as error:
        sys.stderr.write(f"throughline: {error}\n")
        return 1
    _serve(service, app, listening)
    return 0


def _serve(service: UseCaseService, app: "ASGIApp", listening: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    LOG.info("%s answers on %s port %d", service.use_case, *listening.getsockname()[:2])
    with suppress(KeyboardInterrupt):  # uvicorn raises it once more after it has ended in order
        uvicorn.Server(config).run(sockets=[listening])


class JsonLines(logging.Formatter):
    """One JSON object per record, with its traceback if it has one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{key: getattr(record, key) for key in ("request_id", "path") if hasattr(record, key)},
            **({"traceback": self.formatException(record.exc_info)} if record.exc_info else {}),
        }
        return orjson.dumps(line, default=str).decode()


def log_as_json() -> None:
    """Send all logging of this process to stderr as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


if __name__ == "__main__":
    raise SystemExit(main())
