"""Waiting for what another thread or process does in its own time."""

import time
from collections.abc import Callable


def eventually(holds: Callable[[], bool], seconds: float = 20, pause: float = 0.02) -> bool:
    """Whether `holds` comes true before the time is up; it ends a test that would hang, and bounds no speed."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
