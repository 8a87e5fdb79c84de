"""A use case made of a declaration: who may see what, what is said when nothing is said, and what is refused."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.code_version import code_version
from assets.contracts import PREDICTION_TIME
from assets.stages.features import feature_rows, find_leaks
from pipelines.declared.build import load_deliver, load_use_case
from pipelines.declared.reading import DeclaredError
from pipelines.declared.tables import INSTANT
from tests.pipelines.declared.conftest import Declare, Line

Make = Callable[..., Line]
HOURS = """
    source: {uri: hours.csv}
    time: {column: at, zone: America/Chicago}
    partitions: {start: 2024-01-01}
    key: [at]
    target: {column: load, task: regression, known_after: 1h}
    predict: {ahead: 24h}
    columns:
      temp: {type: number}
      outage: {type: boolean, role: known_later}
"""


def hours(days: int = 40, seed: int = 1) -> str:
    random = np.random.default_rng(seed)
    lines = ["at,temp,outage,load"]
    for n in range(days * 24):
        day, hour = divmod(n, 24)
        at = date(2024, 1, 1) + timedelta(days=day)
        lines.append(f"{at}T{hour:02}:00,{random.normal():.2f},{n % 97 == 0},{hour + random.normal():.2f}")
    return "\n".join(lines) + "\n"


def refused(declare: Declare, text: str) -> str:
    with pytest.raises(DeclaredError) as caught:
        load_use_case(declare(text))
    return str(caught.value)


def test_what_is_known_later_is_never_an_input(line: Make) -> None:
    use_case = line(HOURS, hours=hours(3)).use_case
    assert use_case.inputs == ("at", "temp")
    assert use_case.table("rows").cleaned_columns["outage"].known_at == "load_known_at"


def test_without_features_the_past_of_a_series_is_chosen_as_far_as_it_is_known(line: Make) -> None:
    use_case = line(HOURS, hours=hours(3)).use_case
    assert use_case.feature_names == [
        "temp", "at_hour", "at_weekday", "at_is_weekend", "at_month", "load_2d_ago", "load_7d_ago", "load_14d_ago",
        "load_mean_of_4x7d", "load_mean_7d", "load_mean_30d",
    ]  # fmt: skip
    assert use_case.naive == {"value_2d_ago": "load_2d_ago"}


def test_features_of_a_declaration_do_not_know_the_future(line: Make) -> None:
    made = line(HOURS, hours=hours())
    history, keys = made.history(), made.keys()
    rows = feature_rows(made.use_case, history, keys[-3:])
    assert rows["load_mean_30d"].null_count() == 0
    assert find_leaks(made.use_case, rows, history) == []


def test_the_question_is_asked_as_long_before_as_declared(line: Make) -> None:
    made = line(HOURS, hours=hours(3))
    rows = feature_rows(made.use_case, made.history(), made.keys())
    assert (rows["at"] - rows[PREDICTION_TIME]).unique().to_list() == [timedelta(days=1)]


def test_labels_on_their_way_leave_a_gap_before_the_test(declare: Declare) -> None:
    text = HOURS.replace("known_after: 1h", "known_after: 30h")
    assert load_use_case(declare(text)).split.gap == timedelta(days=2)


def test_the_declaration_is_part_of_the_code_versions(declare: Declare) -> None:
    def versions(text: str) -> tuple[str, str]:
        use_case = load_use_case(declare(text))
        return code_version(use_case.build_features), code_version(use_case.table("rows").clean)

    before = versions(HOURS)
    assert versions(HOURS) == before
    assert versions(HOURS.replace("temp: {type: number}", "temp: {type: number, invalid: missing}"))[1] != before[1]
    assert versions(HOURS.replace("ahead: 24h", "ahead: 96h"))[0] != before[0]


def test_the_name_is_that_of_the_folder(declare: Declare) -> None:
    text = "\n    name: store\n" + HOURS
    assert refused(declare, text).endswith(":1 field name: is 'store', and the folder is called 'shop'; leave it out")


def test_nothing_but_the_declaration_is_read_to_load_it(declare: Declare) -> None:
    assert load_use_case(declare(HOURS)).name == "shop"  # there is no hours.csv


def test_files_of_others_are_not_delivered(declare: Declare) -> None:
    path = declare(HOURS.replace("uri: hours.csv", "pattern: 'hours/{partition}.csv'"))
    assert load_deliver(path) is None
    assert str(load_use_case(path).table("rows").source) == "hours/{partition}.csv"


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("key: [at]", "key: [att]", ":4 field key[0]: there is no column 'att'; did you mean 'at'?"),
        ("key: [at]", "key: [load]", ":4 field key[0]: 'load' is the target, which nobody knows when the question"),
        ("key: [at]", "key: [outage]", ":4 field key[0]: 'outage' has the role known_later"),
        ("temp:", "reason:", ":8 field columns.reason: the line itself adds a column 'reason'; call it otherwise"),
        ("temp:", "load_known_at:", ":8 field columns.load_known_at: is how the line calls the time of the outcome"),
        ("known_after: 1h", "known_at: temp", ":5 field target.known_at: 'temp' is no time; give it type: time"),
        ("known_after: 1h", "known_at: tmp", ":5 field target.known_at: there is no time 'tmp'"),
        ("ahead: 24h", "at: tmp, longest: 3d", ":6 field predict.at: there is no input 'tmp'; did you mean 'temp'?"),
        ("America/Chicago", "America/Chicgo", "there is no time zone 'America/Chicgo'"),
        ("start: 2024-01-01", "every: week, start: 2024-01-03", "write 2024-01-01"),
    ],
)
def test_parts_that_do_not_agree_are_told_where_they_are_mended(
    declare: Declare, before: str, after: str, sentence: str
) -> None:
    assert sentence in refused(declare, HOURS.replace(before, after))


@pytest.mark.parametrize(
    ("addition", "sentence"),
    [
        ("features: {as_is: [tmp]}", ":10 field features.as_is[0]: there is no input 'tmp'; did you mean 'temp'?"),
        ("features: {as_is: [outage]}", ":10 field features.as_is[0]: there is no input 'outage'"),
        ("features: {windows: [{column: lod, over: [1d]}]}", "there is no column 'lod'; did you mean 'load'?"),
        ("features: {latest: [{table: cities, columns: [a]}]}", "there is no further table 'cities'; there are none"),
        ("features: {calendar: [{country: XX, parts: [is_holiday]}]}", ":10 field features.calendar[0]: features, Cal"),
        ("features: {}", ":10 field features: there are none; name at least one"),
        ("slices: [tmp]", ":10 field slices[0]: there is no input or feature 'tmp'; did you mean 'temp'?"),
        ("baselines: {weekly: load_7d}", ":10 field baselines.weekly: there is no feature 'load_7d'; did you mean"),
        ("trainers: [{family: catbost}]", ":10 field trainers[0].family: there is no model family 'catbost'"),
        ("trainers: [{family: logistic_regression}]", "cannot be trained for the task regression"),
        ("split: {test: 1d}", ":10 field split: split: validation and test need at least 2 days each"),
        ("expectations: [{check: 'a b', type: expect_x}]", ":10 field expectations[0].check: is 'a b'; string should"),
    ],
)
def test_names_in_later_fields_are_held_against_those_declared(declare: Declare, addition: str, sentence: str) -> None:
    assert sentence in refused(declare, f"{HOURS}    {addition}\n")


def test_functions_of_ones_own_slot_in_beside_the_others(
    line: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "def warm(spine, history):\n    return spine.with_columns(is_warm=(spine['temp'] > 0).cast(float))\n"
    (tmp_path / "own_features.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    addition = """
    features:
      as_is: [temp]
      custom:
        - {function: "own_features:warm", features: {is_warm: numeric}, inputs: [temp]}
"""
    made = line(HOURS + addition, hours=hours(2))
    rows = feature_rows(made.use_case, made.history(), made.keys())
    assert rows["is_warm"].to_list() == [float(t > 0) for t in rows["temp"]]
    assert code_version(made.use_case.build_features)


def test_a_window_of_what_is_known_later_waits_for_it(line: Make) -> None:
    addition = "    features: {windows: [{column: outage, over: [1d], of: [count]}]}\n"
    made = line(HOURS + addition, hours=hours(4))
    spine = made.cleaned().rows.select("at", "temp", made.use_case.asking.alias(PREDICTION_TIME)).sort("at").tail(1)
    # Known an hour after the hour: of the day before the question, all but what is under way, and what came in since.
    assert made.use_case.build_features(spine, made.history())["outage_count_1d"].to_list() == [24.0]
    early = spine.with_columns(pl.col(PREDICTION_TIME) - pl.duration(days=3))
    assert made.use_case.build_features(early, made.history())["outage_count_1d"].to_list() == [0.0]


def test_an_outcome_is_known_as_long_after_its_time_as_declared(line: Make) -> None:
    made = line(HOURS, hours=hours(2))
    rows = feature_rows(made.use_case, made.history(), made.keys())
    assert (rows["label_known_at"] - rows["at"]).unique().to_list() == [timedelta(hours=1) + INSTANT]


def test_a_row_that_is_asked_about_at_its_own_time_does_not_count_itself(line: Make) -> None:
    text = HOURS.replace(", known_after: 1h", "").replace("ahead: 24h", "ahead: 0h")
    made = line(text + "    features: {windows: [{column: load, over: [1h], of: [count]}]}\n", hours=hours(2))
    rows = feature_rows(made.use_case, made.history(), made.keys()).sort("at")
    # An hour ago exactly is still under way at the end of the window before, and so falls into this one.
    assert rows["load_count_1h"].to_list() == [0.0, *[1.0] * 47]
