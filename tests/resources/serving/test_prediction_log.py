"""The prediction log: never in the way, and never silent about what it lost."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from resources.serving import log
from resources.serving.answers import Answer
from resources.serving.entries import Columns, Entry
from resources.serving.log import PredictionLog
from resources.serving.rows import Question
from resources.serving.service import Field, Signature

COLUMNS = Columns(
    Signature(
        inputs=(Field(name="shop", dtype=pl.String(), is_required=True, description=""),),
        features=(Field(name="hour", dtype=pl.Float64(), is_required=False, description=""),),
    )
)


def entry(rows: int = 1, day: int = 21, *, hour: object = 12.0) -> Entry:
    times = [datetime(2026, 11, day, 9, tzinfo=UTC)] * rows
    answer = Answer(
        id="a",
        versions=[3] * rows,
        task="binary",
        outputs=("probability",),
        scores=np.full(rows, 0.25),
        prediction_times=times,
        missing_inputs=[],
    )
    return Entry(
        columns=COLUMNS,
        answered_at=datetime(2026, 11, day, 12, tzinfo=UTC).timestamp(),
        request_id="r",
        question=Question(kind="inputs", rows=[("north",)] * rows),
        features=[(hour,)] * rows,
        answer=answer,
        modes=["live"] * rows,
        latency_s=0.0015,
        worker="w",
    )


class Losses:
    """Counts what a log says it lost."""

    def __init__(self) -> None:
        self.dropped, self.errors = 0, 0

    def drop(self, rows: int) -> None:
        self.dropped += rows

    def error(self) -> None:
        self.errors += 1


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def make(tmp_path: Path, losses: Losses) -> Callable[[], PredictionLog]:
    return lambda: PredictionLog(tmp_path / "log", on_drop=losses.drop, on_error=losses.error)


def test_a_row_is_a_line_with_everything_about_it(make: Callable[[], PredictionLog], tmp_path: Path) -> None:
    kept = make()
    kept.start()
    kept.add(entry())
    kept.stop()
    assert json.loads((tmp_path / "log" / "2026-11-21.jsonl").read_text(encoding="utf-8")) == {
        "answered_at": "2026-11-21T12:00:00+00:00",
        "prediction_id": "a",
        "row": 0,
        "request_id": "r",
        "purpose": None,
        "worker": "w",
        "mode": "live",
        "version": 3,
        "latency_ms": 1.5,
        "prediction_time": "2026-11-21T09:00:00+00:00",
        "inputs": {"shop": "north"},
        "features": {"hour": 12.0},
        "score": 0.25,
    }


def test_every_day_has_a_file(make: Callable[[], PredictionLog], tmp_path: Path) -> None:
    kept = make()
    kept.start()
    for day in (21, 22, 21):
        kept.add(entry(2, day))
    kept.stop()
    lines = {p.name: len(p.read_text(encoding="utf-8").splitlines()) for p in (tmp_path / "log").iterdir()}
    assert lines == {"2026-11-21.jsonl": 4, "2026-11-22.jsonl": 2}


def test_a_restarted_log_goes_on_with_the_file(make: Callable[[], PredictionLog], tmp_path: Path) -> None:
    for _ in range(2):
        kept = make()
        kept.start()
        kept.add(entry())
        kept.stop()
    assert len((tmp_path / "log" / "2026-11-21.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_a_log_that_cannot_be_written_counts_and_goes_on(
    make: Callable[[], PredictionLog], tmp_path: Path, losses: Losses
) -> None:
    (tmp_path / "log").write_text("a file where the folder should be", encoding="utf-8")
    kept = make()
    kept.start()
    kept.add(entry())
    kept.add(entry())
    kept.stop()
    assert losses.errors == 2


def test_an_entry_that_cannot_be_written_is_counted_and_the_next_is_kept(
    make: Callable[[], PredictionLog], tmp_path: Path, losses: Losses
) -> None:
    kept = make()
    kept.start()
    kept.add(entry(hour=b"bytes are not JSON"))
    kept.add(entry())
    kept.stop()
    assert losses.errors == 1
    assert len((tmp_path / "log" / "2026-11-21.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_a_log_that_falls_behind_drops_and_counts(
    make: Callable[[], PredictionLog], losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MAX_WAITING_ROWS", 5)
    kept = make()  # not started: nothing is taken off
    for _ in range(3):
        kept.add(entry(2))
    assert losses.dropped == 2


def test_many_threads_lose_and_mix_nothing(make: Callable[[], PredictionLog], tmp_path: Path, losses: Losses) -> None:
    kept = make()
    kept.start()

    def add() -> None:
        for _ in range(50):
            kept.add(entry(3))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.stop(timeout=60)
    lines = (tmp_path / "log" / "2026-11-21.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in lines] == [0, 1, 2] * 200
    assert (losses.dropped, losses.errors) == (0, 0)
