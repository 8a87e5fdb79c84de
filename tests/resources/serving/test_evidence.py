"""What is counted of each version: only since the step began, by the live version's own measure, over all workers."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from resources.serving.evidence import Evidence, Reference, Typical, watched
from resources.serving.evidence_files import EVIDENCE, KEPT_S, total
from resources.serving.guardrails import Arm, Guardrails
from resources.serving.rollout import Cause, begin, step_on
from resources.serving.states import Beside, Plan, State, Target

CAUSE = Cause(at=datetime(2026, 3, 1, tzinfo=UTC), by="a test")
DIGEST = "0123456789abcdef"


def rollout(*, steps_on: int = 0, slowness: float = 1.5) -> Beside:
    rails = Guardrails(slowness=slowness, unnoticed_s=0.0)
    live, new = (Target(number=n, model=f"{n}-{DIGEST}", online=DIGEST, requested_at="") for n in (3, 4))
    state = begin(State(live=live), new, Plan(mode="canary", guardrails=rails), CAUSE)
    for _ in range(steps_on):
        state = step_on(state, CAUSE)
    assert state.beside is not None
    return state.beside


def warmed(folder: Path, *, seconds: float = 0.01) -> Evidence:
    """Evidence of a process whose live version gave the scores 0.000, 0.001, ... 0.999, one row at a time."""
    evidence = Evidence(folder, "binary")
    for score in np.arange(1_000) / 1_000:
        evidence.record(3, rows=1, errors=0, seconds_per_row=seconds, scores=np.array([score]))
    evidence.count(3, None, may_refer=True)
    return evidence


def test_only_what_is_scored_after_a_step_began_is_counted(tmp_path: Path) -> None:
    evidence, beside = warmed(tmp_path), rollout()
    evidence.record(3, rows=5, errors=0, seconds_per_row=0.1, scores=np.zeros(5))
    evidence.count(3, beside, may_refer=True)
    assert total(tmp_path, beside) == (Arm(), Arm())


def test_rows_errors_and_scores_are_counted_by_version(tmp_path: Path) -> None:
    evidence, beside = warmed(tmp_path), rollout()
    evidence.count(3, beside, may_refer=True)
    evidence.record(3, rows=4, errors=0, seconds_per_row=0.01, scores=np.array([0.1, 0.4, 0.6, 0.9]))
    evidence.record(4, rows=2, errors=2, seconds_per_row=0.01, scores=None)
    evidence.record(4, rows=1, errors=0, seconds_per_row=0.02, scores=np.array([0.7]))
    evidence.record(2, rows=9, errors=9, seconds_per_row=0.01, scores=None)
    evidence.count(3, beside, may_refer=True)
    assert total(tmp_path, beside) == (
        Arm(rows=4, calls=1, slow=0, scored=4, high=2, outer=2),
        Arm(rows=3, errors=2, calls=1, slow=1, scored=1, high=1, outer=0),
    )


def test_a_new_step_is_counted_from_nothing(tmp_path: Path) -> None:
    evidence, first, second = warmed(tmp_path), rollout(), rollout(steps_on=1)
    evidence.count(3, first, may_refer=True)
    evidence.record(4, rows=3, errors=3, seconds_per_row=0.1, scores=None)
    evidence.count(3, first, may_refer=True)
    evidence.count(3, second, may_refer=True)
    evidence.record(4, rows=1, errors=1, seconds_per_row=0.1, scores=None)
    evidence.count(3, second, may_refer=True)
    assert (total(tmp_path, first)[1].rows, total(tmp_path, second)[1].rows) == (3, 1)


def test_a_rollout_that_begins_has_the_files_of_old_ones_deleted_and_no_others(tmp_path: Path) -> None:
    evidence, beside, age = warmed(tmp_path), rollout(), {"old": KEPT_S + 60, "recent": KEPT_S - 60}
    for name, seconds in {**age, beside.id: KEPT_S + 60}.items():
        folder = tmp_path / EVIDENCE / name
        (folder / "0").mkdir(parents=True)
        changed_at = time.time() - seconds
        os.utime(folder, (changed_at, changed_at))
    evidence.count(3, beside, may_refer=True)
    assert {path.name for path in (tmp_path / EVIDENCE).iterdir()} == {"recent", beside.id}


def test_an_old_rollout_that_cannot_be_deleted_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evidence, beside, stray = warmed(tmp_path), rollout(), tmp_path / EVIDENCE / "stray"
    stray.parent.mkdir()
    stray.symlink_to(tmp_path / "gone")
    evidence.count(3, beside, may_refer=True)
    assert "cannot be deleted" in caplog.text
    assert evidence.total(beside) == (Arm(), Arm())


def test_several_workers_add_up_and_measure_by_the_same_reference(tmp_path: Path) -> None:
    one, two, beside = warmed(tmp_path), Evidence(tmp_path, "binary"), rollout()
    for worker in (one, two):
        worker.count(3, beside, may_refer=worker is one)
    one.record(3, rows=1, errors=0, seconds_per_row=0.01, scores=np.array([0.4]))
    one.count(3, beside, may_refer=True)
    two.record(3, rows=1, errors=0, seconds_per_row=0.01, scores=np.array([0.6]))
    two.count(3, beside, may_refer=False)
    assert total(tmp_path, beside)[0] == Arm(rows=2, calls=2, scored=2, high=1)


def test_without_enough_of_the_live_version_only_rows_and_errors_are_counted(tmp_path: Path) -> None:
    evidence, beside = Evidence(tmp_path, "binary"), rollout()
    evidence.count(3, beside, may_refer=True)
    evidence.record(4, rows=2, errors=1, seconds_per_row=0.01, scores=None)
    evidence.record(3, rows=1, errors=0, seconds_per_row=0.01, scores=np.array([0.5]))
    evidence.count(3, beside, may_refer=True)
    assert total(tmp_path, beside) == (Arm(rows=1), Arm(rows=2, errors=1))


def test_the_reference_of_a_rollout_stays_when_the_scores_move(tmp_path: Path) -> None:
    evidence, first = warmed(tmp_path), rollout()
    evidence.count(3, first, may_refer=True)
    for _ in range(3):
        evidence.record(3, rows=900, errors=0, seconds_per_row=0.01, scores=np.full(900, 0.9))
        evidence.count(3, first, may_refer=True)
    assert total(tmp_path, first)[0].high == 2700


@pytest.mark.parametrize(
    ("rows", "seconds"),
    [(1, 0.010), (2, 0.040), (8, 0.040), (9, 0.045), (12, 0.060), (40, 0.200)],
)
def test_a_call_is_compared_with_calls_of_about_as_many_rows_or_more(rows: int, seconds: float) -> None:
    times = {1: Typical(seconds=0.01, seconds_per_row=0.01), 4: Typical(seconds=0.04, seconds_per_row=0.005)}
    reference = Reference(quartiles=(0.0, 0.5, 1.0), times=times)
    allowed = reference.allowed(rows, Guardrails(slowness=2.0, unnoticed_s=0.0))
    assert allowed == pytest.approx(2.0 * seconds)


def test_a_call_that_nobody_notices_is_not_slow() -> None:
    times = {1: Typical(seconds=1e-5, seconds_per_row=1e-5)}
    assert Reference(quartiles=(0.0, 0.5, 1.0), times=times).allowed(1, Guardrails(unnoticed_s=0.001)) == 0.001


@pytest.mark.parametrize(
    ("task", "scores", "expected"),
    [
        ("binary", [0.2, 0.7], [0.2, 0.7]),
        ("regression", [[5.0, 4.0, 6.0], [7.0, 1.0, 9.0]], [5.0, 7.0]),
        ("multiclass", [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]], [0.0, 1.5]),
    ],
)
def test_one_number_per_row_is_watched(task: str, scores: list[object], expected: list[float]) -> None:
    np.testing.assert_allclose(watched(np.array(scores), task), expected)  # type: ignore[arg-type]
