"""Labels that came late, in the lake: each once, of the right row, and the newest one holds."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.contracts import LABEL_KNOWN_AT, UseCase
from assets.stages.feedback import INTACT, RESOLVED, build_feedback
from assets.stages.feedback_labels import KNOWN_AT, LABEL, current_labels
from assets.stages.logged_segments import LABEL_SEGMENTS, unread
from assets.stages.performance_rows import FeedbackUse, with_feedback
from tests.support.few_days import checks
from tests.support.logged import DAY, LoggedHome, answers, label
from tests.support.toy_tasks import OUTCOME
from tests.support.toy_use_case import PARCELS, TOY

BEFORE, AFTER = "2020-02-09", "2020-02-11"
NOON = datetime(2020, 2, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def home(tmp_path: Path) -> LoggedHome:
    return LoggedHome(tmp_path)


def read(home: LoggedHome, first: str = DAY, last: str | None = None) -> dg.ExecuteInProcessResult:
    result = home.materialise(first, last, build_feedback)
    assert result.success
    return result


def held(home: LoggedHome, first: str = BEFORE) -> dict[int, tuple[Any, datetime]]:
    """The label that holds of each parcel, and when it was known."""
    found = current_labels(home.use_case, home.lake, first)
    return {} if found is None else {r["parcel"]: (r[LABEL], r[KNOWN_AT]) for r in found.to_dicts()}


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (made,) = result.asset_materializations_for_node("parcels__feedback")[:1]
    return {name: entry.value for name, entry in made.metadata.items()}


def test_a_label_holds_from_when_it_was_known_or_else_from_when_it_came(home: LoggedHome) -> None:
    other = {"entity": {"parcel": 13}, "label": 0, "known_at": NOON - HOUR}
    home.tell([label(1, at=NOON), label(2, at=NOON, **other)])
    read(home)
    assert held(home) == {12: (1, NOON), 13: (0, NOON - HOUR)}


def test_a_label_by_answer_is_of_the_entity_that_was_asked_about(home: LoggedHome) -> None:
    home.land()
    (asked,) = answers(count=1)
    home.answer([asked])
    assert home.materialise().success
    home.tell([label(1, at=NOON, entity=None, prediction_id=asked["prediction_id"], row=0)])
    result = read(home)
    assert held(home) == {asked["inputs"]["parcel"]: (1, NOON)}
    assert checks(result)[f"feedback/{RESOLVED}"].passed


def test_labels_of_answers_that_nobody_knows_are_counted_and_used_for_nothing(home: LoggedHome) -> None:
    home.tell([label(1, at=NOON, entity=None, prediction_id="nobody's", row=0)])
    check = checks(read(home))[f"feedback/{RESOLVED}"]
    assert (check.passed, check.metadata["labels_of_unknown_answers"].value) == (False, 1)
    assert (len(home.rows("feedback")), held(home)) == (1, {})


def test_the_same_again_changes_nothing(home: LoggedHome) -> None:
    home.tell([label(1, at=NOON), label(2, at=NOON + HOUR), label(3, at=NOON + 24 * HOUR)])
    result = read(home, DAY, AFTER)
    assert held(home) == {12: (1, NOON)}
    assert told(result)["repetitions_left_out"] == 1
    assert home.rows("feedback").group_by("partition_key").len().sort("partition_key").rows() == [(DAY, 1), (AFTER, 1)]


def test_of_two_labels_the_newest_holds_and_both_stay_on_record(home: LoggedHome) -> None:
    labels = [label(n, at=NOON + n * HOUR, label=said) for n, said in enumerate((1, 0, 1, 1))]
    home.tell(reversed(labels))
    read(home)
    assert home.rows("feedback")["label"].to_list() == [1, 0, 1]
    assert held(home) == {12: (1, NOON + 2 * HOUR)}


def test_the_same_label_with_another_time_restates_the_time(home: LoggedHome) -> None:
    home.tell([label(1, at=NOON), label(2, at=NOON + HOUR, known_at=NOON - HOUR)])
    read(home)
    assert held(home) == {12: (1, NOON - HOUR)}


def test_reading_again_leaves_the_same_bytes(home: LoggedHome) -> None:
    home.tell([label(n, at=NOON + n * 6 * HOUR, label=n % 2) for n in range(6)])
    read(home, BEFORE, AFTER)
    before = home.files()
    read(home, BEFORE, AFTER)
    assert home.files() == before


def test_labels_whose_segments_are_gone_stay(home: LoggedHome) -> None:
    home.tell([label(1, at=NOON)])
    read(home)
    for segment in home.label_segments:
        segment.path.unlink()
    home.tell([label(2, at=NOON + HOUR, entity={"parcel": 13})])
    read(home)
    assert sorted(held(home)) == [12, 13]


def test_days_with_labels_that_the_lake_lacks_are_due_once_they_are_over(home: LoggedHome) -> None:
    def days(at: datetime) -> list[str]:
        return unread(home.use_case, home.lake, home.label_segments, at, LABEL_SEGMENTS)

    home.tell([label(1, at=NOON)])
    assert (days(NOON), days(NOON + 24 * HOUR)) == ([], [DAY])
    read(home)
    assert days(NOON + 24 * HOUR) == []


def test_damaged_lines_are_named_by_a_check(home: LoggedHome) -> None:
    home.tell([label(1, at=NOON), label(2, at=NOON, label="x"), {"number": 1}])
    assert checks(read(home))[f"feedback/{INTACT}"].metadata["damaged_lines"].value == 2


def test_classes_are_labels_as_well(tmp_path: Path) -> None:
    home = LoggedHome(tmp_path, OUTCOME)
    home.tell([label(1, at=NOON, label="early")])
    read(home)
    assert held(home) == {12: ("early", NOON)}


def test_labels_of_personal_entities_are_kept_as_the_journal_has_them_and_not_used(tmp_path: Path) -> None:
    hashed = {**PARCELS.cleaned_columns, "parcel": replace(PARCELS.cleaned_columns["parcel"], personal="hash")}
    home = LoggedHome(tmp_path, replace(TOY, tables=(replace(PARCELS, cleaned_columns=hashed), TOY.tables[1])))
    home.tell([label(1, at=NOON, entity={"parcel": "0a"})])
    read(home)
    assert (len(home.rows("feedback")), held(home)) == (1, {})


def fed(labels: Mapping[int, tuple[int | None, datetime | None]], use_case: UseCase = TOY) -> pl.DataFrame:
    rows = [{"parcel": parcel, use_case.target.name: said, LABEL_KNOWN_AT: at} for parcel, (said, at) in labels.items()]
    types = {"parcel": pl.Int32, use_case.target.name: pl.Int8, LABEL_KNOWN_AT: pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, schema=types)


def fed_back(labels: Mapping[int, tuple[int, datetime]]) -> pl.DataFrame:
    rows = [{"parcel": parcel, LABEL: said, KNOWN_AT: at} for parcel, (said, at) in labels.items()]
    return pl.DataFrame(rows, schema={"parcel": pl.Int32, LABEL: pl.Int8, KNOWN_AT: pl.Datetime("us", "UTC")})


@pytest.mark.parametrize(
    ("feed", "feedback", "holds", "use"),
    [
        ((None, None), (1, NOON), (1, NOON), FeedbackUse(used=1)),
        ((None, NOON - HOUR), (1, NOON), (1, NOON), FeedbackUse(used=1)),
        ((1, NOON), (1, NOON - HOUR), (1, NOON - HOUR), FeedbackUse(both=1)),
        ((1, NOON), (1, NOON + HOUR), (1, NOON), FeedbackUse(both=1)),
        ((0, NOON), (1, NOON - HOUR), (0, NOON), FeedbackUse(both=1, differing=1)),
        ((0, None), (1, NOON), (0, None), FeedbackUse(both=1, differing=1)),
    ],
)
def test_the_feed_holds_where_it_has_a_label_and_the_feedback_where_it_has_none(
    feed: Any, feedback: Any, holds: Any, use: FeedbackUse
) -> None:
    other = (0, NOON)
    joined, counted = with_feedback(TOY, fed({12: feed, 14: other}), fed_back({12: feedback, 13: (1, NOON)}))
    assert joined.rows() == [(12, *holds), (14, *other)]
    assert counted == use
