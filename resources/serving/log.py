"""What was answered, kept on local disk: one JSON line per row, one file per UTC day, only ever appended to.

Belongs here: writing without ever holding up or failing a request. Does not belong here: reading it back.

A line is handed over in memory and written by a thread. If the disk is slower than the requests, or full, rows are
lost and counted; the serving goes on.
"""

import logging
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from resources.serving.entries import Entry

LOG: Final = logging.getLogger(__name__)
MAX_WAITING_ROWS: Final = 20_000
"""About 40 MB at 100 features a row."""


class PredictionLog:
    """Appends entries in a thread of its own."""

    def __init__(self, folder: Path, *, on_drop: Callable[[int], None], on_error: Callable[[], None]) -> None:
        """Take where to write and whom to tell of rows that were lost; nothing starts before `start`."""
        self._folder, self._on_drop, self._on_error = folder, on_drop, on_error
        self._queue: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._waiting_rows = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Write what is waiting, then end."""
        self._queue.put(None)
        self._thread.join(timeout)

    def add(self, entry: Entry) -> None:
        """Hand an entry over; returns at once, whether or not there is room for it."""
        rows = entry.rows
        with self._lock:
            has_room = self._waiting_rows + rows <= MAX_WAITING_ROWS
            self._waiting_rows += rows if has_room else 0
        if has_room:
            self._queue.put(entry)
        else:
            self._on_drop(rows)
            LOG.warning("the prediction log is %d rows behind; %d rows were not kept", MAX_WAITING_ROWS, rows)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            try:
                self._write(entry)
            except Exception:
                # Not even a full disk or an entry of an unforeseen kind may end this thread; it is counted and told.
                self._on_error()
                LOG.exception("prediction %s was not written to the log", entry.answer.id)
            with self._lock:
                self._waiting_rows -= entry.rows

    def _write(self, entry: Entry) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # One write call per entry on a file opened for appending: lines of two processes do not mix.
        with (self._folder / f"{datetime.fromtimestamp(entry.answered_at, UTC):%Y-%m-%d}.jsonl").open(
            "ab", buffering=0
        ) as file:
            file.write(b"".join(line + b"\n" for line in entry.encode()))
