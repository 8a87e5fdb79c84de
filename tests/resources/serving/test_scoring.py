"""Which version answers which row, and what becomes of a row that a version cannot answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from resources.serving.asked import Asked
from resources.serving.rows import Question, RowKind
from resources.serving.scoring import Scoring
from resources.serving.service import Field, Signature
from resources.serving.shadow import Shadow
from resources.serving.states import Beside, Mode, Plan, Target
from resources.serving.statuses import Companion, Live, Status

NUMBER = Field(name="number", dtype=pl.Float64(), is_required=False, description="")
ROWS = [(float(n),) for n in range(40)]


@dataclass
class Tenths:
    """A model whose score is a tenth of its version; it throws at the numbers it dislikes."""

    score: float
    dislikes: Sequence[float] = ()
    family: str = "tenths"
    outputs: tuple[str, ...] = ("probability",)

    def features(self, rows: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG002 - as the server calls it
        raise LookupError("no history")

    def predict(self, features: Sequence[tuple[Any, ...]]) -> npt.NDArray[np.float64]:
        if any(number in self.dislikes for (number,) in features):
            raise ArithmeticError("disliked")
        return np.full(len(features), self.score)


@dataclass
class Served:
    """What `Scoring` knows of versions, and what it notes of them."""

    status: Status
    noted: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def evidence(self) -> "Served":
        return self

    def record(self, version: int, *, rows: int, errors: int, **_: object) -> None:
        self.noted.append((version, rows, errors))


class Service:
    use_case, description, tables = "numbers", "", {}
    signature = Signature(inputs=(NUMBER,), features=(NUMBER,), entity=("number",))


def live(number: int, dislikes: Sequence[float] = ()) -> Live:
    target = Target(number=number, model=f"{number}-{number:016x}", online="0" * 16, requested_at="now")
    return Live(target=target, scorer=Tenths(number / 10, dislikes), loaded_at=datetime.now(UTC), load_seconds=0.0)  # type: ignore[arg-type]


def status(mode: Mode | None = None, dislikes: Sequence[float] = ()) -> Status:
    """Version 1 is live; beside it version 2, for half of all numbers."""
    if mode is None:
        return Status(state="ready", live=live(1, dislikes))
    other = live(2, dislikes)
    plan = Plan(mode=mode, steps=(0.5, 1.0)) if mode == "canary" else Plan(mode=mode, steps=(0.5,))
    beside = Beside(target=other.target, plan=plan, id="ab" * 16, step=0, step_at="2026-12-01T00:00:00+00:00")
    return Status(state="ready", live=live(1), beside=Companion(live=other, rollout=beside))


@pytest.fixture
def score(tmp_path: Path) -> Callable[..., tuple[list[Asked], Served]]:
    def scored(
        status: Status, *questions: Sequence[tuple[float]], version: int | None = None, kind: RowKind = "features"
    ) -> Any:
        served = Served(status)
        scoring = Scoring(Service(), served, Shadow(lambda _: None))  # type: ignore[arg-type]
        asked = [
            Asked(question=Question(kind=kind, rows=rows), request_id="r", began=0.0, finish=print, version=version)
            for rows in questions
        ]
        scoring.score(asked)
        return asked, served

    return scored


Score = Callable[..., tuple[list[Asked], Served]]


def test_rows_of_one_request_that_meet_two_versions_come_back_in_their_order(score: Score) -> None:
    (asked,), _ = score(status("ab"), ROWS)
    assert asked.answer is not None
    assert {*asked.answer.versions} == {1, 2}
    assert asked.answer.scores.tolist() == [version / 10 for version in asked.answer.versions]
    assert [*asked.features] == ROWS
    assert [*asked.modes] == ["live" if version == 1 else "ab" for version in asked.answer.versions]


def test_a_row_that_cannot_be_answered_spoils_no_other_question(score: Score) -> None:
    asked, _ = score(status(dislikes=[1.0]), ROWS[:1], ROWS[1:2], ROWS[2:3])
    assert [one.answer is not None for one in asked] == [True, False, True]
    assert isinstance(asked[1].error, ArithmeticError)


def test_the_live_version_stands_in_for_one_on_trial_that_fails_and_the_failure_counts(score: Score) -> None:
    asked, served = score(status("canary", dislikes=[n for (n,) in ROWS]), *([row] for row in ROWS))
    assert {version for one in asked for version in (one.answer.versions if one.answer else ())} == {1}
    assert all(one.answer is not None for one in asked)
    errors = sum(errors for version, _, errors in served.noted if version == 2)
    met = sum(status("canary").pick(b"[%.1f]" % n).mode == "canary" for (n,) in ROWS)
    assert errors == met > 0


def test_a_version_on_trial_that_cannot_even_make_features_counts_as_failing(score: Score) -> None:
    made = status("canary")
    asked, served = score(made, *([row] for row in ROWS), kind="inputs")
    assert all(isinstance(one.error, LookupError) for one in asked)  # the live version cannot either
    assert sum(errors for version, _, errors in served.noted if version == 2) > 0


def test_of_versions_that_tell_other_classes_apart_one_answers_a_whole_request(score: Score) -> None:
    made = status("ab")
    made.beside.live.scorer.outputs = ("a", "b")  # type: ignore[union-attr]
    for first in range(0, 40, 10):
        (asked,), _ = score(made, ROWS[first : first + 10])
        assert asked.answer is not None
        assert len({*asked.answer.versions}) == 1


def test_what_a_shadow_says_has_an_id_of_its_own(score: Score) -> None:
    (asked,), served = score(status("shadow"), ROWS[:1])
    scoring = Scoring(Service(), served, Shadow(lambda _: None))  # type: ignore[arg-type]
    said = scoring.ask_shadow(asked)
    assert asked.answer is not None
    assert said is not None
    assert said.answer is not None
    assert (said.answer.id, said.answer.versions) == (f"{asked.answer.id}-shadow", (2,))
    assert [*said.modes] == ["shadow"]


def test_a_defect_of_ours_is_the_error_of_every_question_and_leaves_none_without(
    score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scoring, "_missing", lambda *_: 1 / 0)
    asked, _ = score(status(), ROWS[:1], ROWS[1:2])
    assert [type(one.error) for one in asked] == [ZeroDivisionError] * 2


def test_nobody_stands_in_for_a_version_that_was_asked_by_its_number(score: Score) -> None:
    (asked,), served = score(status("canary", dislikes=[0.0]), ROWS[:1], version=2)
    assert asked.answer is None
    assert served.noted == []


def test_without_a_version_the_reason_is_said(score: Score) -> None:
    (asked,), _ = score(Status(), ROWS[:1])
    assert "no version of 'numbers' is live: it is waiting" in str(asked.error)
