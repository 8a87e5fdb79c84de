"""A process that writes a prediction log: `python -m tests.support.log_writer <folder> <task> [<first number>]`.

fast      adds 500 answers and ends in order
durable   commits answers without end, 16 at a time, and says each that was acknowledged
full      adds answers while no file may grow, then while they may again, and says what was lost
"""

import asyncio
import resource
import sys
from pathlib import Path

from resources.serving.log_policy import LogPolicy, NotLoggedError
from resources.serving.prediction_log import PredictionLog
from tests.support.answers import Losses, Numbered
from tests.support.waiting import eventually

AT_ONCE = 16
NOTHING = 64
"""Bytes that a file may hold; not even a header has room."""


def log_in(folder: Path, policy: LogPolicy, losses: Losses) -> PredictionLog:
    log = PredictionLog(folder, policy, on_drop=losses.drop, on_error=losses.error)
    log.start()
    return log


def fast(folder: Path, first: int) -> None:
    log = log_in(folder, LogPolicy(max_segment_bytes=20_000), Losses())
    for n in range(first, first + 500):
        log.add(Numbered(n, padding=100))
    log.stop(60)


def durable(folder: Path, first: int) -> None:
    log = log_in(folder, LogPolicy(durability="durable", max_segment_bytes=20_000), Losses())

    async def ask(n: int) -> None:
        while True:
            await log.commit(Numbered(n, padding=100), asyncio.get_running_loop())
            sys.stdout.write(f"{n}\n")
            sys.stdout.flush()
            n += AT_ONCE

    async def all_ask() -> None:
        await asyncio.gather(*(ask(first + n) for n in range(AT_ONCE)))

    asyncio.run(all_ask())


def allow(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def full(folder: Path, _: int) -> None:
    losses = Losses()
    log = log_in(folder, LogPolicy(), losses)
    log.add(Numbered(0))
    eventually(lambda: log.waiting_rows == 0)
    allow(NOTHING)
    log.add(Numbered(1, rows=3))
    eventually(lambda: losses.dropped == 3)
    allow(resource.RLIM_INFINITY)
    log.add(Numbered(2))
    log.stop(60)
    sys.stdout.write(f"{losses.dropped} {losses.errors}\n")


def full_durable(folder: Path, _: int) -> None:
    log = log_in(folder, LogPolicy(durability="durable"), Losses())

    async def ask(n: int) -> str:
        try:
            await log.commit(Numbered(n, padding=200), asyncio.get_running_loop())
        except NotLoggedError:
            return "refused"
        return "kept"

    async def ask_all() -> list[str]:
        kept = [await ask(0)]
        allow(600)  # a header, one record and a half
        kept += [await ask(1), await ask(2)]
        allow(resource.RLIM_INFINITY)
        return [*kept, await ask(3)]

    sys.stdout.write(" ".join(asyncio.run(ask_all())) + "\n")
    log.stop(60)


if __name__ == "__main__":
    tasks = {"fast": fast, "durable": durable, "full": full, "full_durable": full_durable}
    tasks[sys.argv[2]](Path(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
