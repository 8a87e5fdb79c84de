"""What was answered, kept on local disk: handed over in memory, written by a thread of its own.

Belongs here: when is written, and what is counted when the disk is slow or refuses. Does not belong here: the files
(`segments.py`), the promise (`log_policy.py`), and what a record says.

The durable way is group commit: the writer takes all that waits, writes it, asks the disk once, and tells all who
waited. Source: Gray and Reuter, "Transaction processing", 1993, chapter 9.
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from resources.serving.checked_lines import line_of
from resources.serving.log_policy import Loggable, LogPolicy
from resources.serving.log_waiting import Waiting, encoded, resolve, tell
from resources.serving.segment_writer import SegmentWriter
from resources.serving.segments import seal_left_open, worker_name

LOG: Final = logging.getLogger(__name__)
LINGER_S: Final = 0.01
"""How long the writer of the fast way lets answers come together. Woken by each, it would take the interpreter's lock
from the requests once per answer."""
GROUP_ROWS: Final = 64
"""Rows after which the fast way writes. Between two groups the interpreter's lock is free: a long backlog must not hold
requests up for more than the millisecond it takes to encode so many."""
PAUSE_S: Final = 0.5
"""After the disk refused, until it is asked again."""
TELL_S: Final = 10.0
"""Between two lines about lost rows: a full disk must not fill the log of the process as well."""


class PredictionLog:
    """Writes entries in a thread of its own. `add` and `commit` may be called from any thread."""

    def __init__(
        self,
        folder: Path,
        policy: LogPolicy,
        *,
        on_drop: Callable[[int], None],
        on_error: Callable[[], None],
        name: str = "prediction log",
    ) -> None:
        """Take where to write and how; nothing starts before `start`.

        Args:
            folder: Holds the segments, of other processes too.
            policy: The way.
            on_drop: Told the number of rows of each loss, whatever the reason; called in any thread, so it must not
                raise.
            on_error: Told of each failure: of the disk, or of an entry that cannot be encoded; like `on_drop`.
            name: What it is called where it tells of itself.
        """
        self.worker, self._name = worker_name(), name
        self._folder, self._policy, self._on_drop, self._on_error = folder, policy, on_drop, on_error
        self._writer = SegmentWriter(folder, self.worker, policy)
        self._queue: deque[Waiting] = deque()
        self._taken: list[Waiting] = []
        self._waiting_rows = self._untold_rows = 0
        self._tell_at = 0.0
        self._is_idle = self._is_refused = self._is_closed = False
        self._lock, self._wake, self._stopping = threading.Lock(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def waiting_rows(self) -> int:
        """Rows that were handed over and are not written yet."""
        return self._waiting_rows

    @property
    def lag_s(self) -> float:
        """Age in seconds of the oldest entry that is not written yet; 0.0 if all are."""
        with self._lock:
            unwritten = self._taken or self._queue
            return time.monotonic() - unwritten[0].since if unwritten else 0.0

    @property
    def is_lagging(self) -> bool:
        """Whether more than half of what may wait does: soon rows will be lost."""
        return self._waiting_rows > self._policy.max_waiting_rows / 2

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Write what waits, then end; what could not be written within `timeout` seconds is lost and counted."""
        with self._lock:
            self._is_closed = True
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self._waiting_rows:
            self._lose(self._waiting_rows, "the process ended before they were written")
        if self._untold_rows:
            LOG.warning("%d more rows are not in the %s", self._untold_rows, self._name)

    def add(self, entry: Loggable) -> None:
        """Hand an entry over; returns at once and never fails, whether or not there is room for it."""
        if (why := self._enqueue(entry, None)) is not None:
            self._lose(entry.rows, why)

    def commit(self, entry: Loggable, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """A future that is done once the entry is on disk; call it in the thread of `loop`.

        The future fails with a `NotLoggedError` if the entry could not be put on record. One that is given up by its
        caller is written all the same.

        Raises:
            ValueError: If the policy is fast: nobody would ever ask the disk.
        """
        if not self._policy.is_durable:
            raise ValueError("a fast prediction log acknowledges nothing; use add, or make its policy durable")
        future: asyncio.Future[None] = loop.create_future()
        if (why := self._enqueue(entry, future)) is not None:
            self._lose(entry.rows, why)
            resolve([future], why)
        return future

    def _enqueue(self, entry: Loggable, future: "asyncio.Future[None] | None") -> str | None:
        """Put an entry into the queue; says why not if it cannot."""
        rows = entry.rows
        waiting = Waiting(encoded(entry), rows, time.monotonic(), future)
        with self._lock:
            if self._is_closed:
                return "the log is closed"
            if self._waiting_rows + rows > self._policy.max_waiting_rows:
                return f"{self._waiting_rows} rows wait to be written already"
            self._waiting_rows += rows
            self._queue.append(waiting)
            is_asleep, self._is_idle = self._is_idle, False
        if is_asleep:
            self._wake.set()
        return None

    def _run(self) -> None:
        self._guarded(self._seal_left_open)
        while self._queue or not self._stopping.is_set():
            self._guarded(self._turn)
        self._guarded(self._writer.close)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            # Not even a full disk may end this thread; it is counted, told, and whoever waits learns of it.
            self._on_error()
            if not self._is_refused:
                LOG.exception("the %s cannot be written; it goes on trying", self._name)
            self._is_refused = True
            if self._taken:
                why = f"the log cannot be written: {error}"
                self._lose(sum(waiting.rows for waiting in self._taken), why)
                self._settle(why)

    def _seal_left_open(self) -> None:
        for segment in seal_left_open(self._folder):
            told = "segment %s of the %s was left open by a process that died; it is sealed now"
            LOG.warning(told, segment, self._name)

    def _turn(self) -> None:
        """Wait for entries, write those that are there by then, and look after the segment."""
        self._wait()
        left = len(self._queue)  # what comes meanwhile is left to come together
        while left:
            count, lines = self._take(left)
            left -= count
            if lines:
                self._writer.write(lines, durably=self._policy.is_durable)
            self._settle(None)
            if self._is_refused:
                LOG.warning("the %s is written again", self._name)
            self._is_refused = False
            self._writer.look_after()
        self._writer.look_after()

    def _wait(self) -> None:
        if self._is_refused and not self._policy.is_durable:
            self._stopping.wait(PAUSE_S)
            return
        with self._lock:
            is_idle = self._is_idle = not self._queue and not self._stopping.is_set()
            if is_idle:
                self._wake.clear()
        if is_idle:
            due_at = self._writer.due_at
            self._wake.wait(None if due_at is None else max(0.0, due_at - time.monotonic()))
            self._is_idle = False
        if not self._policy.is_durable:
            self._stopping.wait(LINGER_S)

    def _take(self, most: int) -> tuple[int, bytes]:
        """Take the next group of at most so many entries: how many it holds, and their lines.

        Those of the durable way are all that waits; the fast way stops at `GROUP_ROWS`.
        """
        most_rows = math.inf if self._policy.is_durable else GROUP_ROWS
        group: list[Waiting] = []
        rows = 0
        with self._lock:
            while len(group) < most and rows < most_rows:
                waiting = self._queue.popleft()
                group.append(waiting)
                rows += waiting.rows
            self._taken = group
        lines: list[bytes] = []
        for waiting in group:
            try:
                lines += [line_of(content) for content in waiting.entry.encode()]
            except Exception as error:  # noqa: BLE001 - told with its traceback where it is counted
                # One entry of an unforeseen kind must not take the others of its group with it.
                self._refuse(waiting, error)
        return len(group), b"".join(lines)

    def _refuse(self, refused: Waiting, error: Exception) -> None:
        """One entry that was taken cannot be encoded, and is lost; the others are not."""
        with self._lock:
            self._taken = [waiting for waiting in self._taken if waiting is not refused]
            self._waiting_rows -= refused.rows
        self._on_error()
        why = f"it cannot be encoded: {error!r}"
        self._lose(refused.rows, why, error)
        tell([refused], why)

    def _settle(self, why: str | None) -> None:
        """What was taken is written (None), or lost for a reason."""
        with self._lock:
            settled, self._taken = self._taken, []
            self._waiting_rows -= sum(waiting.rows for waiting in settled)
        tell(settled, why)

    def _lose(self, rows: int, why: str, error: Exception | None = None) -> None:
        self._on_drop(rows)
        now = time.monotonic()
        with self._lock:
            self._untold_rows += rows
            if now < self._tell_at:
                return
            rows, self._untold_rows, self._tell_at = self._untold_rows, 0, now + TELL_S
        LOG.warning("%d rows are not in the %s: %s", rows, self._name, why, exc_info=error)
