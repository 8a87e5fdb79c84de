"""A version that is asked as well and whose answers nobody gets.

Belongs here: asking it without ever being in the way of the live version. Does not belong here: which version that is
(`deployments.py`), and what its scores are compared with (`evidence.py`).

It has a thread of its own and takes one question at a time. What has waited too long, or finds too many before it, is
not asked, and counted: a shadow too slow for the traffic sees a part of it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from resources.serving.asked import Asked

LOG: Final = logging.getLogger(__name__)
WITHIN_S: Final = 1.0
"""Older questions are not asked any more: evidence of another minute's traffic compares nothing."""
MOST_WAITING: Final = 256
LINGER_S: Final = 0.005
"""How long questions may come together. Woken by each, the thread would take the interpreter's lock once per answer."""


class AsksShadow(Protocol):
    """What a shadow is asked with."""

    def __call__(self, asked: Asked) -> None:
        """Ask, and keep what is answered; may raise whatever the model does."""
        ...


class Shadow:
    """Takes questions in any thread."""

    def __init__(self, on_drop: Callable[[int], None]) -> None:
        """Take whom to tell the number of rows that were not asked about."""
        self._on_drop = on_drop
        self._waiting: deque[Asked] = deque()
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, ask: AsksShadow) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._run, args=(ask,), name="shadow", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End after the question that is being asked."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def ask(self, asked: Asked) -> None:
        """Hand a question over that was answered by the live version; returns at once."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(asked)
            if not self._wake.is_set():
                self._wake.set()
        else:
            self._on_drop(asked.rows)

    def _run(self, ask: AsksShadow) -> None:
        while not self._stopping.is_set():
            if not self._waiting:
                self._wake.wait()
                self._stopping.wait(LINGER_S)
                self._wake.clear()
                continue
            asked = self._waiting.popleft()
            if time.perf_counter() - asked.began > WITHIN_S:
                self._on_drop(asked.rows)
                continue
            try:
                ask(asked)
            except Exception:
                # A version on trial may throw anything; it counts against it, and nobody else is to notice.
                LOG.exception("the shadow failed on request %s", asked.request_id)
