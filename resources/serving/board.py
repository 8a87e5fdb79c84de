"""What each worker process of one endpoint serves, for the others to tell: a load balancer reaches any of them.

Belongs here: one small file per worker in the state folder, and those of workers that live. Does not belong here: what
is loaded (`deployments.py`), and starting workers (the process's main).

    workers/<pid>.json    state, versions and shares, metrics
"""

import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

LOG: Final = logging.getLogger(__name__)
FOLDER: Final = "workers"
EVERY_S: Final = 1.0
"""Seconds between two writes of a worker whose versions stay the same: how old its metrics may be."""


@dataclass(frozen=True, kw_only=True)
class Posted:
    """What a worker says of itself.

    Attributes:
        pid: Its process, and `started_at` when that began (seconds since 1970): a pid may be given again.
        state: See `statuses.Status`.
        live: Deployment of the live version.
        beside: Deployment and share of the version beside it.
        failed: When the target was asked for that failed last (ISO-8601), and why it did.
        metrics: Its metrics in Prometheus' text format.
    """

    pid: int
    started_at: float
    state: str
    live: str | None
    beside: tuple[str, float] | None
    failed: tuple[str | None, str] | None
    metrics: str


class Board:
    """The files of all workers."""

    def __init__(self, folder: Path, posted: Callable[[], Posted]) -> None:
        """Take the state folder, and what this worker has to say."""
        self._folder, self._posted = folder / FOLDER, posted
        self._name = f"{os.getpid()}.json"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)

    def start(self) -> None:
        """Begin to say it, for the others; a worker that is alone need not."""
        self._thread.start()

    def stop(self) -> None:
        """Take it back."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)
        (self._folder / self._name).unlink(missing_ok=True)

    def post(self) -> None:
        """Say it now; whole for every reader. A loss of power ends this worker as well, so the disk is not asked.

        A disk that refuses keeps it from the others, and this worker from nothing.
        """
        temporary = self._folder / f".{self._name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(asdict(self._posted())), encoding="utf-8")
            temporary.replace(self._folder / self._name)
        except OSError as error:
            LOG.warning("other workers cannot be told what this one serves: %s", error)

    def workers(self) -> list[Posted]:
        """What all workers that live have said, this one as of now."""
        others = [read for path in sorted(self._folder.glob("[0-9]*.json")) if (read := self._read(path)) is not None]
        return [self._posted(), *others]

    def _read(self, path: Path) -> Posted | None:
        if path.name == self._name:
            return None
        try:
            told: dict[str, Any] = json.loads(path.read_bytes())
            is_there = abs(psutil.Process(told["pid"]).create_time() - told["started_at"]) < 1.0
        except (FileNotFoundError, psutil.NoSuchProcess):
            is_there = False
        if not is_there:
            path.unlink(missing_ok=True)  # of a worker that was killed
            return None
        beside, failed = told["beside"], told["failed"]
        pairs = {"beside": beside and tuple(beside), "failed": failed and tuple(failed)}
        return Posted(**(told | pairs))

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self.post()
