"""The server on a disk that is full from SIGUSR1 to SIGUSR2: `python -m tests.support.small_disk <its own options>`."""

import resource
import signal
from types import FrameType

from pipelines.serve import main

NOTHING = 64
"""Bytes that a file may hold; not even a header has room."""


def fill(_: int, __: FrameType | None) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (NOTHING, resource.RLIM_INFINITY))


def clear(_: int, __: FrameType | None) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, fill)
    signal.signal(signal.SIGUSR2, clear)
    raise SystemExit(main())
