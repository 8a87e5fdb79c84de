"""Micro-batches: what waits is scored together, and nothing waits for company."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from resources.serving.batching import INLINE_S, MAX_BATCH_ROWS, PROBED_EVERY, PROBED_S, REMEMBERED, Batcher, Pace


@dataclass(eq=False)
class Asked:
    rows: int = 1


@dataclass
class Scorer:
    """Remembers each batch and the thread it was scored in; waits for `go` where that is not set."""

    go: threading.Event = field(default_factory=threading.Event)
    batches: list[list[Asked]] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def __call__(self, batch: Sequence[Asked]) -> None:
        self.threads.append(threading.get_ident())
        assert self.go.wait(10)
        self.batches.append([*batch])


async def until(batcher: Batcher[Asked], done: list[Asked], count: int) -> None:
    while len(done) < count:
        await asyncio.sleep(0.002)
    batcher.close()


def scored(scorer: Scorer, *asked: Asked, later: Sequence[tuple[float, int]] = ()) -> list[Asked]:
    """Ask all in one turn of an event loop, and so many more after so many seconds; returns them as they are done."""
    done: list[Asked] = []

    async def run() -> None:
        batcher: Batcher[Asked] = Batcher(scorer, done.extend)
        for one in asked:
            batcher.add(one)
        for seconds, count in later:
            asyncio.get_running_loop().call_later(seconds, lambda n: [batcher.add(Asked()) for _ in range(n)], count)
        if later:
            asyncio.get_running_loop().call_later(later[-1][0] + 0.1, scorer.go.set)
        await asyncio.wait_for(until(batcher, done, len(asked) + sum(count for _, count in later)), 10)

    asyncio.run(run())
    return done


def test_what_is_asked_in_one_turn_of_the_loop_is_one_batch() -> None:
    scorer, asked = Scorer(), [Asked() for _ in range(5)]
    scorer.go.set()
    assert scored(scorer, *asked) == asked
    assert scorer.batches == [asked]


def test_what_comes_while_the_scorer_is_busy_is_the_next_batch() -> None:
    scorer = Scorer()
    scored(scorer, Asked(), later=[(0.05, 2), (0.1, 3)])
    assert [len(batch) for batch in scorer.batches] == [1, 5]


def test_no_batch_holds_more_rows_than_one_request_may() -> None:
    scorer = Scorer()
    scorer.go.set()
    scored(scorer, *(Asked(MAX_BATCH_ROWS // 3) for _ in range(7)))
    assert [len(batch) for batch in scorer.batches] == [3, 3, 1]


def test_a_quick_scorer_is_asked_without_a_thread_once_it_is_known_to_be_quick() -> None:
    scorer = Scorer()
    scorer.go.set()

    async def run() -> None:
        done: list[Asked] = []
        batcher: Batcher[Asked] = Batcher(scorer, done.extend)
        for count in (1, 2, 3):
            batcher.add(Asked())
            while len(done) < count:
                await asyncio.sleep(0.001)
        batcher.close()

    asyncio.run(asyncio.wait_for(run(), 10))
    first, *others = scorer.threads
    assert first != threading.get_ident()
    assert {*others} == {threading.get_ident()}


def test_what_comes_while_others_are_read_is_scored_with_them() -> None:
    scorer, done = Scorer(), list[Asked]()
    scorer.go.set()

    async def run() -> None:
        batcher: Batcher[Asked] = Batcher(scorer, done.extend)
        batcher.add(Asked())
        batcher.add(Asked())
        asyncio.get_running_loop().call_soon(batcher.add, Asked())
        await asyncio.wait_for(until(batcher, done, 3), 10)

    asyncio.run(run())
    assert [len(batch) for batch in scorer.batches] == [3]


def test_a_batch_that_seems_long_in_a_thread_is_tried_without_one_now_and_then() -> None:
    pace = Pace()
    for _ in range(PROBED_EVERY):
        assert not pace.is_short()
        pace.ran_beside(PROBED_S)
    assert pace.is_short()
    pace.ran(INLINE_S)
    assert pace.is_short()


def test_a_batch_that_takes_long_is_never_tried_without_a_thread() -> None:
    pace = Pace()
    for _ in range(3 * PROBED_EVERY):
        pace.ran_beside(2 * PROBED_S)
        assert not pace.is_short()


def test_one_slow_batch_among_quick_ones_changes_nothing_and_several_do() -> None:
    pace = Pace()
    pace.ran(INLINE_S / 2)
    for taken in range(1, REMEMBERED):
        pace.ran(1.0)
        assert pace.is_short(), taken
    pace.ran(1.0)
    assert not pace.is_short()
