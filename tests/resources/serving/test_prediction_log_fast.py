"""The fast way: never in the way of an answer, and never silent about what it lost."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources.errors import EndpointError
from resources.serving.log_policy import LogPolicy
from resources.serving.log_waiting import MOST_ROWS
from resources.serving.prediction_log import PredictionLog
from tests.support.answers import Losses, Numbered, Unwritable, names, read
from tests.support.waiting import eventually

Make = Callable[..., PredictionLog]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def make(tmp_path: Path, losses: Losses) -> Iterator[Make]:
    made: list[PredictionLog] = []

    def one(**policy: float) -> PredictionLog:
        log = PredictionLog(tmp_path / "log", LogPolicy(**policy), on_drop=losses.drop, on_error=losses.error)
        made.append(log)
        return log

    yield one
    for log in made:
        log.stop()


def writer(folder: Path, task: str, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.support.log_writer", str(folder), task, *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_row_is_a_record_in_the_order_of_answers(make: Make, tmp_path: Path) -> None:
    log = make()
    log.start()
    for n in range(300):
        log.add(Numbered(n, rows=2))
    log.stop()
    found = read(tmp_path / "log")
    assert [(r["number"], r["row"]) for r in found.records] == [(n, row) for n in range(300) for row in range(2)]
    assert (found.damage, names(tmp_path / "log"), log.waiting_rows, log.lag_s) == ([], [".log"], 0, 0.0)


def test_answers_are_written_without_an_end_of_the_process(make: Make, tmp_path: Path) -> None:
    log = make()
    log.start()
    log.add(Numbered(1))
    assert eventually(lambda: read(tmp_path / "log").numbers == [1])


def test_a_segment_is_sealed_at_its_age_though_nobody_asks_any_more(make: Make, tmp_path: Path) -> None:
    log = make(max_segment_age_s=0.2)
    log.start()
    log.add(Numbered(1))
    assert eventually(lambda: names(tmp_path / "log") == [".log"])


def test_a_log_that_falls_behind_drops_and_counts(make: Make, losses: Losses, tmp_path: Path) -> None:
    log = make(max_waiting_rows=5)  # not started: nothing is taken off
    for n in range(3):
        log.add(Numbered(n, rows=2))
    assert (losses.dropped, log.waiting_rows, log.is_lagging, log.lag_s > 0) == (2, 4, True, True)
    log.start()
    log.stop()
    assert (read(tmp_path / "log").numbers, losses.dropped) == ([0, 0, 1, 1], 2)


def test_what_comes_after_the_end_is_counted(make: Make, losses: Losses) -> None:
    log = make()
    log.start()
    log.stop()
    log.add(Numbered(1, rows=2))
    assert losses.dropped == 2


def test_what_was_never_written_is_counted_at_the_end(make: Make, losses: Losses) -> None:
    log = make()  # its thread never starts
    log.add(Numbered(1, rows=2))
    log.stop()
    assert losses.dropped == 2


def test_an_entry_that_cannot_be_encoded_is_counted_and_the_others_are_kept(
    make: Make, losses: Losses, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = make()
    with caplog.at_level(logging.WARNING):
        for entry in (Numbered(1), Unwritable(), Numbered(2)):
            log.add(entry)
        log.start()
        log.stop()
    assert (losses.dropped, losses.errors, read(tmp_path / "log").numbers) == (2, 1, [1, 2])
    assert "this is not JSON" in caplog.text


@pytest.mark.parametrize(("rows", "by"), [(1, "caller"), (MOST_ROWS, "caller"), (MOST_ROWS + 1, "writer")])
def test_who_hands_few_rows_over_encodes_them_and_the_writer_many(make: Make, rows: int, by: str) -> None:
    threads: list[int] = []

    class Noting(Numbered):
        def encode(self) -> list[bytes]:
            threads.append(threading.get_ident())
            return super().encode()

    log = make()
    log.add(Noting(1, rows=rows))
    log.start()
    log.stop()
    assert [("caller" if thread == threading.get_ident() else "writer") for thread in threads] == [by]


def test_a_folder_that_cannot_be_made_is_counted_and_tried_again(make: Make, losses: Losses, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the folder should be", encoding="utf-8")
    log = make()
    log.start()
    log.add(Numbered(1, rows=3))
    assert eventually(lambda: losses.dropped == 3)
    (tmp_path / "log").unlink()
    log.add(Numbered(2))
    log.stop()
    assert (read(tmp_path / "log").numbers, losses.errors) == ([2], 1)


def test_a_full_disk_loses_what_it_refused_and_nothing_later(tmp_path: Path) -> None:
    with writer(tmp_path / "log", "full") as process:
        told = process.communicate(timeout=120)[0]
    found = read(tmp_path / "log")
    assert (told, process.returncode) == ("3 1\n", 0)
    assert (found.numbers, found.damage) == ([0, 2], [])


def test_two_processes_write_into_one_folder(tmp_path: Path) -> None:
    both = [writer(tmp_path / "log", "fast", str(first)) for first in (0, 1000)]
    for process in both:
        with process:
            assert process.wait(120) == 0
    found = read(tmp_path / "log")
    assert (sorted(found.numbers), found.damage) == ([*range(500), *range(1000, 1500)], [])
    workers = {name.stem.rpartition("-")[0] for name in (tmp_path / "log").iterdir()}
    assert (len(workers), set(names(tmp_path / "log"))) == (2, {".log"})


def test_many_threads_lose_and_mix_nothing(make: Make, losses: Losses, tmp_path: Path) -> None:
    log = make()
    log.start()

    def add() -> None:
        for n in range(200):
            log.add(Numbered(n, rows=3))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.stop(60)
    records = read(tmp_path / "log").records
    assert [record["row"] for record in records] == [0, 1, 2] * 800
    assert (losses.dropped, losses.errors) == (0, 0)


@pytest.mark.parametrize("limits", [{"durability": "maybe"}, {"max_waiting_rows": 0}, {"fsync_every_s": -1.0}])
def test_a_policy_that_cannot_work_is_refused(limits: dict[str, str | int | float]) -> None:
    with pytest.raises(EndpointError, match="its limits are positive"):
        LogPolicy(**limits)  # type: ignore[arg-type]  # on purpose
