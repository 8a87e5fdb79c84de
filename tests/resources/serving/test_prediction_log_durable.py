"""The durable way: whatever was acknowledged is read back, and what was not is refused."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.serving import segments
from resources.serving.log_policy import LogPolicy, NotLoggedError
from resources.serving.prediction_log import PredictionLog
from tests.support.answers import Losses, Numbered, Unwritable, names, read

ROOT = Path(__file__).parents[3]
KILLS = 10


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def log(tmp_path: Path, losses: Losses) -> Iterator[PredictionLog]:
    policy = LogPolicy(durability="durable", max_waiting_rows=100)
    made = PredictionLog(tmp_path / "log", policy, on_drop=losses.drop, on_error=losses.error)
    yield made
    made.stop()


async def outcomes(log: PredictionLog, entries: list[Numbered | Unwritable]) -> list[str]:
    """What becomes of entries that are handed over at once."""
    loop = asyncio.get_running_loop()
    waiting = [log.commit(entry, loop) for entry in entries]
    if log._thread.ident is None:
        log.start()
    settled = await asyncio.gather(*waiting, return_exceptions=True)
    return ["kept" if done is None else type(done).__name__ for done in settled]


def writer(folder: Path, task: str, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.support.log_writer", str(folder), task, *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_an_acknowledged_answer_can_be_read(log: PredictionLog, tmp_path: Path) -> None:
    assert asyncio.run(outcomes(log, [Numbered(1, rows=2)])) == ["kept"]
    assert read(tmp_path / "log").numbers == [1, 1]


def test_answers_that_wait_together_ask_the_disk_once(
    log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def flush(handle: int) -> None:
        asked.append(handle)
        os.fsync(handle)

    monkeypatch.setattr(segments, "_flush", flush)
    assert asyncio.run(outcomes(log, [Numbered(n) for n in range(50)])) == ["kept"] * 50
    assert (len(asked), len(read(tmp_path / "log").numbers)) == (1, 50)


def test_one_entry_that_cannot_be_encoded_is_refused_and_the_others_are_kept(
    log: PredictionLog, losses: Losses, tmp_path: Path
) -> None:
    told = asyncio.run(outcomes(log, [Numbered(1), Unwritable(), Numbered(2)]))
    assert told == ["kept", "NotLoggedError", "kept"]
    assert (read(tmp_path / "log").numbers, losses.errors, losses.dropped) == ([1, 2], 1, 2)


def test_what_there_is_no_room_for_is_refused_at_once(log: PredictionLog, losses: Losses) -> None:
    told = asyncio.run(outcomes(log, [Numbered(1, rows=60), Numbered(2, rows=60)]))
    assert (told, losses.dropped) == (["kept", "NotLoggedError"], 60)


def test_what_comes_after_the_end_is_refused(log: PredictionLog) -> None:
    async def late() -> None:
        await log.commit(Numbered(1), asyncio.get_running_loop())

    log.start()
    log.stop()
    with pytest.raises(NotLoggedError, match="the log is closed"):
        asyncio.run(late())


def test_an_answer_nobody_waits_for_any_more_is_written_all_the_same(log: PredictionLog, tmp_path: Path) -> None:
    async def give_up() -> None:
        loop = asyncio.get_running_loop()
        log.commit(Numbered(1), loop).cancel()
        log.start()
        await log.commit(Numbered(2), loop)

    asyncio.run(give_up())
    assert read(tmp_path / "log").numbers == [1, 2]


def test_a_fast_log_acknowledges_nothing(tmp_path: Path) -> None:
    async def commit() -> None:
        await fast.commit(Numbered(1), asyncio.get_running_loop())

    fast = PredictionLog(tmp_path, LogPolicy(), on_drop=lambda _: None, on_error=lambda: None)
    with pytest.raises(ValueError, match="durable"):
        asyncio.run(commit())


def test_a_full_disk_refuses_answers_and_takes_them_again_when_there_is_room(tmp_path: Path) -> None:
    with writer(tmp_path / "log", "full_durable") as process:
        told = process.communicate(timeout=120)[0].split()
    found = read(tmp_path / "log")
    assert told == ["kept", "refused", "kept", "kept"]  # the second one fits into a segment of its own
    assert (found.numbers, found.damage) == ([0, 2, 3], [])


def test_whatever_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    for kill in range(KILLS):
        with writer(tmp_path / "log", "durable", str(kill * 1_000_000)) as process:
            assert process.stdout is not None
            some = [int(process.stdout.readline()) for _ in range(40 + 17 * kill)]
            process.kill()
            acknowledged |= {*some, *(int(line) for line in process.stdout if line.endswith("\n"))}
    found = read(tmp_path / "log")
    assert acknowledged - {*found.numbers} == set()
    assert [d for d in found.damage if not d.is_torn] == []
    assert len(acknowledged) >= KILLS * 40


def test_segments_of_killed_writers_are_sealed_by_the_next(log: PredictionLog, tmp_path: Path, losses: Losses) -> None:
    with writer(tmp_path / "log", "durable") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert ".open" in names(tmp_path / "log")
    log.start()
    log.stop()
    assert {*names(tmp_path / "log")} == {".log"}
    assert losses.errors == 0
