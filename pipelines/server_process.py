"""One process of an endpoint: its app, how it speaks HTTP, how it logs.

Belongs here: what a lone server and each of several workers have in common. Does not belong here: the command line
(`serve.py`), and several processes (`workers.py`).
"""

import argparse
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import uvicorn

from pipelines.served import load_service
from resources.clock_file import read_clock
from resources.serving import pauses
from resources.serving.connections import allow_connections
from resources.serving.http import ScoringProtocol
from resources.serving.log_policy import LogPolicy
from resources.serving.target import StateFolder

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOG: Final = logging.getLogger(__name__)
KEEP_ALIVE_S: Final = 75
DRAIN_S: Final = 10


def app_of(given: argparse.Namespace) -> "ASGIApp":
    """The app that the arguments ask for.

    Raises:
        EndpointError: If there is no such use case, or its state folder cannot be used.
        ClockError: If the clock of a replay cannot be read.
    """
    from resources.serving.server import create_app

    pauses.give_way_soon()
    return create_app(
        load_service(given.use_case),
        StateFolder(given.state.resolve()),
        LogPolicy(durability=given.log),
        needs_keys=given.allow_remote,
        has_others=given.workers > 1,
        now=_clock(given.clock),
    )


def _clock(file: Path | None) -> Callable[[], float]:
    """The system's clock, or that of a replay.

    Raises:
        ClockError: If the file holds no instant.
    """
    if file is None:
        return time.time
    LOG.warning("answers are stamped with the instant in %s, not with the time: this is a replay", file)
    read_clock(file)
    return lambda: read_clock(file).timestamp()


def configured(app: "ASGIApp | str", **more: Any) -> uvicorn.Config:
    """How every process of the endpoint serves HTTP; the process may then have as many connections as it can."""
    allow_connections()
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=ScoringProtocol,
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        **more,
    )


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
