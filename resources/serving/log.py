"""What was answered, kept on local disk: one JSON line per row, one file per UTC day, only ever appended to.

Belongs here: writing without ever holding up or failing a request. Does not belong here: reading it back.

A line is handed over in memory and written by a thread. If the disk is slower than the requests, or full, rows are
lost and counted; the serving goes on.
"""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from resources.serving.answers import Answer, logged
from resources.serving.rows import Question

LOG: Final = logging.getLogger(__name__)
MAX_WAITING_ROWS: Final = 20_000
"""About 40 MB at 100 features a row."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One answered request: `features` are those the model saw, shape (n, n_features)."""

    answered_at: datetime
    request_id: str
    question: Question
    features: pl.DataFrame
    answer: Answer
    latency_s: float

    def lines(self) -> bytes:
        """One JSON object per row, each with a line end; `score` holds all outputs of the model."""
        question, answer = self.question, self.answer
        inputs = question.rows.to_dicts() if question.kind == "inputs" else None
        rows = self.features.to_dicts()
        return b"".join(
            orjson.dumps(self._shared(row) | {"inputs": inputs and inputs[row], "features": features, "score": score})
            + b"\n"
            for row, (features, score) in enumerate(zip(rows, logged(answer), strict=True))
        )

    def _shared(self, row: int) -> dict[str, Any]:
        times = self.answer.prediction_times
        return {
            "answered_at": self.answered_at,
            "prediction_id": self.answer.id,
            "row": row,
            "request_id": self.request_id,
            "purpose": self.question.purpose,
            "version": self.answer.version,
            "latency_ms": round(self.latency_s * 1e3, 3),
            "prediction_time": None if times is None else times[row],
        }


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
        rows = len(entry.features)
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
                self._waiting_rows -= len(entry.features)

    def _write(self, entry: Entry) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # One write call per entry on a file opened for appending: lines of two processes do not mix.
        with (self._folder / f"{entry.answered_at:%Y-%m-%d}.jsonl").open("ab", buffering=0) as file:
            file.write(entry.lines())
