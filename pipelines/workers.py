"""Several processes that answer on one port: started together, replaced when they end, ended with their parent.

Belongs here: the parent, and how a worker knows what to serve. Does not belong here: serving (`serve.py`).
"""

import argparse
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from uvicorn.supervisors import Multiprocess

from pipelines import server_process

if TYPE_CHECKING:
    from starlette.types import ASGIApp

VARIABLE: Final = "THROUGHLINE_WORKER_ARGUMENTS"
WATCH_S: Final = 0.5


def run(given: argparse.Namespace, listening: socket.socket) -> None:
    """Serve with `given.workers` processes until SIGTERM; SIGHUP replaces them one after the other."""
    os.environ[VARIABLE] = json.dumps(vars(given) | {"parent": os.getpid()}, default=str)
    config = server_process.configured("pipelines.workers:app", factory=True, workers=given.workers)
    Multiprocess(config, sockets=[listening]).run()


def app() -> "ASGIApp":
    """What one worker serves; called in its process."""
    told = json.loads(os.environ[VARIABLE])
    server_process.log_as_json()
    threading.Thread(target=_end_with, args=(told["parent"],), name="parent", daemon=True).start()
    paths = {name: told[name] and Path(told[name]) for name in ("state", "clock")}
    return server_process.app_of(argparse.Namespace(**(told | paths)))


def _end_with(parent: int) -> None:
    """End in order once the parent is gone: a worker without one would hold the port for ever."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os.kill(os.getpid(), signal.SIGTERM)
