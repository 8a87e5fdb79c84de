"""A server with all its processes: processor time and memory.

Belongs here: adding them up. Does not belong here: what is made of the sums.
"""

from collections.abc import Callable
from contextlib import suppress

import psutil

from infra.bench.children import MB


def cpu_seconds(pid: int) -> dict[tuple[int, float], float]:
    """Processor time so far of a process and its descendants, by pid and start: a pid may be given away."""
    return {(p.pid, p.create_time()): seconds for p, seconds in _each(pid, _cpu)}


def spent(before: dict[tuple[int, float], float], after: dict[tuple[int, float], float]) -> float:
    """Seconds between two looks; what a process used that ended in between is lost, and no server here has any."""
    return sum(seconds - before.get(who, 0.0) for who, seconds in after.items())


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its descendants, 10^6 bytes; what they share counts for each."""
    return sum(resident for _, resident in _each(pid, lambda p: p.memory_info().rss / MB))


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _each(pid: int, figure: Callable[[psutil.Process], float]) -> list[tuple[psutil.Process, float]]:
    first = psutil.Process(pid)
    found = []
    for process in [first, *first.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it has just ended
            found.append((process, figure(process)))
    return found
