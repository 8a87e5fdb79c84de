"""What is told of drift is what was judged, and Evidently is never given what it refuses."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from assets.logic.drift import JudgedColumn, JudgedGroup, Judgement
from assets.reports.drift import (
    OVER,
    column_table,
    columns_report,
    group_scores,
    group_table,
    headline,
    scores_snapshot,
)

AT = datetime(2024, 1, 2, tzinfo=UTC)
NUMBERS = pl.DataFrame({"wind": [1.0, 2.0, 3.0, 4.0] * 30, "place": ["a", "b"] * 60})


def column(
    name: str = "wind", distance: float | None = 0.25, limit: float | None = 0.5, **more: object
) -> JudgedColumn:
    facts = {"group": "weather", "usage": 0.5, "finding": None, **more}
    return JudgedColumn(name=name, distance=distance, limit=limit, **facts)  # type: ignore[arg-type]


def group(name: str, score: float | None, note: str | None = None) -> JudgedGroup:
    return JudgedGroup(name=name, score=score, is_drifted=(score or 0) >= 1, worst="wind" if score else None, note=note)


def report(
    *columns: JudgedColumn, reference: pl.DataFrame = NUMBERS, current: pl.DataFrame = NUMBERS
) -> dict[str, dict]:
    made = columns_report(columns, reference, current, name="a window", at=AT, facts={"partition": "2024-01-01"})
    return {m["config"]["column"]: m for m in json.loads(made.json).get("metrics", [])}


def test_evidently_shows_the_distances_and_limits_that_were_judged() -> None:
    shown = report(column(), column("place", 0.75, 0.5))
    told = {name: (m["value"], m["config"]["threshold"]) for name, m in shown.items()}
    assert told == {"wind": (0.25, 0.5), "place": (0.75, 0.5)}


def test_evidently_says_of_a_column_what_was_judged() -> None:
    made = columns_report(
        [column(), column("place", 0.75, 0.5), column("unused", 0.9, None)],
        NUMBERS.with_columns(unused=pl.lit(1.0)),
        NUMBERS.with_columns(unused=pl.lit(2.0)),
        name="a window",
        at=AT,
        facts={},
    )
    tests = {t["metric_config"]["params"]["column"]: t["status"] for t in json.loads(made.json)["tests"]}
    assert tests == {"wind": "SUCCESS", "place": "FAIL", "unused": "SUCCESS"}


@pytest.mark.parametrize(
    "current",
    [
        NUMBERS.with_columns(wind=pl.lit(None, dtype=pl.Float64)),
        NUMBERS.with_columns(wind=pl.lit(float("inf"))),
        NUMBERS.with_columns(wind=pl.lit(float("nan"))),
        NUMBERS.drop("wind"),
    ],
    ids=["null", "infinite", "not a number", "missing"],
)
def test_a_column_that_evidently_refuses_is_left_out(current: pl.DataFrame) -> None:
    assert report(column(), column("place"), current=current).keys() == {"place"}


@pytest.mark.parametrize("current", [NUMBERS.head(0), pl.DataFrame()], ids=["no rows", "no columns"])
def test_a_window_without_values_has_a_page_that_says_so(current: pl.DataFrame) -> None:
    made = columns_report([column()], NUMBERS, current, name="a window", at=AT, facts={})
    assert "No column has values" in made.html
    assert (made.json, made.snapshot) == ("{}", None)


def test_half_empty_and_constant_columns_are_drawn() -> None:
    half = NUMBERS.with_columns(wind=pl.when(pl.int_range(pl.len()) % 2 == 0).then("wind"), place=pl.lit("a"))
    assert report(column(), column("place"), current=half).keys() == {"wind", "place"}


def test_columns_nearest_to_an_alarm_are_drawn_and_the_page_says_how_many_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("assets.reports.drift.SHOWN_COLUMNS", 1)
    columns = [column(), column("place", 0.75, 0.5), column("unused", 0.9, None)]
    rows = NUMBERS.with_columns(unused=pl.lit(1.0))
    made = columns_report(columns, rows, rows, name="a window", at=AT, facts={})
    assert [m["config"]["column"] for m in json.loads(made.json)["metrics"]] == ["place"]
    assert "2 more are not drawn; of these wind is the furthest, at 0.50 times its limit." in made.html


def test_a_page_with_every_column_says_nothing_of_columns_that_are_not_drawn() -> None:
    made = columns_report([column(), column("place")], NUMBERS, NUMBERS, name="a window", at=AT, facts={})
    assert "not drawn" not in made.html


def test_a_snapshot_of_scores_holds_them_and_tests_those_of_groups() -> None:
    judgement = Judgement(groups=(group("weather", 1.5), group("label", None)), columns=(column(distance=0.6),))
    scores = group_scores(judgement)
    assert scores == {"weather": 1.5, OVER: 1.0}
    told = scores_snapshot(scores, name="2024-01-01", at=AT, facts={"partition": "2024-01-01"}).dict()
    assert {m["config"]["column"]: m["value"] for m in told["metrics"]} == scores
    assert [getattr(t["status"], "value", t["status"]) for t in told["tests"]] == ["FAIL"]


def test_the_headline_names_what_drifted_or_could_not_be_judged() -> None:
    assert headline([group("weather", 1.5), group("label", 0.4)]) == (
        "Drifted from the reference: weather (1.50 times its limit, wind the most)."
    )
    assert headline([group("weather", 0.5), group("label", None)]) == "No group of columns drifted. Not judged: label."
    assert headline([group("weather", None)]) == "No group of columns could be judged."


def test_tables_show_findings_first_then_the_columns_nearest_to_an_alarm() -> None:
    lines = column_table([column("far"), column("farther", 0.4), column("odd", None, finding="all null")]).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["odd", "farther", "far"]
    assert "not judged: too few days" in group_table([group("label", None, "not judged: too few days")])
