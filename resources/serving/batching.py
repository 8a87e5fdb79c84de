"""Questions that wait are scored together: one call of a model costs far more than one row in it.

Belongs here: what is scored when, and in which thread. Does not belong here: scoring (`scoring.py`).

Nothing waits for company. Whatever has arrived, or arrives while that is read or the scorer is busy, is one batch, so
batches grow with the load and a lone request is scored at once. (CatBoost with 30 columns: 118 microseconds for a row
alone, 14 per row in a batch of 16.)
"""

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

MAX_BATCH_ROWS: Final = 1_000
"""As many as one request may hold."""
ENOUGH: Final = 64
"""Requests that are scored without a look at whether more have come: from there on a batch of more saves little."""
INLINE_S: Final = 0.005
"""A batch that takes longer is scored in a thread, so that health, metrics and other requests do not wait for it."""
REMEMBERED: Final = 3
"""Batches of about the same number of rows whose quickest tells what the next will take. The others may have waited for
a processor, and a thread is no help against that."""
PROBED_S: Final = 0.02
PROBED_EVERY: Final = 20
"""In a thread, a batch also waits for the interpreter's lock, and seems long for as long as others are answered: one
that seems to take no more than `PROBED_S` is tried without a thread now and then."""


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
        self._is_due, self._seen = False, 0
        self._threads, self._busy = threads, 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="scoring")
        self._paces: defaultdict[int, Pace] = defaultdict(Pace)

    @property
    def waiting(self) -> int:
        """Requests that are not being scored yet."""
        return len(self._waiting)

    def add(self, asked: A) -> None:
        """Have it scored, with all that is added in this turn of the loop."""
        self._waiting.append(asked)
        self._begin_soon()

    def close(self) -> None:
        """Wait for what is being scored."""
        self._pool.shutdown()

    def _begin_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._is_due = False
        if max(self._seen, 1) < len(self._waiting) < ENOUGH:
            # Where there are several there may be more: callers whom the last batch answered have asked again by now.
            self._seen = len(self._waiting)
            self._begin_soon()
            return
        self._seen = 0
        while self._waiting and self._busy < self._threads:
            batch = self._next()
            # By about how many rows they hold: a model's time has a part that no row adds to.
            pace = self._paces[sum(asked.rows for asked in batch).bit_length()]
            if pace.is_short():
                pace.ran(self._timed(batch))
                self._done(batch)
            else:
                self._busy += 1
                scored = asyncio.get_running_loop().run_in_executor(self._pool, self._timed, batch)
                scored.add_done_callback(partial(self._came_back, batch, pace))

    def _came_back(self, batch: Sequence[A], pace: "Pace", scored: "asyncio.Future[float]") -> None:
        self._busy -= 1
        pace.ran_beside(scored.result())
        self._done(batch)
        if not self._is_due:
            self._begin()

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


class Pace:
    """What batches of about the same number of rows take."""

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=REMEMBERED)
        self._in_threads = 0

    def is_short(self) -> bool:
        """Whether the next one is to be scored without a thread."""
        least = min(self._took, default=math.inf)
        return least <= INLINE_S or (least <= PROBED_S and self._in_threads >= PROBED_EVERY)

    def ran(self, seconds: float) -> None:
        """One was scored without a thread."""
        self._took.append(seconds)
        self._in_threads = 0

    def ran_beside(self, seconds: float) -> None:
        """One was scored in a thread."""
        self._took.append(seconds)
        self._in_threads += 1
