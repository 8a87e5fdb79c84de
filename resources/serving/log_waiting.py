"""Answers on their way into the prediction log, and telling those who wait for them.

Belongs here: the way back into the event loops. Does not belong here: writing (`prediction_log.py`).
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from resources.serving.log_policy import Loggable, NotLoggedError

LOG: Final = logging.getLogger(__name__)
MOST_ROWS: Final = 16
"""Of an answer that is encoded where it was made; more take longer than others may be kept waiting."""


class Encoded(NamedTuple):
    """An answer in the form in which it is written."""

    lines: list[bytes]
    rows: int

    def encode(self) -> list[bytes]:
        """One JSON object per row."""
        return self.lines


def encoded(entry: Loggable) -> Loggable:
    """The same, encoded already if it is small; never fails.

    The thread that made an answer has it in its processor's caches, and encodes it while it has the interpreter's lock
    anyway. The writer would take that lock from those who wait for answers: one in a hundred waited a tenth longer.
    """
    if entry.rows > MOST_ROWS:
        return entry
    try:
        return Encoded(entry.encode(), entry.rows)
    except Exception:  # noqa: BLE001 - the writer meets it again, and tells
        return entry


class Waiting(NamedTuple):
    """An answer that is not on record yet. A tuple: one is made per answer, and a dataclass takes five times as long.

    Attributes:
        since: When it was handed over (`time.monotonic`).
        future: Who waits for it; None if nobody does.
    """

    entry: Loggable
    rows: int
    since: float
    future: "asyncio.Future[None] | None"


def tell(settled: Sequence[Waiting], why: str | None) -> None:
    """Tell those who wait, with one call into each event loop; from any thread.

    Args:
        settled: What was written, or lost.
        why: It was lost; None if it was written.
    """
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiting in settled:
        if waiting.future is not None:
            loops.setdefault(waiting.future.get_loop(), []).append(waiting.future)
    for loop, futures in loops.items():
        try:
            loop.call_soon_threadsafe(resolve, futures, why)
        except RuntimeError:
            LOG.warning("the event loop of %d answers ended while they waited for the prediction log", len(futures))


def resolve(futures: "Sequence[asyncio.Future[None]]", why: str | None) -> None:
    """End the waiting, in the thread of the event loop; each gets an error of its own, for its own traceback."""
    for future in futures:
        if future.done():
            continue  # whoever waited has gone
        if why is None:
            future.set_result(None)
        else:
            future.set_exception(NotLoggedError(f"the answer is not on record, so it is not given: {why}"))
