"""Questions that wait are scored together: one call of a model costs far more than one row in it.

Belongs here: what is scored when, and in which thread. Does not belong here: scoring (`scoring.py`).

Nothing waits for company. Whatever arrived in the same turn of the event loop, or while the scorer was busy, is one
batch, so batches grow with the load and a lone request is scored at once. (CatBoost with 30 columns: 118 microseconds
for a row alone, 14 per row in a batch of 16.)
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

MAX_BATCH_ROWS: Final = 1_000
"""As many as one request may hold."""
INLINE_S: Final = 0.002
"""A batch that takes longer is scored in a thread, so that health, metrics and other requests do not wait for it."""
_MEMORY: Final = 0.02
"""Weight of a slower batch in the estimate of what a row takes."""


class Asked(Protocol):
    """One request that waits."""

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        ...


A = TypeVar("A", bound=Asked)


class Batcher(Generic[A]):
    """Used from the event loop's thread only.

    `score` gets each batch, in that thread or another, and must not raise; `done` gets it afterwards, in the loop's.
    """

    def __init__(
        self, score: Callable[[Sequence[A]], Any], done: Callable[[Sequence[A]], Any], *, threads: int = 1
    ) -> None:
        """Take what scores a batch and what hands it back; nothing runs before the first request."""
        self._score, self._done = score, done
        self._waiting: deque[A] = deque()
        self._is_due = False
        self._threads, self._busy = threads, 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="scoring")
        self._row_s: float | None = None

    @property
    def waiting(self) -> int:
        """Requests that are not being scored yet."""
        return len(self._waiting)

    def add(self, asked: A) -> None:
        """Have it scored, with all that is added in this turn of the loop."""
        self._waiting.append(asked)
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._begin)

    def close(self) -> None:
        """Wait for what is being scored."""
        self._pool.shutdown()

    def _begin(self) -> None:
        self._is_due = False
        while self._waiting and self._busy < self._threads:
            batch = self._next()
            rows = sum(asked.rows for asked in batch)
            if self._row_s is not None and self._row_s * rows <= INLINE_S:
                self._learn(self._timed(batch) / rows)
                self._done(batch)
            else:
                self._busy += 1
                scored = asyncio.get_running_loop().run_in_executor(self._pool, self._timed, batch)
                scored.add_done_callback(partial(self._came_back, batch, rows))

    def _came_back(self, batch: Sequence[A], rows: int, scored: "asyncio.Future[float]") -> None:
        self._busy -= 1
        self._learn(scored.result() / rows)
        self._done(batch)
        if not self._is_due:
            self._begin()

    def _learn(self, row_s: float) -> None:
        # Down at once and up slowly: a batch takes longer when the machine is busy, and a thread would not help then.
        is_less = self._row_s is None or row_s < self._row_s
        self._row_s = row_s if is_less or self._row_s is None else self._row_s + _MEMORY * (row_s - self._row_s)

    def _timed(self, batch: Sequence[A]) -> float:
        """Seconds that scoring took."""
        began = time.perf_counter()
        self._score(batch)
        return time.perf_counter() - began

    def _next(self) -> list[A]:
        batch = [self._waiting.popleft()]
        rows = batch[0].rows
        while self._waiting and rows + self._waiting[0].rows <= MAX_BATCH_ROWS:
            rows += self._waiting[0].rows
            batch.append(self._waiting.popleft())
        return batch
