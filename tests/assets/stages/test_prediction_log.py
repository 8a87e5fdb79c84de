"""What the endpoint answered, in the lake: every answer of the day once, whatever lies in its log."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.contracts import Partitions
from assets.stages.logged_segments import due, shipped
from tests.support.few_days import checks
from tests.support.logged import DAY, LoggedHome, answers, encoded, later
from tests.support.toy_use_case import PARCELS, STORMS, TOY

BEFORE, AFTER = "2020-02-09", "2020-02-11"
LONG_AFTER = answers(AFTER)[0]["answered_at"] + timedelta(days=90)
PARITY = "prediction_log/online_features_equal_offline"
WHOLE = "prediction_log/every_line_of_the_log_is_whole"


@pytest.fixture
def home(tmp_path: Path) -> LoggedHome:
    made = LoggedHome(tmp_path)
    made.land()
    return made


def metadata(result: Any) -> dict[str, Any]:
    return {name: entry.value for name, entry in result.asset_materializations_for_node(NODE)[0].metadata.items()}


NODE = "parcels__prediction_log"


def test_an_answer_is_a_row_with_all_that_was_logged(home: LoggedHome) -> None:
    (record,) = answers(count=1)
    home.answer([record])
    assert home.materialise().success
    row = home.rows().row(0, named=True)
    assert (json.loads(row.pop("inputs")), json.loads(row.pop("features"))) == (
        json.loads(json.dumps(record["inputs"], default=lambda at: at.isoformat())),
        record["features"],
    )
    expected = {n: v for n, v in record.items() if n not in ("inputs", "features", "score")}
    assert row == expected | {"probability": 0.25, "partition_key": DAY}


def test_a_day_holds_the_answers_given_on_it(home: LoggedHome) -> None:
    home.answer([*answers(BEFORE), *answers(), *answers(AFTER)])
    assert home.materialise().success
    assert home.rows()["prediction_id"].str.head(10).unique().to_list() == [DAY]


def test_days_are_local(tmp_path: Path) -> None:
    days = Partitions(start=date(2020, 1, 1), timezone="Pacific/Auckland")
    home = LoggedHome(tmp_path, replace(TOY, partitions=days))
    home.land()
    (record,) = answers(count=1)
    home.answer([record | {"answered_at": record["answered_at"].replace(hour=11, minute=30)}])
    assert home.materialise(AFTER).success
    assert home.rows()["partition_key"].to_list() == [AFTER]


def test_smoke_tests_are_left_out_and_counted(home: LoggedHome) -> None:
    home.answer([*answers(count=3), *answers(purpose="smoke_test", prediction_id="s")])
    result = home.materialise()
    assert (len(home.rows()), metadata(result)["smoke_tests_left_out"]) == (3, 20)


def test_an_answer_that_stands_twice_is_one_row(home: LoggedHome) -> None:
    home.answer(answers(count=5))
    home.answer(answers(count=8))
    result = home.materialise()
    assert (len(home.rows()), metadata(result)["repeated_lines_left_out"]) == (8, 5)


def test_a_day_without_answers_is_empty_and_says_so(home: LoggedHome) -> None:
    result = home.materialise()
    assert result.success
    told = metadata(result)
    assert (told["dagster/partition_row_count"], told["partitions_without_answers"]) == (0, [DAY])
    assert checks(result)[PARITY].passed
    assert "no answer could be compared" in str(checks(result)[PARITY].description)


def test_materialising_again_leaves_the_same_bytes(home: LoggedHome) -> None:
    home.answer([*answers(BEFORE), *answers(), *answers(AFTER)])
    assert home.materialise().success
    before = home.files()
    assert home.materialise().success
    assert home.files() == before


def test_a_range_of_days_gives_what_the_days_give_one_by_one(home: LoggedHome, tmp_path: Path) -> None:
    other = LoggedHome(tmp_path / "other")
    other.land()
    for each in (home, other):
        each.answer([*answers(BEFORE), *answers(), *answers(AFTER)])
    assert home.materialise(BEFORE, AFTER).success
    for day in (AFTER, BEFORE, DAY):
        assert other.materialise(day).success
    assert home.rows().equals(other.rows())
    assert metadata(home.materialise(BEFORE, AFTER))["rows_of_the_run"] == 60


def test_damaged_lines_are_skipped_named_and_shown_by_a_check(home: LoggedHome) -> None:
    home.answer(answers(count=5))
    (path,) = home.log.iterdir()
    content = path.read_bytes().splitlines(keepends=True)
    content[3] = content[3].replace(b"north", b"South").replace(b"south", b"North").replace(b"east", b"East")
    path.write_bytes(b"".join(content)[:-20])
    found = checks(home.materialise())[WHOLE]
    assert (len(home.rows()), found.passed) == (3, False)
    assert (found.metadata["damaged_lines"].value, found.metadata["torn_last_lines"].value) == (1, 1)
    assert f"{path.stem} | 4 |" in str(found.metadata["damaged"].value)


def test_a_record_that_does_not_say_what_was_answered_is_damage(home: LoggedHome) -> None:
    home.answer([*answers(count=2), *answers(count=1, score=None), {"number": 1}])
    found = checks(home.materialise())[WHOLE]
    assert (len(home.rows()), found.metadata["damaged_lines"].value) == (2, 2)


def test_a_segment_in_which_nothing_is_whole_is_named(home: LoggedHome) -> None:
    home.answer(answers(count=1))
    (path,) = home.log.iterdir()
    path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n" + b"\0" * 50 + b"\n")
    assert not checks(home.materialise())[WHOLE].passed


def test_segments_that_are_still_open_are_read(home: LoggedHome) -> None:
    writer = home.answer(answers(count=5), is_sealed=False)
    assert home.materialise().success
    assert len(home.rows()) == 5
    writer.close()


@pytest.mark.parametrize(
    ("task", "score", "said"),
    [
        ("multiclass", {"late": 0.7, "lost": 0.3}, {"class": "late", "probability": 0.7}),
        ("regression", {"prediction": 1.5, "lower": 1.0, "upper": 2.0}, {"prediction": 1.5, "upper": 2.0}),
    ],
)
def test_scores_of_other_tasks_have_columns_of_their_own(
    tmp_path: Path, task: Any, score: dict[str, float], said: dict[str, object]
) -> None:
    home = LoggedHome(tmp_path, replace(TOY, task=task, trainers=(replace(TOY.trainers[0], family="catboost"),)))
    home.land()
    home.answer(answers(count=1, score=score))
    assert home.materialise().success
    assert said.items() <= home.rows().row(0, named=True).items()


def test_features_that_equal_those_of_the_lake_pass(home: LoggedHome) -> None:
    home.answer(answers())
    found = checks(home.materialise())[PARITY]
    assert (found.passed, found.metadata["rows_compared"].value, found.metadata["rows_differing"].value) == (
        True,
        20,
        0,
    )


def test_features_of_another_history_are_found_and_named(home: LoggedHome) -> None:
    records = answers()
    for record in records[:5]:
        record["features"] = record["features"] | {"shop_late_min_7d": 1000.0}
    home.answer(records)
    found = checks(home.materialise())[PARITY]
    assert (found.passed, found.metadata["share_differing"].value) == (False, 0.25)
    assert "shop_late_min_7d | 25.00% | 0 |" in str(found.metadata["by_feature"].value)


def test_answers_to_feature_rows_are_not_compared(home: LoggedHome) -> None:
    home.answer([*answers(count=4), *answers(inputs=None, prediction_time=None, prediction_id="f")])
    found = checks(home.materialise())[PARITY]
    assert (len(home.rows()), found.metadata["rows_compared"].value) == (5, 4)


def test_what_is_personal_is_not_compared_and_said(tmp_path: Path) -> None:
    columns = {**PARCELS.cleaned_columns, "weight_kg": replace(PARCELS.cleaned_columns["weight_kg"], personal="hash")}
    home = LoggedHome(tmp_path, replace(TOY, tables=(replace(PARCELS, cleaned_columns=columns), STORMS)))
    home.land()
    home.answer(answers())
    found = checks(home.materialise())[PARITY]
    assert (found.metadata["rows_compared"].value, found.metadata["not_compared_as_personal"].value) == (
        0,
        ["weight_kg"],
    )


def test_answers_wait_for_their_data_and_are_then_due_again(tmp_path: Path) -> None:
    home = LoggedHome(tmp_path)
    home.land(until=BEFORE)
    home.answer(answers())
    found = checks(home.materialise())[PARITY]
    assert (found.metadata["rows_compared"].value, found.metadata["rows_waiting_for_data"].value) == (0, 20)
    assert due(home.use_case, home.lake, home.segments, LONG_AFTER) == []
    home.land(until=DAY)
    assert due(home.use_case, home.lake, home.segments, LONG_AFTER) == [DAY]
    assert checks(home.materialise())[PARITY].metadata["rows_compared"].value == 20
    assert due(home.use_case, home.lake, home.segments, LONG_AFTER) == []


def test_days_that_ended_are_due_until_all_of_them_was_read(home: LoggedHome) -> None:
    home.answer([*answers(), *answers(AFTER)])
    assert due(home.use_case, home.lake, home.segments, answers(AFTER)[-1]["answered_at"]) == [DAY]
    assert due(home.use_case, home.lake, home.segments, LONG_AFTER) == [DAY, AFTER]
    assert home.materialise().success
    assert due(home.use_case, home.lake, home.segments, LONG_AFTER) == [AFTER]
    home.answer(later(answers(count=1, prediction_id="late"), timedelta(minutes=1)))
    assert due(home.use_case, home.lake, home.segments, LONG_AFTER) == [DAY, AFTER]


def test_a_segment_may_go_only_when_every_day_in_it_is_in_the_lake(home: LoggedHome) -> None:
    home.answer([*answers(), *answers(AFTER)])
    assert home.materialise(DAY).success
    assert shipped(home.use_case, home.lake, home.segments, LONG_AFTER) == []
    assert home.materialise(AFTER).success
    assert shipped(home.use_case, home.lake, home.segments, answers(AFTER)[0]["answered_at"]) == []  # not old enough
    assert [s.path for s in shipped(home.use_case, home.lake, home.segments, LONG_AFTER)] == [*home.log.iterdir()]


def test_an_open_segment_does_not_go(home: LoggedHome) -> None:
    writer = home.answer(answers(), is_sealed=False)
    assert home.materialise().success
    assert shipped(home.use_case, home.lake, home.segments, LONG_AFTER) == []
    writer.close()
    assert len(shipped(home.use_case, home.lake, home.segments, LONG_AFTER)) == 1


def test_a_segment_that_grew_is_due_again(home: LoggedHome) -> None:
    writer = home.answer(answers(count=3), is_sealed=False)
    assert home.materialise().success
    assert due(home.use_case, home.lake, home.segments, LONG_AFTER) == []
    writer.write(encoded(answers(count=5)))
    writer.close()
    assert due(home.use_case, home.lake, home.segments, LONG_AFTER) == [DAY]


def test_answers_stay_when_their_segments_have_gone(home: LoggedHome) -> None:
    home.answer(answers(count=5))
    assert home.materialise().success
    before = home.rows()
    (path,) = home.log.iterdir()
    path.unlink()
    home.answer(answers(count=1, prediction_id="late"))
    assert home.materialise().success
    assert len(home.rows()) == 6
    assert home.rows().filter(home.rows()["prediction_id"] != "late").equals(before)
