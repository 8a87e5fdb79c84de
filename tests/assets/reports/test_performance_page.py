"""The page says what was found, marks what is only an estimate, and draws what there is to draw."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from assets.logic.control_chart import CHARTS
from assets.logic.performance_tables import DAYS_SCHEMA, WINDOWS_SCHEMA
from assets.reports.performance import PerformancePage, figures, headline, reasons, render_html, to_json

END = date(2013, 9, 30)


def page(task: str = "binary", *, count: int = 10, **window: Any) -> PerformancePage:
    """Ten days, of which the newest is an estimate, in control unless `window` says otherwise."""
    told: dict[str, Any] = {
        "partition_key": str(END), "window_start": END - timedelta(days=9), "window_end": END,
        "judged_day": END - timedelta(days=1), "judged_days": 9, "compared_days": 9, "rows": 1000, "labelled": 900,
        "loss": 0.42, "baseline_loss": 0.51, "expected_loss": 0.4, "estimate_error": -0.02, "reference_loss": 0.41,
        "residual": 0.01, "calibration_error": 0.02, "overdue_share": 0.01, "overdue_limit": 0.1, "chart_alarms": [],
        "is_out_of_control": False, "model_version": "line/3", "note": None, **window,
    }  # fmt: skip
    judged = [{"loss": 0.4, "baseline_loss": 0.5, **dict.fromkeys(CHARTS, 0.3 + 0.1 * n)} for n in range(count - 1)]
    days = [
        {"partition_key": str(END), "day": END - timedelta(days=count - 1 - n), "rows": 100, "labelled": 100,
         "expected_loss": 0.41, "is_estimate": n == count - 1, "model_version": "line/3", **values}
        for n, values in enumerate([*judged, {}][:count])
    ]  # fmt: skip
    curve = {"predicted": [0.1, 0.5], "observed": [0.12, 0.48], "rows": [450, 450]} if count else {}
    return PerformancePage(
        use_case="line",
        question="Will it be <late>?",
        task=task,
        window={name: told.get(name) for name in WINDOWS_SCHEMA},
        days=pl.DataFrame(days, schema=DAYS_SCHEMA),
        calibration=pl.DataFrame(curve, schema={"predicted": pl.Float64, "observed": pl.Float64, "rows": pl.Int64}),
        run_length=370,
        created_at=datetime(2013, 10, 1, 6, tzinfo=UTC),
    )


OUT = page(is_out_of_control=True, chart_alarms=["residual_cusum_down"])
UNJUDGED = page(is_out_of_control=None, note="No day of this window has its labels yet.")
EMPTY = page(
    count=0,
    is_out_of_control=None,
    loss=None,
    estimate_error=None,
    rows=0,
    labelled=0,
    note="There are no predictions.",
)


@pytest.mark.parametrize(
    ("found", "told"),
    [(page(), "in control"), (OUT, "out of control"), (UNJUDGED, "Not judged"), (EMPTY, "Not judged")],
)
def test_the_headline_is_the_verdict(found: PerformancePage, told: str) -> None:
    assert told in headline(found)
    assert headline(found) in render_html(found)


def test_a_chart_out_of_control_is_named_in_words_with_its_day() -> None:
    assert any("labels below predictions" in reason and "2013-09-29" in reason for reason in reasons(OUT))


def test_what_could_not_be_judged_says_why_first() -> None:
    assert reasons(UNJUDGED)[0] == "No day of this window has its labels yet."


@pytest.mark.parametrize(("error", "side"), [(0.02, "high"), (-0.02, "low")])
def test_the_error_of_the_estimate_is_told_with_its_side(error: float, side: str) -> None:
    assert any(f"too {side} by 0.0200" in reason for reason in reasons(page(estimate_error=error)))


@pytest.mark.parametrize(("share", "is_told"), [(0.5, True), (0.05, False)])
def test_overdue_labels_are_told_and_others_are_not(share: float, is_told: bool) -> None:
    assert any("overdue" in reason for reason in reasons(page(overdue_share=share))) is is_told


def test_how_many_days_the_scores_are_of_is_told() -> None:
    assert any("0.4200 over 9 judged days of line/3, 0.5100" in reason for reason in reasons(page()))
    mixed = page(compared_days=1)
    assert any("over 1 judged day of line/3 (8 of other versions are left out)" in reason for reason in reasons(mixed))
    assert "<dd>9, 1</dd>" in render_html(mixed)


@pytest.mark.parametrize(("count", "is_told"), [(1234, True), (0, False)])
def test_labels_that_are_no_finite_numbers_are_told(count: int, is_told: bool) -> None:
    said = "Labels that are no finite numbers, and so count as not known: 1,234."
    assert (said in reasons(page(refused_labels=count))) is is_told


def test_the_calibration_error_of_the_test_window_is_on_the_page_and_in_the_figures() -> None:
    found = page(reference_calibration_error=0.037)
    assert "<dd>3.7%</dd>" in render_html(found)
    assert to_json(found)["window"]["reference_calibration_error"] == 0.037


def test_a_statistic_without_limits_is_told_and_not_drawn() -> None:
    found = page()
    charts = [pl.lit(None, dtype=pl.Float64).alias(name) for name in CHARTS if name.startswith("residual")]
    found = replace(found, days=found.days.with_columns(charts))
    assert len(figures(found)["control_charts"].axes) == 2
    told = [reason for reason in reasons(found) if "not charted" in reason]
    assert told == ["The residual is not charted: the test window of the version does not tell how it varies."]
    assert not any("not charted" in reason for reason in reasons(page()))


def test_days_without_labels_are_marked_as_estimates() -> None:
    html = render_html(page())
    assert html.count('<span class="tag">estimate</span>') == 1


def test_text_of_the_use_case_is_escaped() -> None:
    assert "Will it be &lt;late&gt;?" in render_html(page())


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "count"])
def test_every_task_has_its_pictures_inside_the_page(task: str) -> None:
    found = page(task)
    assert list(figures(found)) == ["control_charts", "loss_by_day", "calibration"]
    assert render_html(found).count("data:image/svg+xml") == 3


def test_without_days_there_is_a_page_without_pictures() -> None:
    assert figures(EMPTY) == {}
    assert "data:image" not in render_html(EMPTY)


def test_the_figures_for_programs_are_plain_json() -> None:
    content = json.loads(json.dumps(to_json(OUT), allow_nan=False))
    assert content["window"]["chart_alarms"] == ["residual_cusum_down"]
    assert content["window"]["judged_day"] == "2013-09-29"
    assert [day["is_estimate"] for day in content["days"]] == [False] * 9 + [True]
